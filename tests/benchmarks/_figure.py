"""Panels side by side with one legend, log-log or from zero on, drawn with Pillow four times as large and
scaled down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, SHOWN = 1600, 1060, 2  # pixels of the file, shown at half that width
FINE = 2  # drawn this much larger
TEXT = 26
# Okabe and Ito's colours, told apart by those who see red and green alike, and two more; each with its own
# marker
LIGHT = (
    "#000000",
    "#d55e00",
    "#0072b2",
    "#56b4e9",
    "#009e73",
    "#8c8c8c",
    "#cc79a7",
    "#7b3294",
    "#e69f00",
    "#8c510a",
    "#3d3d3d",
    "#1b7837",
    "#c51b7d",
)
DARK = (
    "#ffffff",
    "#ff8c42",
    "#4da6ff",
    "#9bd4f5",
    "#2fd6a3",
    "#8b949e",
    "#f0a6cf",
    "#c49bf0",
    "#ffc24d",
    "#d09a6a",
    "#d8d8d8",
    "#7fd68f",
    "#ff7ac0",
)
MARKERS = ("disc", "square", "up", "down", "diamond", "ring", "box")


@dataclass(frozen=True)
class Curve:
    title: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    title: str
    y_title: str
    curves: list[Curve]
    most: float = 2.0  # what is larger is above the panel
    from_zero: bool = False  # y evenly from 0 to `most`, x from 0 on and closer together as it grows


def draw(path: Path, panels: list[Panel], x_title: str, dark: bool) -> None:
    """Write a PNG for pages of one kind."""
    back, ink, grid = ("#0d1117", "#e6edf3", "#30363d") if dark else ("#ffffff", "#1f2328", "#d8dee4")
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), back)
    pen = _Pen(ImageDraw.Draw(image), ink, grid, DARK if dark else LIGHT)
    legend = 190
    width = (WIDTH - 30) // len(panels)
    for k, panel in enumerate(panels):
        pen.panel(panel, x_title, (15 + k * width + 115, 70, 15 + (k + 1) * width - 20, HEIGHT - legend - 90))
    pen.legend([curve.title for curve in panels[0].curves], HEIGHT - legend)
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).quantize(128, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def _below(one: tuple[float, float], other: tuple[float, float], top: float) -> tuple[float, float]:
    """The point itself, or where the line from it to the other one comes down to the panel's top."""
    if one[1] >= top:
        return one
    share = (top - one[1]) / (other[1] - one[1])
    return one[0] + share * (other[0] - one[0]), top


def _bent(x: float) -> float:
    """Zero and doublings about evenly apart."""
    return math.log2(1 + 2 * x)


def _round_ticks(most: float) -> list[float]:
    """Four to ten round numbers from 0 to at most `most`."""
    unit = 10.0 ** math.floor(math.log10(most))
    step = next(unit * part for part in (0.1, 0.2, 0.5, 1.0) if most / (unit * part) <= 10)
    return [k * step for k in range(math.floor(most / step + 1e-9) + 1)]


