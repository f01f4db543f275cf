"""A table of figures over samplers and steps, as csv and as a plot."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExportError

if TYPE_CHECKING:
    from PIL import ImageDraw

# column: (figure, its entry, title)
COLUMNS: dict[str, tuple[str, str, str]] = {
    "frechet": ("frechet", "value", "Frechet distance (less is better)"),
    "kernel": ("kernel", "value", "kernel distance (less is better)"),
    "precision": ("precision-recall", "precision", "precision (more is better)"),
    "recall": ("precision-recall", "recall", "recall (more is better)"),
    "score": ("score", "value", "Inception-style score (more is better)"),
    "recognised": ("labels", "value", "label accuracy (more is better)"),
    "nearest": ("neighbours", "value", "distance to training pictures"),
    "bound": ("bound", "value", "bits per dimension, bound (less is better)"),
    "flow": ("flow", "value", "bits per dimension, flow (less is better)"),
}
Row = Mapping[str, Any]
PANEL, MARGIN, PER_ROW = (420, 300), 56, 3
INK, PALE, PAPER = (40, 40, 40), (215, 215, 215), (255, 255, 255)
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (120, 90, 60),
           (0, 0, 0))


def row(sampler: str, steps: int, report: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the table from what `evaluate` gave: sampler, steps, pictures, and a column for each figure."""
    figures = report["figures"]
    found = {"sampler": sampler, "steps": steps, "pictures": report.get("pictures")}
    for name, (figure, entry, _) in COLUMNS.items():
        if figure in figures:
            found[name] = figures[figure][entry]
    return found


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """The rows under the names of the first one's columns. Raises `ExportError` where it cannot be written."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    try:
        path.write_bytes(text.getvalue().encode())
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror or error}). Name another file.") from error


def write_plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """A PNG with a panel for each figure: its value over the steps, which are spaced by their logarithm, a line for each
    sampler. Raises `ExportError` where it cannot be written."""
    from PIL import Image, ImageDraw, ImageFont

    names = [name for name in COLUMNS if name in rows[0]]
    across = min(len(names), PER_ROW)
    down = math.ceil(len(names) / across)
    samplers = list(dict.fromkeys(line["sampler"] for line in rows))
    head = 34 + 20 * len(samplers)
    picture = Image.new("RGB", (across * PANEL[0], head + down * PANEL[1]), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.font = ImageFont.load_default(13)
    draw.text((MARGIN, 10), title, INK)
    for k, sampler in enumerate(samplers):
        y = 38 + 20 * k
        draw.line((MARGIN, y, MARGIN + 24, y), COLOURS[k % len(COLOURS)], 3)
        draw.text((MARGIN + 32, y - 8), sampler, INK)
    for k, name in enumerate(names):
        corner = k % across * PANEL[0], head + k // across * PANEL[1]
        _panel(draw, corner, COLUMNS[name][2], {
            sampler: sorted((line["steps"], line[name]) for line in rows if line["sampler"] == sampler)
            for sampler in samplers})
    try:
        picture.save(path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror or error}). Name another file.") from error


def _panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str,
           lines: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    left, top = corner[0] + MARGIN, corner[1] + 28
    right, bottom = corner[0] + PANEL[0] - 20, corner[1] + PANEL[1] - 34
    steps = sorted({step for line in lines.values() for step, _ in line})
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = low - room, high + room
    first, last = math.log(steps[0]), math.log(steps[-1])

    def place(step: int, value: float) -> tuple[float, float]:
        x = (math.log(step) - first) / (last - first) if last > first else 0.5
        return left + 8 + x * (right - left - 16), bottom - (value - low) / (high - low) * (bottom - top)

    draw.text((left, corner[1] + 6), title, INK)
    for k in range(5):
        value = low + (high - low) * (k + 0.5) / 5
        y = place(steps[0], value)[1]
        draw.line((left, y, right, y), PALE)
        draw.text((left - 6, y), f"{value:.3g}", INK, anchor="rm")
    draw.rectangle((left, top, right, bottom), outline=INK)
    free = -math.inf                                    # labels of steps that would touch are left out
    for step in steps:
        x = place(step, low)[0]
        draw.line((x, bottom, x, bottom + 4), INK)
        if x - free > 30:
            draw.text((x, bottom + 7), str(step), INK, anchor="mt")
            free = x
    for k, line in enumerate(lines.values()):
        at = [place(*point) for point in line]
        colour = COLOURS[k % len(COLOURS)]
        if len(at) > 1:
            draw.line(at, colour, 2)
        for x, y in at:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
