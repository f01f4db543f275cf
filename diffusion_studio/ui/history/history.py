"""The history's Python half: its `gr.HTML`, whose value is the run that was pressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..page_script import page_script


def history(**kwargs: Any) -> gr.HTML:
    """The component. Its value is {"run", "recipe"}: the run's name on the server, and its recipe as JSON,
    which is None where it holds pictures and is too large to keep.

    The page keeps the runs in the browser's local storage. Gradio's BrowserState would send all of them to
    the server and back at every run.
    """
    here = Path(__file__).parent
    return gr.HTML(
        None,
        html_template=(here / "history.html").read_text("utf-8"),
        css_template=(here / "history.css").read_text("utf-8"),
        js_on_load=page_script(here, ("entries.mjs", "history.js")),
        apply_default_css=False,
        **kwargs,
    )
