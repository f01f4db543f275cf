"""Arrays as RGB pictures: colour maps, curves, histograms, and a sheet of titled tiles."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..errors import OptionError

Numbers: TypeAlias = "Sequence[float] | np.ndarray"
GAP, MARGIN, TITLE, LINE, HEADING = 10, 12, 18, 17, 22  # pixels
INK, GREY, PAPER = (32, 33, 36), (98, 101, 106), (255, 255, 255)
LINES = ((31, 111, 178), (214, 96, 22), (44, 140, 73), (148, 82, 168), (190, 40, 60), (90, 90, 90))
MOST_PIXELS = 1 << 25  # of one sheet
# Anchors of two colour maps: dark to bright for amounts, blue over white to red for what has a sign.
HEAT = np.array(
    [(8, 8, 32), (60, 15, 110), (140, 40, 125), (215, 70, 100), (250, 145, 90), (252, 253, 200)], float
)
SIGNED = np.array([(24, 70, 150), (110, 165, 215), (247, 247, 247), (235, 140, 110), (165, 20, 40)], float)


def coloured(values: np.ndarray, low: float, high: float, anchors: np.ndarray = HEAT) -> np.ndarray:
    """(H, W) numbers from low to high -> (H, W, 3) uint8; what is no number is grey."""
    span = high - low or 1.0
    at = np.clip((np.nan_to_num(values, nan=low) - low) / span, 0, 1) * (len(anchors) - 1)
    floor = np.minimum(at.astype(int), len(anchors) - 2)
    share = (at - floor)[..., None]
    drawn = (anchors[floor] * (1 - share) + anchors[floor + 1] * share).round().astype(np.uint8)
    drawn[np.isnan(values)] = 160
    return drawn


def heat(values: np.ndarray, high: float | None = None) -> np.ndarray:
    """(H, W) amounts, 0 is darkest; `high` is the brightest, the largest where it is left out."""
    return coloured(values, 0.0, float(np.nanmax(values)) if high is None else high)


def signed(values: np.ndarray, most: float | None = None) -> np.ndarray:
    """(H, W) numbers of either sign, 0 is white; (C, H, W) are averaged over the channels."""
    values = values.mean(0) if values.ndim == 3 else values
    most = float(np.abs(values).max()) if most is None else most
    return coloured(values, -most, most, SIGNED)


def picture(values: np.ndarray, stretch: bool = False) -> np.ndarray:
    """(C, H, W) in [-1, 1] -> (H, W, 3) uint8. With `stretch` from the darkest to the brightest value."""
    if stretch:
        most = float(np.abs(values).max()) or 1.0
        values = values / most
    shown = np.clip(values * 127.5 + 127.5, 0, 255).round().astype(np.uint8).transpose(1, 2, 0)
    if shown.shape[-1] not in (1, 3):  # of four channels and the like the first
        shown = shown[..., :1]
    return np.broadcast_to(shown, (*shown.shape[:2], 3)).copy()


def cloud(points: np.ndarray, side: int = 160, extent: float = 3.5) -> np.ndarray:
    """(P, 2) points -> (side, side, 3) uint8."""
    drawn = np.full((side, side, 3), 255, np.uint8)
    at = np.round((points[:, ::-1] * (-1, 1) / extent + 1) / 2 * (side - 1))
    inside = np.isfinite(at).all(1) & (at >= 0).all(1) & (at <= side - 1).all(1)
    rows, columns = at[inside].astype(int).T
    drawn[rows, columns] = LINES[0]
    return drawn


def shown(values: np.ndarray, stretch: bool = False) -> np.ndarray:
    """One picture (C, H, W), or one cloud of points (P, 2)."""
    return cloud(values) if values.ndim == 2 else picture(values, stretch)


def over(base: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A heat map (H, W), 0 to 1, with the outlines of a picture (H, W, 3) in dark grey.

    Both add as light (1 - (1 - a)(1 - b)), so that the map is as bright over a black picture as over a white
    one.
    """
    grey = base.astype(float).mean(-1, keepdims=True) * 0.35
    glow = coloured(weights, 0, 1).astype(float) * 0.9
    return (255 - (255 - grey) * (255 - glow) / 255).round().astype(np.uint8)


