"""The saved card's Python half: its `gr.HTML`, which downloads and shows the file that its value names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..page_script import page_script


def saved(**kwargs: Any) -> gr.HTML:
    """The component; its value is {"path", "name", "size", "said", "preset"} of a file that Gradio serves."""
    here = Path(__file__).parent
    return gr.HTML(
        None,
        html_template=(here / "saved.html").read_text("utf-8"),
        css_template=(here / "saved.css").read_text("utf-8"),
        js_on_load=page_script(here, ("saved.js",)),
        apply_default_css=False,
        **kwargs,
    )
