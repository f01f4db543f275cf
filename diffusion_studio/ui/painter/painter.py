"""The painter's Python side: its `gr.HTML`, the picture that it shows, and the mask that it returns.

Gradio's ImageEditor sends three files at every stroke and blurs small pictures; here a stroke stays in the
page, is as sharp as the model's pixels, and travels as one byte a pixel when a run is asked for.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import gradio as gr
import numpy as np

from ...errors import OptionError
from ...imaging.picture import Picture
from ..component import own_component


def painter(**kwargs: Any) -> gr.HTML:
    """The component; its value is what `sheet` makes."""
    return own_component(
        "painter",
        **kwargs,
    )


def sheet(picture: Picture | None, mask: Picture | None = None, **more: Any) -> dict[str, Any] | None:
    """A picture to paint on, and what is painted: a mask of its size that is black and white alone. None
    takes the sheet away. `more` is what the painter knows besides (see painter.js).
    """
    if picture is None:
        return None
    painted = ""
    if mask is not None and mask.size == picture.size and np.isin(mask.pixels, (0, 255)).all():
        painted = base64.b64encode((mask.pixels[..., 0] > 0).astype(np.uint8).tobytes()).decode()
    return {
        "picture": picture.to_text(),
        "name": picture.name,
        "width": picture.size[0],
        "height": picture.size[1],
        "mask": painted,
        **more,
    }


def mask_in(value: Any) -> Picture | None:
    """The mask, white where it was painted; None if nothing was. Raises `OptionError` for values that the
    page cannot have sent.
    """
    if not isinstance(value, dict) or not value.get("mask"):
        return None
    size: Any = (value.get("height"), value.get("width"))
    try:
        painted = np.frombuffer(base64.b64decode(value["mask"], validate=True), np.uint8)
        shaped = painted.reshape(size)
    except (binascii.Error, TypeError, ValueError):
        raise OptionError(
            "edit.mask", "What was painted did not arrive whole. Paint again, or give a mask as a file."
        ) from None
    return Picture(np.where(shaped > 0, 255, 0).astype(np.uint8)) if painted.any() else None
