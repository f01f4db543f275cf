"""Plots of points in the plane: anti-aliased discs, trails, arrows and axes on a light or dark background."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

EXTENT = 3.2  # both axes show -EXTENT..EXTENT, which holds data and noise of unit variance
_OVERSAMPLING = 3  # lines are drawn this many times larger, then averaged
_RADIUS_SHARE = 1 / 230  # radius of a point, as a share of the canvas
_MAX_DISC = 64  # diameter of a point, in pixels


@dataclass(frozen=True)
class Theme:
    """Colours of a plot, 0..255. `lightness` and `chroma` are those of `wheel`, in OKLCH."""

    ground: tuple[int, int, int]
    axis: tuple[int, int, int]
    ink: tuple[int, int, int]
    lightness: float
    chroma: float
    opacity: float


THEMES: dict[str, Theme] = {
    "light": Theme((255, 255, 255), (226, 230, 237), (71, 80, 97), 0.62, 0.19, 0.78),
    "dark": Theme((11, 14, 20), (37, 44, 58), (150, 161, 181), 0.78, 0.155, 0.8),
}


def wheel(points: np.ndarray, theme: Theme) -> np.ndarray:
    """Colours (P, 3), 0..255, of points (P, 2): the hue is their angle, the chroma falls towards the origin.

    Applied to the first state of a run, they show where in the noise each point started.
    """
    angle = np.arctan2(points[:, 1], points[:, 0])
    chroma = theme.chroma * (0.35 + 0.65 * np.minimum(np.hypot(points[:, 0], points[:, 1]) / 0.9, 1))
    return _from_oklch(np.full(len(points), theme.lightness), chroma, angle + 0.5)


def _from_oklch(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """sRGB 0..255 of OKLCH colours (Ottosson 2020), clipped to the gamut."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = (
        np.stack(
            [
                lightness + 0.3963377774 * a + 0.2158037573 * b,
                lightness - 0.1055613458 * a - 0.0638541728 * b,
                lightness - 0.0894841775 * a - 1.2914855480 * b,
            ],
            axis=-1,
        )
        ** 3
    )
    linear = cones @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class Lines:
    """Polylines, each (n, 2), with one colour each, 0..255. With `heads` each ends in an arrowhead."""

    ways: tuple[np.ndarray, ...]
    colours: np.ndarray
    heads: bool = False
    opacity: float = 0.55


def canvas(
    points: np.ndarray,
    colours: np.ndarray,
    side: int,
    theme: Theme,
    lines: tuple[Lines, ...] = (),
    axes: bool = True,
    extent: float = EXTENT,
    radius: float | None = None,
) -> np.ndarray:
    """A plot (side, side, 3), uint8, of points (P, 2) in colours (P, 3) above the lines. y points up.

    Points outside -extent..extent are left out. `radius` is that of a point in pixels; by default it depends
    on `side` and on the number of points.
    """
    ground = _background(side, theme, lines, axes, extent)
    if radius is None:
        radius = max(0.7, side * _RADIUS_SHARE * min(1.5, (2000 / max(len(points), 1)) ** 0.25))
    return _with_discs(ground, pixels_of(points, side, extent), colours, radius, theme.opacity)


def pixels_of(points: np.ndarray, side: int, extent: float = EXTENT) -> np.ndarray:
    """Pixel positions (P, 2) of points (P, 2): columns and rows, measured from the top left corner."""
    scale = side / (2 * extent)
    points = np.asarray(points, np.float64)
    return np.stack([side / 2 + scale * points[:, 0], side / 2 - scale * points[:, 1]], axis=1)


