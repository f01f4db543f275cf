"""Small pictures of clouds for the Points tab: its shapes, and a shape that dissolves into noise."""

from __future__ import annotations

import io
from collections.abc import Sequence
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
_KEPT = (1.0, 0.9, 0.7, 0.4, 0.0)  # alpha of the states of the dissolving shape
DRAWN_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 56 56' fill='none' "
    "stroke='%23c43d17' stroke-width='4' stroke-linecap='round' stroke-linejoin='round'%3E"
    "%3Cpath d='M12 44l3-11L36 12l8 8-21 21z M31 17l8 8'/%3E%3C/svg%3E"
)


@lru_cache(maxsize=1)
def shape_items(drawn: str) -> list[dict[str, Any]]:
    """The picker's items of all shapes, and of the visitor's own drawing, which is called `drawn`."""
    shapes = [
        {"value": name, "title": _title(name), "picture": _address([_cloud(name)])} for name in POINT_SETS
    ]
    return [*shapes, {"value": drawn, "title": drawn, "picture": DRAWN_ICON}]


def dissolving(name: str = "swiss-roll") -> str:
    """The address of a picture: a shape in five states, from the data to pure noise."""
    cloud = _cloud(name)
    noise = np.random.Generator(np.random.Philox(key=[_SEED, 2])).standard_normal(cloud.shape)
    return _address([alpha * cloud + (1 - alpha**2) ** 0.5 * noise for alpha in _KEPT], cloud)


def _title(name: str) -> str:
    return name.replace("two-", "2 ").replace("eight-", "8 ").replace("-", " ")


def _cloud(name: str) -> np.ndarray:
    return POINT_SETS[name](_POINTS, _SEED)


def _address(clouds: Sequence[np.ndarray], coloured_by: np.ndarray | None = None) -> str:
    """Clouds (P, 2) beside each other as the address of a PNG on transparent ground.

    The colours come from the places of the points in `coloured_by`, the first cloud by default.
    """
    colours = wheel(clouds[0] if coloured_by is None else coloured_by, THEMES["light"]).round().astype(int)
    side = _SIDE * _FINE
    paper = Image.new("RGBA", (side * len(clouds), side), (128, 128, 128, 0))
    draw, radius = ImageDraw.Draw(paper), 1.15 * _FINE
    for k, cloud in enumerate(clouds):
        at = side / 2 + side / (2 * _EXTENT) * cloud * (1, -1) + (side * k, 0)
        inside = (np.abs(cloud) < _EXTENT - 0.1).all(axis=1)
        for (x, y), colour in zip(at[inside], colours[inside]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*colour.tolist(), 255))
    small = paper.reduce(_FINE).quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return static_address(written.getvalue(), "png")
