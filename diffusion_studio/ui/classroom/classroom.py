"""The classroom's Python half: its `gr.HTML`, which asks the rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..lazy import answering
from ..page_script import page_script
from .rooms import Rooms


def classroom(rooms: Rooms, **kwargs: Any) -> gr.HTML:
    """The component: a bar above the player, hidden until a room is opened or entered."""
    here = Path(__file__).parent

    def teach(told: dict[str, Any]) -> dict[str, Any]:
        return rooms.open()

    return gr.HTML(
        None,
        html_template=(here / "classroom.html").read_text("utf-8"),
        css_template=(here / "classroom.css").read_text("utf-8"),
        js_on_load=page_script(here, ("follow.mjs", "classroom.js")),
        server_functions=[answering(one) for one in (teach, rooms.show, rooms.close, rooms.look)],
        apply_default_css=False,
        **kwargs,
    )
