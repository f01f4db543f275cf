"""A race or a grid as data for the view that plays it, in the app's page and in an exported page.

Of each run it holds the frames that the ticks show, x beside x0, in one lossless WebP.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..export import ExportOptions
from ..export.render import canvas
from ..imaging.arrays import to_pil
from ..imaging.frame import Frame
from ..imaging.layout import Layout
from .clocks import CLOCKS
from .curve_plot import CurvePlot
from .drawing import drawing, evenly_spaced
from .recipes import GridRecipe, RaceRecipe
from .results import GridRuns, RaceRuns, titles

_FEWEST_TICKS = 12
INHERITED = (
    "Inherited are the steps that a branch has of the run before, with their calls. From there on it visits "
    "those noise levels of its own schedule that have less noise, so it makes only some of its steps."
)
MEASURED = "The seconds were measured while the lanes ran."
_POINTS = 160  # pixels of a cloud
_WIDTH = 1000  # of the curve's own units
_SIDE = 16_383  # the most pixels that a side of a WebP has


@dataclass(frozen=True)
class Packing:
    """Limits of the packed frames: the most pixels of all runs together (beyond it only some ticks are kept),
    WebP's `quality` and `method`, which trade time for bytes, and the note about ticks that are left out.
    """

    max_pixels: int
    quality: int
    method: int
    thinned: str


IN_APP = Packing(4_000_000, 40, 1, "a file has all")
IN_FILE = Packing(24_000_000, 75, 4, "one page does not hold more")


def shown_value(
    shown: RaceRuns | GridRuns, options: ExportOptions | None = None, packing: Packing = IN_APP
) -> dict[str, Any]:
    """A race or a grid for the view: its ticks with the frame of each run, the frames, words and curve.

    `options` say which picture is shown, every how many ticks, and how points are drawn.
    """
    given = ExportOptions() if options is None else options
    lanes = shown.lanes
    points = lanes[0].frames[0].of_points
    scale = max(1, _POINTS // 64) if points else 1
    drawn = drawing(shown, replace(given, view="both", scale=scale))
    places = _chosen_ticks(drawn, len(shown.ticks), given.every, packing)
    clock = CLOCKS[shown.recipe.clock]
    numbers = [shown.numbers(tick) for tick in places]
    value = {
        "clock": clock.label,
        "ticks": [clock.tick_text(float(shown.ticks[tick])) for tick in places],
        "runs": [_run(drawn, k, [one[k] for one in numbers], packing) for k in range(len(lanes))],
        "of": len(shown.ticks),
        "note": _note(shown, len(places), given.every, packing),
    }
    if isinstance(shown, RaceRuns):
        return {**value, **_titled(shown.titles), **_curve(shown, numbers)}
    return {**value, **names_of(shown.recipe)}


def names_of(asked: RaceRecipe | GridRecipe) -> dict[str, Any]:
    """The names of the runs, which the view also shows of runs that are not made yet: the titles of lanes, or
    the names and values of a grid's axes.
    """
    if isinstance(asked, RaceRecipe):
        return _titled(titles(asked.lanes))
    y = asked.y
    return {
        "x": {"name": asked.x.name, "values": asked.x.words()},
        "y": None if y is None else {"name": y.name, "values": y.words()},
    }


def _titled(found: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    return {"titles": [", ".join(one) or "the same settings" for one in found]}


def _chosen_ticks(drawn: Any, count: int, every: int, packing: Packing) -> list[int]:
    """Each `every`-th tick and the last, or evenly fewer where the frames would be too many pixels."""
    height, width, _ = canvas(drawn._runs[0][0], drawn._laid).shape
    wanted = sorted({*range(0, count, every), count - 1})
    most = max(_FEWEST_TICKS, packing.max_pixels // (height * width * len(drawn._runs)))
    while most > _FEWEST_TICKS and not _fits(min(most, len(wanted)), width, height):
        most -= 1
    return [wanted[k] for k in evenly_spaced(len(wanted), most)]


def _fits(count: int, width: int, height: int) -> bool:
    """Whether this number of frames fits into one WebP."""
    layout = Layout.square(count)
    return layout.columns * width <= _SIDE and layout.rows * height <= _SIDE


def _note(shown: RaceRuns | GridRuns, ticks: int, every: int, packing: Packing) -> str:
    """What is left out, what ended the runs early, and what a grid cost."""
    notes = [*([shown.ended_text] if shown.ended_text else []), *shown.said]
    if any(lane.inherited for lane in shown.lanes):
        notes.append(INHERITED)
    asked = len({*range(0, len(shown.ticks), every), len(shown.ticks) - 1})
    if ticks < asked:
        notes.append(f"{ticks} of {asked} ticks are shown here; {packing.thinned}.")
    if isinstance(shown, RaceRuns):
        notes.append(MEASURED)
    if isinstance(shown, GridRuns):
        alone = sum(lane.calls for lane in shown.lanes)
        shared = f" (batched: alone they would make {alone})" if alone > shown.network_calls else ""
        notes.append(f"{shown.network_calls} network calls for {len(shown.lanes)} cells{shared}.")
    return " ".join(notes)


def _run(drawn: Any, number: int, places: list[int], packing: Packing) -> dict[str, Any]:
    """The frames of a run that are shown, each once, and which of them at each tick."""
    lane = drawn._lanes[number]
    kept = sorted(set(places))
    pictures = np.stack([canvas(drawn._runs[number][place], drawn._laid) for place in kept])
    layout = Layout.square(len(kept))
    buffer = io.BytesIO()
    settings: dict[str, Any] = {"lossless": True, "quality": packing.quality, "method": packing.method}
    to_pil(layout.sheet(pictures)).convert("RGB").save(buffer, "WEBP", **settings)
    half = (pictures.shape[2] - max(1, (pictures.shape[2] // 2) // 64)) // 2
    return {
        "sheet": base64.b64encode(buffer.getvalue()).decode(),
        "columns": layout.columns,
        "size": [pictures.shape[2], pictures.shape[1]],
        "half": half,
        "tiles": _tiles(lane.frames[0]),
        "at": [kept.index(place) for place in places],
        "said": [_progress(lane, place, drawn) for place in kept],
        "distance": lane.distance,
    }


def _tiles(frame: Frame) -> list[int]:
    """Columns and rows of the pictures of a state."""
    if frame.of_points:
        return [1, 1]
    layout = frame.layout or Layout.square(len(frame.x))
    return [layout.columns, layout.rows]


def _progress(lane: Any, place: int, drawn: Any) -> str:
    frame = lane.frames[place]
    calls = CLOCKS["calls"].place([frame], [0.0])[0]
    words = [lane.step_text(place), f"{calls:.0f} of {lane.calls} calls"]
    if isinstance(drawn.shown, RaceRuns):
        words.append(f"{lane.seconds[place]:.2f} s")
    return ", ".join(words)


def _curve(race: RaceRuns, numbers: list[tuple[int, ...]]) -> dict[str, Any]:
    """The curves as SVG paths in a box of 1000 by 150, and where each lane's marker is at each tick."""
    plot = CurvePlot(race, _WIDTH, (0, 0, 0), (255, 255, 255))
    paths = []
    for lane in race.lanes:
        points = [(-math.inf, 0.0), (math.inf, 0.0)]
        if lane.curve is not None:
            points = list(zip(lane.curve.log_snr, lane.curve.rms))
        placed = [plot.place(*point) for point in points]
        paths.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed))
    markers = []
    for lanes in numbers:
        levels = [lane.frames[place].level.log_snr for lane, place in zip(race.lanes, lanes)]
        placed = [plot.place(level, plot.value(k, level)) for k, level in enumerate(levels)]
        markers.append([[round(x / _WIDTH * 100, 2), round(y / plot.height * 100, 2)] for x, y in placed])
    return {"paths": paths, "markers": markers, "most": plot.most, "low": plot.low, "high": plot.high}
