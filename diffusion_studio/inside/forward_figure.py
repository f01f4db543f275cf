"""The forward process as a figure that plays: a row for each schedule, and the schedules' curves."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ..diffusion.schedule import NoiseLevel
from ..errors import unknown
from ..imaging.picture import Picture
from . import drawing
from .figure import Cell, Curves, Figure, Film, Histogram
from .forward_pictures import WAYS, Process, histogram, schedule_curves

TITLES = {
    "closed": "At once (closed form)",
    "iterated": "Step by step",
    "unscaled": "Step by step, without the factor",
}
_CURVES = {
    "alpha_bar": "ᾱ: what is left of the picture",
    "log_snr": "log-SNR",
    "beta": "β of one step",
}


def example() -> Picture:
    """The bundled photograph, 160 by 160 in colour; its licence is in pictures/README.md."""
    return Picture.open(Path(__file__).with_name("pictures") / "cat.jpg")


# What a state looks like, by the share of noise in what is seen up to which it does.
_LOOKS = (
    (0.15, "the picture is clear"),
    (0.6, "it is still easy to recognise"),
    (0.88, "the shape is still there"),
    (0.96, "only large shapes are left"),
    (0.993, "the eye hardly finds it"),
    (1.0, "nothing of the picture can be seen"),
)


def told(process: Process) -> list[tuple[str, str]]:
    """For each state a plain sentence, and its numbers in symbols.

    The percentage is sigma^2 / (alpha^2 + sigma^2), as everywhere in the program. What the eye still finds
    is told by how strong this picture is, sigma^2 / (alpha^2 mean(x0^2) + sigma^2).
    """
    power = float((process.closed[0] ** 2).mean())
    found = []
    for one in process.levels:
        if not one.sigma:
            found.append(("No noise yet: this is the picture itself.", "t = 0, ᾱ = 1"))
            continue
        seen = one.sigma**2 / (one.alpha**2 * power + one.sigma**2)
        looks = next(words for most, words in _LOOKS if seen <= most)
        noise = one.sigma**2 / (one.alpha**2 + one.sigma**2)
        percent = f"{100 * noise:.0f}" if noise < 0.995 else "More than 99"
        found.append(
            (
                f"{percent} % noise: {looks}.",
                f"t = {one.t:.3g}, ᾱ = {one.alpha**2:.3g}, noise variance {one.sigma**2:.3g}, "
                f"log-SNR {one.log_snr:.2g}",
            )
        )
    return found


def forward_figure(
    processes: Sequence[Process],
    ways: Collection[str] = ("closed", "iterated"),
    histograms: bool = True,
    curves: Collection[str] = ("alpha_bar", "log_snr", "beta", "variance"),
) -> Figure:
    """`processes` have equally many steps. `ways` of `WAYS` and the histogram of the last of them make a row.

    `curves` are those of the schedules, and `variance`, that of the pixels in each way.
    """
    for way in ways:
        if way not in TITLES:
            raise unknown("way", way, TITLES)
    first = processes[0]
    shares = _shares(first)
    rows = [(one.name, _cells(one, [way for way in WAYS if way in ways], histograms)) for one in processes]
    drawn = [_schedules(processes, name, shares) for name in _CURVES if name in curves]
    if "variance" in curves:
        drawn.append(_variances(processes, ways, shares))
    labels = [
        f"Step {k} of {first.steps}. " + "  ".join(f"{one.name}: {_share_left(one, k)}" for one in processes)
        for k in range(first.steps + 1)
    ]
    return Figure(first.steps + 1, rows, drawn, labels)


def _shares(process: Process) -> np.ndarray:
    """t of each state as a share of the schedule's whole time."""
    low, high = process.schedule.t_min, process.schedule.t_max
    return np.array([(max(one.t, low) - low) / max(high - low, 1e-12) for one in process.levels])


def _share_left(process: Process, k: int) -> str:
    level = process.levels[k]
    if not level.sigma:
        return "the picture itself."
    noise, whole = level.sigma**2, level.alpha**2 + level.sigma**2  # 1, but for schedules that let it grow
    said = f"{100 * level.alpha**2 / whole:.0f}% picture, {100 * noise / whole:.0f}% noise"
    return f"{said} (t = {level.t:.3g}, ᾱ = {level.alpha**2:.3g}, noise variance {noise:.3g})."


def _cells(process: Process, ways: Sequence[str], histograms: bool) -> list[Cell]:
    cells: list[Cell] = []
    variances = process.kept_variances
    for way in ways:
        states = getattr(process, way)
        scales = [1.0 if way == "unscaled" else _largest(level) for level in process.levels]
        pictures = np.stack([drawing.picture(x / scale) for x, scale in zip(states, scales)])
        grey = states.shape[1] == 1
        captions = [f"variance {v:.2f}" for v in variances[way]]
        cells.append(Film(TITLES[way], pictures[..., :1] if grey else pictures, captions))
    if histograms and ways:
        last = ways[-1]
        found = [histogram(x) for x in getattr(process, last)]
        title = f"Pixels, {TITLES[last].lower()}"
        cells.append(Histogram(title, found[0][0], np.stack([one[1] for one in found]), found[0][2]))
    return cells


def _largest(level: NoiseLevel) -> float:
    """What a state is divided by to be shown: more than 1 where the schedule does not keep the variance."""
    return max(math.hypot(level.alpha, level.sigma), 1.0)


def _schedules(processes: Sequence[Process], name: str, at: np.ndarray) -> Curves:
    series = []
    for one in processes:
        found = schedule_curves(one.schedule, 120)
        share = (found["t"] - found["t"].min()) / max(float(np.ptp(found["t"])), 1e-12)
        series.append((one.name, share, found[name]))
    return Curves(_CURVES[name], series, "t / T", at, log=name == "beta")


def _variances(processes: Sequence[Process], ways: Collection[str], at: np.ndarray) -> Curves:
    """Of the pixels in each way, and as it should be."""
    series, looks = [], []
    for dashes, way in enumerate(WAYS):
        for colour, one in enumerate(processes):
            if way in ways:
                series.append((f"{one.name}, {way}", _shares(one), one.kept_variances[way]))
                looks.append((colour, dashes))  # the colour of its schedule, as in the other charts
    return Curves("variance of the pixels", series, "t / T", at, log="unscaled" in ways, looks=looks)
