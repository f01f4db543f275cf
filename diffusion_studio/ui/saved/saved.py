"""The saved card's Python half: its `gr.HTML`, which downloads and shows the file that its value names."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..component import own_component


def saved(**kwargs: Any) -> gr.HTML:
    """The component; its value is {"path", "name", "size", "said", "preset"} of a file that Gradio serves."""
    return own_component(
        "saved",
        **kwargs,
    )
