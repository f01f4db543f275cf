"""The view of a race or a grid: its `gr.HTML`. Its value is what `compare.player_data.shown_value` makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from ..component import own_component

EXAMPLE = Path(__file__).with_name("example.json")  # a race to begin with; scripts/page_pictures.py makes it


def compare_view(progress: Callable[[object, object], dict[str, Any] | None], **kwargs: Any) -> gr.HTML:
    """The component. `progress(key, after)` says how far runs are that a value {follow: key} announced, with
    their states that came after the number `after`.
    """

    def example(args: object = None) -> dict[str, Any]:
        """The recorded race that is shown before the first run."""
        return json.loads(EXAMPLE.read_text("utf-8"))

    def made(asked: object = None) -> dict[str, Any] | None:
        """How far the runs of {key, after} are, None once they have ended."""
        given = asked if isinstance(asked, Mapping) else {}
        return progress(given.get("key"), given.get("after", 0))

    return own_component(
        "compare",
        server_functions=[example, made],
        **kwargs,
    )
