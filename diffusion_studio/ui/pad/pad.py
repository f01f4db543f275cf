"""The pad's Python half: its `gr.HTML`, and the picture in its value."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import gradio as gr

from ...errors import OptionError
from ..component import own_component

MAX_BYTES = 2 << 20
_START = "data:image/png;base64,"


def pad(**kwargs: Any) -> gr.HTML:
    """The component; its value is a PNG as a data URL, or nothing while the pad is empty."""
    return own_component(
        "pad",
        **kwargs,
    )


def drawing(value: object) -> bytes:
    """The PNG in a pad's value. An `OptionError` where nothing was drawn, or it is no pad's value."""
    if not value:
        raise OptionError(
            "shape", "Draw a shape first, or put a picture that is black on white onto the pad."
        )
    if not isinstance(value, str) or not value.startswith(_START) or len(value) > MAX_BYTES:
        raise OptionError("shape", "What the pad sent is no drawing of it. Clear it and draw again.")
    try:
        return base64.b64decode(value[len(_START) :], validate=True)
    except binascii.Error as error:
        raise OptionError("shape", "What the pad sent is cut off. Clear it and draw again.") from error