def resized(values: np.ndarray, height: int, width: int, smooth: bool = True) -> np.ndarray:
    """(h, w) numbers at another size, bilinearly or in blocks."""
    from PIL import Image

    kind = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), kind))


@lru_cache(8)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers from `low` to `high`, steps of 1, 2 or 5 times a power of ten apart."""
    span = high - low
    ten = 10.0 ** math.floor(math.log10(span / 5))
    step = next(one * ten for one in (1, 2, 5, 10) if one * ten >= span / 5 * (1 - 1e-9))
    first, last = math.ceil((low - 0.02 * span) / step), math.floor((high + 0.02 * span) / step)
    return [k * step for k in range(first, last + 1)]


def curves(
    series: Sequence[tuple[str, Numbers, Numbers]],
    title: str,
    marker: float | None = None,
    size: tuple[int, int] = (420, 220),
    zero: bool = True,
) -> np.ndarray:
    """Named lines (name, x, y) in one frame with its ticks; `marker` is a vertical line. RGB uint8."""
    from PIL import Image, ImageDraw

    width, height = size
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    names = [name for name, _, _ in series]
    wide = sum(draw.textlength(name, _font(11)) + 10 for name in names if name)
    # the names stand beside the title, or have a line of their own
    beside = 52 + draw.textlength(title, _font(12)) + 12 + wide <= width
    left, top, right, bottom = 52, 24 if beside else 42, width - 10, height - 24
    xs = np.concatenate([np.asarray(x, float) for _, x, _ in series])
    ys = np.concatenate([np.asarray(y, float) for _, _, y in series])
    ys = ys[np.isfinite(ys)]
    ends = [float(xs.min()), float(xs.max()), *([] if marker is None else [marker])]
    x0, x1 = min(ends), max(ends)
    y0, y1 = (min(0.0, float(ys.min())) if zero else float(ys.min()), float(ys.max())) if len(ys) else (0, 1)
    x1, y1 = x1 if x1 > x0 else x0 + 1, y1 if y1 > y0 else y0 + 1

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    draw.rectangle((left, top, right, bottom), outline=GREY)
    for y in ticks(y0, y1):
        place = min(max(at(x0, y)[1], top), bottom)
        draw.line((left - 3, place, left, place), fill=GREY)
        draw.text((left - 5, place), f"{y:.6g}", GREY, _font(11), anchor="rm")
    for x in ticks(x0, x1):
        place = min(max(at(x, y0)[0], left), right)
        draw.line((place, bottom, place, bottom + 3), fill=GREY)
        side = "r" if place > right - 12 else "m"
        draw.text((place, bottom + 4), f"{x:.6g}", GREY, _font(11), anchor=f"{side}a")
    if marker is not None:
        draw.line((at(marker, y0), at(marker, y1)), fill=GREY, width=1)
    draw.text((left, 4), title, INK, _font(12))
    place = float(width - 10)
    for k, (name, x, y) in enumerate(series):
        colour = LINES[k % len(LINES)]
        dots = [at(a, b) for a, b in zip(x, y) if np.isfinite(b)]
        if len(dots) > 1:
            draw.line(dots, fill=colour, width=2)
        elif dots:
            draw.ellipse((dots[0][0] - 2, dots[0][1] - 2, dots[0][0] + 2, dots[0][1] + 2), fill=colour)
        place -= draw.textlength(name, _font(11)) + 10
        draw.text((place + 10, 5 if beside else 23), name, colour, _font(11))
    return np.asarray(image)


def bars(
    parts: Sequence[tuple[str, float]], width: int = 420, row: int = 24, most: float = 1.0
) -> np.ndarray:
    """Named amounts from 0 to `most` as horizontal bars, from above to below. RGB uint8."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, row * len(parts) + 8), PAPER)
    draw = ImageDraw.Draw(image)
    left, right = 110, width - 64
    for k, (name, amount) in enumerate(parts):
        y = 4 + row * k
        end = left + (right - left) * min(max(amount / most, 0.0), 1.0)
        draw.text((left - 8, y + row / 2), _cut(draw, name, left - 12), INK, _font(13), anchor="rm")
        draw.rectangle((left, y + 4, end, y + row - 4), fill=LINES[0])
        draw.text((end + 6, y + row / 2), f"{amount:.1%}", INK, _font(13), anchor="lm")
    return np.asarray(image)


