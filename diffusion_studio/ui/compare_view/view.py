"""The view's Python half: its `gr.HTML`, and a race or grid as what the page draws.

Everything is sent once: of each run the frames that the ticks show, in one lossless WebP, x beside x0.
"""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ...compare.clocks import CLOCKS
from ...compare.curve_plot import CurvePlot
from ...compare.drawing import drawing, picked
from ...compare.grid import Grid
from ...compare.race import Race
from ...export import ExportOptions
from ...export.render import canvas
from ...imaging.arrays import to_pil
from ...imaging.frame import Frame
from ...imaging.layout import Layout

MAX_PIXELS = 4_000_000  # of all runs together; of more only some ticks are sent
_FEWEST_TICKS = 12
_POINTS = 160  # pixels of a cloud
_WIDTH = 1000  # of the curve's own units


EXAMPLE = Path(__file__).with_name("example.json")  # a race to begin with; scripts/page_pictures.py makes it


def compare_view(**kwargs: Any) -> gr.HTML:
    """The component; its value is what `shown_value` makes."""
    here = Path(__file__).parent

    def example(args: object = None) -> dict[str, Any]:
        """The recorded race that is shown before the first run."""
        return json.loads(EXAMPLE.read_text("utf-8"))

    return gr.HTML(
        None,
        html_template=(here / "view.html").read_text("utf-8"),
        css_template=(here / "view.css").read_text("utf-8"),
        js_on_load=(here / "view.js").read_text("utf-8"),
        server_functions=[example],
        apply_default_css=False,
        **kwargs,
    )


def shown_value(shown: Race | Grid) -> dict[str, Any]:
    """A race or a grid for the page: its ticks with the frame of each run, the frames, words and curve."""
    race = isinstance(shown, Race)
    lanes = shown.lanes
    points = lanes[0].frames[0].of_points
    drawn = drawing(shown, ExportOptions(view="both", scale=1 if not points else max(1, _POINTS // 64)))
    height, width, _ = canvas(drawn._runs[0][0], drawn._laid).shape
    most = max(_FEWEST_TICKS, MAX_PIXELS // (height * width * len(lanes)))
    ticks = picked(len(shown.ticks), most)
    clock = CLOCKS[shown.recipe.clock]
    numbers = [shown.numbers(tick) for tick in ticks]
    runs = [_run(drawn, k, [one[k] for one in numbers]) for k in range(len(lanes))]
    value = {
        "clock": clock.label,
        "ticks": [clock.says(float(shown.ticks[tick])) for tick in ticks],
        "runs": runs,
        "of": len(shown.ticks),
    }
    if race:
        titles = [", ".join(one) or "the same settings" for one in shown.titles]
        return {**value, "titles": titles, **_curve(shown, numbers)}
    recipe = shown.recipe
    return {
        **value,
        "x": {"name": recipe.x.name, "values": recipe.x.words()},
        "y": None if recipe.y is None else {"name": recipe.y.name, "values": recipe.y.words()},
        "calls": shown.network_calls,
    }


def _run(drawn: Any, number: int, places: list[int]) -> dict[str, Any]:
    """The frames of a run that are shown, each once, and which of them at each tick."""
    lane = drawn._lanes[number]
    kept = sorted(set(places))
    pictures = np.stack([canvas(drawn._runs[number][place], drawn._laid) for place in kept])
    layout = Layout.square(len(kept))
    buffer = io.BytesIO()
    to_pil(layout.sheet(pictures)).convert("RGB").save(buffer, "WEBP", lossless=True, quality=40, method=1)
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
    words = [f"step {frame.index} of {frame.total}", f"{calls:.0f} of {lane.calls} calls"]
    if isinstance(drawn.shown, Race):
        words.append(f"{lane.seconds[place]:.2f} s")
    return ", ".join(words)


def _curve(race: Race, numbers: list[tuple[int, ...]]) -> dict[str, Any]:
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
