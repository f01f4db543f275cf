"""Small pictures of clouds for the Points tab: its shapes."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..data.point_sets import POINT_SETS
from ..imaging.point_plot import THEMES, wheel
from .static_files import static_address

_POINTS, _SEED = 260, 1
_SIDE = 56  # pixels of the picture of a shape
_FINE = 4  # discs are drawn this many times larger, then averaged
_EXTENT = 2.3  # a cloud shows -_EXTENT.._EXTENT both ways
_COLOURS = 24
DRAWN_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 56 56' fill='none' "
    "stroke='%23c43d17' stroke-width='4' stroke-linecap='round' stroke-linejoin='round'%3E"
    "%3Cpath d='M12 44l3-11L36 12l8 8-21 21z M31 17l8 8'/%3E%3C/svg%3E"
)


@lru_cache(maxsize=1)
def shape_items(drawn: str) -> list[dict[str, Any]]:
    """The picker's items of all shapes, and of the visitor's own drawing, which is called `drawn`."""
    shapes = [
        {"value": name, "title": _title(name), "picture": _address(_cloud(name))} for name in POINT_SETS
    ]
    return [*shapes, {"value": drawn, "title": drawn, "picture": DRAWN_ICON}]


def _title(name: str) -> str:
    return name.replace("two-", "2 ").replace("eight-", "8 ").replace("-", " ")


def _cloud(name: str) -> np.ndarray:
    return POINT_SETS[name](_POINTS, _SEED)


def _address(cloud: np.ndarray) -> str:
    """A cloud (P, 2) as the address of a PNG on transparent ground."""
    colours = wheel(cloud, THEMES["light"]).round().astype(int)
    side = _SIDE * _FINE
    paper = Image.new("RGBA", (side, side), (128, 128, 128, 0))
    draw, radius = ImageDraw.Draw(paper), 1.15 * _FINE
    at = side / 2 + side / (2 * _EXTENT) * cloud * (1, -1)
    inside = (np.abs(cloud) < _EXTENT - 0.1).all(axis=1)
    for (x, y), colour in zip(at[inside], colours[inside]):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*colour.tolist(), 255))
    small = paper.reduce(_FINE).quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return static_address(written.getvalue(), "png")