def sheet(
    tiles: Sequence[tuple[str, np.ndarray, bool]],
    lines: Sequence[str] = (),
    side: int = 160,
    columns: int | None = None,
    groups: Sequence[str] = (),
) -> np.ndarray:
    """Tiles (title, RGB, keep its size) in rows with lines of text below, as one RGB picture. Without
    `columns` each of the tiles' `groups` begins a new row. It stands under its name.
    """
    from PIL import Image, ImageDraw

    drawn = [(title, pixels if whole else _enlarged(pixels, side)) for title, pixels, whole in tiles]
    rows = _rows(drawn, side, columns, groups)
    headings = _headings(rows, groups)
    sizes = [
        (max(one.shape[0] for _, one in row), sum(max(one.shape[1], side) + GAP for _, one in row))
        for row in rows
    ]
    width = max([one for _, one in sizes] + [420]) + 2 * MARGIN - GAP
    wrapped = [part for line in lines for part in (textwrap.wrap(line, max(width // 7, 30)) or [""])]
    height = sum(h + TITLE + GAP for h, _ in sizes) + 2 * MARGIN + LINE * len(wrapped)
    height += HEADING * sum(map(bool, headings))
    if width * height > MOST_PIXELS:
        raise OptionError(
            "side",
            f"This picture would be {width} by {height}; the most is {MOST_PIXELS:,} pixels. Choose "
            "a smaller side, or one picture.",
        )
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    y = MARGIN
    for row, (tall, _), heading in zip(rows, sizes, headings):
        x = MARGIN
        if heading:
            draw.text((x, y), _cut(draw, heading, width - 2 * MARGIN, 14), INK, _font(14))
            y += HEADING
        for title, pixels in row:
            draw.text((x, y), _cut(draw, title, max(pixels.shape[1], side)), INK, _font(12))
            image.paste(Image.fromarray(np.ascontiguousarray(pixels)), (x, y + TITLE))
            x += max(pixels.shape[1], side) + GAP
        y += tall + TITLE + GAP
    for k, line in enumerate(wrapped):
        draw.text((MARGIN, y + LINE * k), line, INK, _font(12))
    return np.asarray(image)


def _rows(
    drawn: Sequence[tuple[str, np.ndarray]], side: int, columns: int | None, groups: Sequence[str] = ()
) -> list[list[tuple[str, np.ndarray]]]:
    """The tiles in rows of `columns`; or else group by group, in rows as wide as six plain tiles."""
    if columns is not None:
        return [list(drawn[k : k + columns]) for k in range(0, len(drawn), columns)]
    rows: list[list[tuple[str, np.ndarray]]] = [[]]
    left = most = 6 * (side + GAP)
    for k, (title, pixels) in enumerate(drawn):
        width = max(pixels.shape[1], side) + GAP
        begins = k > 0 and len(groups) > k and groups[k] != groups[k - 1]
        if rows[-1] and (width > left or begins):
            rows.append([])
            left = most
        rows[-1].append((title, pixels))
        left -= width
    return rows


def _headings(rows: Sequence[Sequence[Any]], groups: Sequence[str]) -> list[str]:
    """For each row the name of the group that begins there, or an empty text."""
    found, k, before = [], 0, ""
    for row in rows:
        here = groups[k] if k < len(groups) else ""
        found.append(here if here != before else "")
        k, before = k + len(row), here
    return found


def _cut(draw: Any, text: str, width: int, size: int = 12) -> str:
    """A text that fits into a width."""
    while text and draw.textlength(text, _font(size)) > width:
        text = text[:-2].rstrip(".") + "." if len(text) > 2 else ""
    return text


def _enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    scale = max(1, math.floor(side / pixels.shape[1]))
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)