def _background(side: int, theme: Theme, lines: tuple[Lines, ...], axes: bool, extent: float) -> np.ndarray:
    """(side, side, 3) float: background, axes and lines."""
    if not any(one.ways for one in lines):
        return _empty_canvas(side, theme, axes, extent)
    from PIL import Image, ImageDraw

    paper = Image.fromarray(_empty_canvas(side, theme, axes, extent).astype(np.uint8)).resize(
        (side * _OVERSAMPLING, side * _OVERSAMPLING), Image.Resampling.NEAREST
    )
    draw, width = ImageDraw.Draw(paper), max(1, round(side * _OVERSAMPLING / 420))
    for group in lines:
        mixed = (
            (np.array(theme.ground) * (1 - group.opacity) + group.colours * group.opacity).round().astype(int)
        )
        for line, colour in zip(group.ways, mixed.tolist()):
            at = pixels_of(line, side * _OVERSAMPLING, extent).clip(-8 * side, 8 * side)
            draw.line([tuple(place) for place in at.tolist()], tuple(colour), width, joint="curve")
            if group.heads:
                _arrowhead(draw, at, tuple(colour), side * _OVERSAMPLING / 90)
    return np.asarray(paper.reduce(_OVERSAMPLING), np.float64)


def _arrowhead(draw, line: np.ndarray, colour: tuple[int, ...], length: float) -> None:
    """Draw a filled triangle at the end of a line, at most 0.6 times as long as the line."""
    along = line[-1] - line[0]
    whole = math.hypot(*along)
    if whole < 1:
        return
    along = along / whole * min(length, 0.6 * whole)
    across = np.array([-along[1], along[0]]) * 0.45
    back = line[-1] - along
    draw.polygon([tuple(line[-1]), tuple(back + across), tuple(back - across)], fill=colour)


@lru_cache(maxsize=8)
def _empty_canvas(side: int, theme: Theme, axes: bool, extent: float) -> np.ndarray:
    """The empty canvas, (side, side, 3). With `axes` it has thin lines at whole numbers, stronger ones at 0.

    It is cached and therefore read-only.
    """
    paper = np.empty((side, side, 3))
    paper[:] = theme.ground
    if axes:
        width = max(1.0, side / 640)
        for k in range(-int(extent), int(extent) + 1):
            strength = 1.0 if k == 0 else 0.45
            cover = (
                width / 2 + 0.5 - np.abs(np.arange(side) + 0.5 - (side / 2 + k * side / (2 * extent)))
            ).clip(0, 1) * strength
            for share in (cover[None, :, None], cover[:, None, None]):
                paper += share * (np.array(theme.axis) - paper)
    paper.flags.writeable = False
    return paper


def _with_discs(
    ground: np.ndarray, places: np.ndarray, colours: np.ndarray, radius: float, opacity: float
) -> np.ndarray:
    """The background with anti-aliased discs, uint8. Overlapping discs mix; their order does not matter."""
    side = len(ground)
    reach = min(math.ceil(radius + 0.5), _MAX_DISC // 2)
    inside = (
        np.isfinite(places).all(axis=1) & (places > -reach).all(axis=1) & (places < side + reach).all(axis=1)
    )
    places, colours = places[inside], colours[inside]
    around = np.arange(-reach, reach + 1)
    columns = np.floor(places[:, 0]).astype(int)[:, None] + around
    rows = np.floor(places[:, 1]).astype(int)[:, None] + around
    dx, dy = columns + 0.5 - places[:, :1], rows + 0.5 - places[:, 1:]
    cover = opacity * (radius + 0.5 - np.sqrt(dx[:, None, :] ** 2 + dy[:, :, None] ** 2)).clip(0, 1)
    on = (
        (cover > 0)
        & ((columns >= 0) & (columns < side))[:, None, :]
        & ((rows >= 0) & (rows < side))[:, :, None]
    )
    which = np.nonzero(on)
    cover = cover[which]
    cells = rows[which[0], which[1]] * side + columns[which[0], which[2]]
    touched, cells = np.unique(cells, return_inverse=True)
    mass = np.bincount(cells, cover, len(touched))
    kept = np.exp(np.bincount(cells, np.log1p(-cover), len(touched)))[:, None]
    mixed = (
        np.stack([np.bincount(cells, cover * colours[which[0], c], len(touched)) for c in range(3)], axis=1)
        / mass[:, None]
    )
    flat = ground.reshape(-1, 3).copy()
    flat[touched] = kept * flat[touched] + (1 - kept) * mixed
    return flat.round().clip(0, 255).astype(np.uint8).reshape(ground.shape)
