"""The classroom's Python half: its `gr.HTML`, which asks the rooms."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..component import own_component
from ..lazy import answering
from .rooms import Rooms


def classroom(rooms: Rooms, **kwargs: Any) -> gr.HTML:
    """The component: a bar above the player, hidden until a room is opened or entered."""

    def teach(told: dict[str, Any]) -> dict[str, Any]:
        return rooms.open()

    return own_component(
        "classroom",
        server_functions=[answering(one) for one in (teach, rooms.show, rooms.close, rooms.look)],
        **kwargs,
    )
