"""The painter's Python half: its `gr.HTML`, what it is given, and the mask that it gives back.

Gradio's ImageEditor sends three files at every stroke and blurs small pictures; here a stroke stays in the
page, is as sharp as the model's pixels, and travels as one byte a pixel when a run is asked for.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ...errors import OptionError
from ...imaging.picture import Picture
from ..page_script import page_script


def painter(**kwargs: Any) -> gr.HTML:
    """The component; its value is what `sheet` makes."""
    here = Path(__file__).parent
    return gr.HTML(
        None,
        html_template=(here / "painter.html").read_text("utf-8"),
        css_template=(here / "painter.css").read_text("utf-8"),
        js_on_load=page_script(here, ("brush.mjs", "painter.js")),
        apply_default_css=False,
        **kwargs,
    )


def sheet(picture: Picture | None) -> dict[str, Any] | None:
    """A picture to paint on, with nothing painted yet; None takes it away."""
    if picture is None:
        return None
    return {
        "picture": picture.to_text(),
        "name": picture.name,
        "width": picture.size[0],
        "height": picture.size[1],
        "mask": "",
    }


def mask_in(value: Any) -> Picture | None:
    """White where it was painted, or None where nothing was. An `OptionError` for what the page cannot
    have sent.
    """
    if not isinstance(value, dict) or not value.get("mask"):
        return None
    width, height, mask = value.get("width"), value.get("height"), value["mask"]
    try:
        painted = np.frombuffer(base64.b64decode(mask, validate=True), np.uint8)
        shaped = painted.reshape(height, width)
    except (binascii.Error, TypeError, ValueError):
        raise OptionError(
            "edit.mask", "What was painted did not arrive whole. Paint again, or give a mask as a file."
        ) from None
    return Picture(np.where(shaped > 0, 255, 0).astype(np.uint8)) if painted.any() else None