class _Pen:
    """Draws in the file's own pixels."""

    def __init__(self, drawing: ImageDraw.ImageDraw, ink: str, grid: str, colours: tuple[str, ...]) -> None:
        self.drawing, self.ink, self.grid, self.colours = drawing, ink, grid, colours

    def line(self, points: list[tuple[float, float]], colour: str, width: float) -> None:
        self.drawing.line(
            [(x * FINE, y * FINE) for x, y in points], colour, round(width * FINE), joint="curve"
        )

    def text(self, at: tuple[float, float], text: str, anchor: str = "mm", size: int = TEXT) -> None:
        self.drawing.text(
            (at[0] * FINE, at[1] * FINE), text, self.ink, ImageFont.load_default(size * FINE), anchor
        )

    def marker(self, at: tuple[float, float], number: int) -> None:
        (x, y), r, colour = at, 8.0, self.colours[number % len(self.colours)]
        kind = MARKERS[number % len(MARKERS)]
        shapes = {
            "up": [(0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            "down": [(0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
            "diamond": [(0, -1.3), (1.1, 0), (0, 1.3), (-1.1, 0)],
            "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        }
        shapes["box"] = shapes["square"]
        if kind in ("disc", "ring"):
            box = [(x - r) * FINE, (y - r) * FINE, (x + r) * FINE, (y + r) * FINE]
            self.drawing.ellipse(box, None if kind == "ring" else colour, colour, 3 * FINE)
        else:
            corners = [((x + a * r) * FINE, (y + b * r) * FINE) for a, b in shapes[kind]]
            self.drawing.polygon(corners, None if kind == "box" else colour, colour, 3 * FINE)

    def panel(self, panel: Panel, x_title: str, box: tuple[float, float, float, float]) -> None:
        left, top, right, bottom = box
        every = [point for curve in panel.curves for point in curve.points]
        x_low, x_high = (f(x for x, _ in every) for f in (min, max))
        x_at, y_at = (_bent, float) if panel.from_zero else (math.log10, math.log10)
        if panel.from_zero:
            x_ticks = {x: f"{x:g}" for x in sorted({x for x, _ in every})}
            x_low, x_high = -0.04 * x_at(x_high), 1.04 * x_at(x_high)
            y_low, y_high = 0.0, panel.most
            y_ticks = {y: f"{y:g}" for y in _round_ticks(panel.most)}
        else:
            y_low, y_high = (f(math.log10(y) for _, y in every) for f in (min, max))
            y_low, y_high = math.floor(y_low * 2) / 2, min(math.ceil(y_high * 2) / 2, math.log10(panel.most))
            x_low, x_high = math.log10(x_low * 0.88), math.log10(x_high * 1.14)
            x_ticks = {x: str(x) for x in (5, 10, 20, 50, 100, 200) if x_low <= math.log10(x) <= x_high}
            y_ticks = {
                10.0**power: {0: "1", -1: "0.1", -2: "0.01", -3: "0.001"}.get(power, f"1e{power}")
                for power in range(math.ceil(y_low), math.floor(y_high) + 1)
            }

        def place(x: float, y: float) -> tuple[float, float]:
            across = (x_at(x) - x_low) / (x_high - x_low)
            up = (y_at(y) - y_low) / (y_high - y_low)
            return left + across * (right - left), bottom - up * (bottom - top)

        self.text(((left + right) / 2, top - 34), panel.title, size=TEXT + 4)
        for y, text in y_ticks.items():
            at = place(every[0][0], y)[1]
            self.line([(left, at), (right, at)], self.grid, 2)
            self.text((left - 12, at), text, "rm")
        for x, text in x_ticks.items():
            at = place(x, every[0][1])[0]
            self.line([(at, top), (at, bottom)], self.grid, 2)
            self.text((at, bottom + 28), text)
        self.line([(left, top), (left, bottom), (right, bottom)], self.ink, 2.5)
        self.text(((left + right) / 2, bottom + 66), x_title)
        self._upright((left - 100, (top + bottom) / 2), panel.y_title)
        for number, curve in enumerate(panel.curves):
            placed = [place(*point) for point in curve.points]
            for one, other in zip(placed, placed[1:]):
                if max(one[1], other[1]) > top:
                    self.line(
                        [_below(one, other, top), _below(other, one, top)],
                        self.colours[number % len(self.colours)],
                        3.5,
                    )
        for number, curve in enumerate(panel.curves):
            for at in (place(*point) for point in curve.points):
                if at[1] >= top:
                    self.marker(at, number)

    def _upright(self, at: tuple[float, float], text: str) -> None:
        font = ImageFont.load_default(TEXT * FINE)
        _, _, wide, high = font.getbbox(text)
        label = Image.new("L", (math.ceil(wide) + 8, math.ceil(high) + 8))
        ImageDraw.Draw(label).text((4, 4), text, 255, font)
        label = label.rotate(90, expand=True)
        self.drawing.bitmap(
            (at[0] * FINE - label.width / 2, at[1] * FINE - label.height / 2), label, self.ink
        )

    def legend(self, titles: list[str], top: float) -> None:
        columns = 5
        width = (WIDTH - 120) / columns
        for number, title in enumerate(titles):
            x, y = 90 + number % columns * width, top + 40 + number // columns * 50
            self.line([(x, y), (x + 52, y)], self.colours[number % len(self.colours)], 3.5)
            self.marker((x + 26, y), number)
            self.text((x + 68, y), title, "lm")
