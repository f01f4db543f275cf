"""A table of figures over samplers, steps and guidance, as CSV and as a plot."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..errors import ExportError

if TYPE_CHECKING:
    from PIL import ImageDraw

# column: (figure, entry in its report, title)
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
    "psnr": ("psnr", "value", "PSNR to the original, dB (more is better)"),
    "energy": ("energy", "value", "energy distance (less is better)"),
    "to_real": ("nearest", "to_real", "distance to the nearest real point"),
    "from_real": ("nearest", "from_real", "distance of real ones to the nearest"),
}
Row = Mapping[str, Any]
PANEL, MARGIN, PER_ROW = (420, 300), 72, 3
INK, PALE, PAPER = (40, 40, 40), (215, 215, 215), (255, 255, 255)
COLOURS = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (120, 90, 60),
    (0, 0, 0),
)


def row(
    sampler: str, steps: int, report: Mapping[str, Any], guidance: float | str | None = None
) -> dict[str, Any]:
    """One row of the table, from a report of `evaluate`: sampler, steps, guidance if given, number of
    pictures or points, and figures.
    """
    figures, unit = report["figures"], "points" if "points" in report else "pictures"
    entries = {
        "sampler": sampler,
        "steps": steps,
        **({} if guidance is None else {"guidance": guidance}),
        unit: report.get(unit),
    }
    for name, (figure, entry, _) in COLUMNS.items():
        if figure in figures:
            entries[name] = figures[figure][entry]
    return entries


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows, with the columns of the first one. Raises `ExportError` if that fails."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    try:
        files.write_text(path, text.getvalue())
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({files.why(error)}). {files.advice(error)}") from error


def write_plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write a PNG with a panel for each figure: its value over log(steps), one line for each sampler and
    guidance.

    If only the guidance has several values, it is the horizontal axis. Raises `ExportError` if writing fails.
    """
    from PIL import Image, ImageDraw, ImageFont

    names = [name for name in COLUMNS if name in rows[0]]
    across = min(len(names), PER_ROW)
    down = math.ceil(len(names) / across)
    axis, lines = _lines(rows)
    head = 34 + 20 * len(lines)
    picture = Image.new("RGB", (across * PANEL[0], head + down * PANEL[1]), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.font = ImageFont.load_default(13)
    draw.text((MARGIN, 10), f"{title}, over {axis}", INK)
    for k, line in enumerate(lines):
        y = 38 + 20 * k
        draw.line((MARGIN, y, MARGIN + 24, y), COLOURS[k % len(COLOURS)], 3)
        draw.text((MARGIN + 32, y - 8), line, INK)
    for k, name in enumerate(names):
        corner = k % across * PANEL[0], head + k // across * PANEL[1]
        _panel(
            draw,
            corner,
            COLUMNS[name][2],
            {
                line: sorted((entry[axis], entry[name]) for entry in entries)
                for line, entries in lines.items()
            },
            math.log if axis == "steps" else float,
        )
    try:
        with files.replacing(path) as draft:
            picture.save(draft, "PNG")
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({files.why(error)}). {files.advice(error)}") from error


def _lines(rows: Sequence[Row]) -> tuple[str, dict[str, list[Row]]]:
    """The column of the horizontal axis, and the rows of each line by name."""
    guidances, steps = ({line.get(name) for line in rows} for name in ("guidance", "steps"))
    axis = "guidance" if len(guidances) > 1 and len(steps) == 1 else "steps"
    by_line: dict[str, list[Row]] = {}
    for line in rows:
        suffix = f", guidance {line['guidance']:g}" if len(guidances) > 1 and axis == "steps" else ""
        by_line.setdefault(line["sampler"] + suffix, []).append(line)
    return axis, by_line


def _panel(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    scale: Callable[[float], float],
) -> None:
    left, top = corner[0] + MARGIN, corner[1] + 28
    right, bottom = corner[0] + PANEL[0] - 20, corner[1] + PANEL[1] - 34
    steps = sorted({step for line in lines.values() for step, _ in line})
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = low - room, high + room
    first, last = scale(steps[0]), scale(steps[-1])

    def place(step: float, value: float) -> tuple[float, float]:
        x = (scale(step) - first) / (last - first) if last > first else 0.5
        return left + 8 + x * (right - left - 16), bottom - (value - low) / (high - low) * (bottom - top)

    draw.text((left, corner[1] + 6), title, INK)
    for k in range(5):
        value = low + (high - low) * (k + 0.5) / 5
        y = place(steps[0], value)[1]
        draw.line((left, y, right, y), PALE)
        draw.text((left - 6, y), f"{value:.3g}", INK, anchor="rm")
    draw.rectangle((left, top, right, bottom), outline=INK)
    free = -math.inf  # where the last label was: labels that would overlap are left out
    for step in steps:
        x = place(step, low)[0]
        draw.line((x, bottom, x, bottom + 4), INK)
        if x - free > 30:
            draw.text((x, bottom + 7), f"{step:g}", INK, anchor="mt")
            free = x
    for k, line in enumerate(lines.values()):
        at = [place(*point) for point in line]
        colour = COLOURS[k % len(COLOURS)]
        if len(at) > 1:
            draw.line(at, colour, 2)
        for x, y in at:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
