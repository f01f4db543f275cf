"""The view of a race or a grid: its `gr.HTML`. Its value is what `compare.player_data.shown_value` makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from ..component import own_component

EXAMPLE = Path(__file__).with_name("example.json")  # a race to begin with; scripts/page_pictures.py makes it


def compare_view(progress: Callable[[object], dict[str, Any] | None], **kwargs: Any) -> gr.HTML:
    """The component. `progress(key)` says how far runs are that a value {follow: key} announced."""

    def example(args: object = None) -> dict[str, Any]:
        """The recorded race that is shown before the first run."""
        return json.loads(EXAMPLE.read_text("utf-8"))

    def made(key: object = None) -> dict[str, Any] | None:
        """How far the runs are, None once they have ended."""
        return progress(key)

    return own_component(
        "compare",
        server_functions=[example, made],
        **kwargs,
    )
