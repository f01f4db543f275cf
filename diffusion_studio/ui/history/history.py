"""The history's Python half: its `gr.HTML`, whose value is the run that was pressed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..component import own_component


def history(**kwargs: Any) -> gr.HTML:
    """The component. Its value is {"run", "recipe"}: the run's name on the server, and its recipe as JSON,
    which is None where it holds pictures and is too large to keep.

    The page keeps the runs in the browser's local storage. Gradio's BrowserState would send all of them to
    the server and back at every run.
    """
    return own_component(
        "history",
        **kwargs,
    )
