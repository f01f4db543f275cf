"""Clocks on which several runs are shown together.

A clock gives each state of a run a place. At a tick every run shows its latest state at or before the tick,
or its first one. States are never interpolated: each picture shown is a state of the sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OptionError, unknown
from ..imaging.frame import Frame

MOST_TICKS = 400  # of a clock that counts whole numbers; more are thinned out evenly
_FEWEST, _MOST = 48, 200  # ticks of a clock without whole numbers
# Within this log-SNR, either way, pictures change most: ticks are so many times as dense there.
_CHANGES, _DENSER = 5.0, 4.0
# Beyond this log-SNR, either way, nothing changes visibly: exp(-5) of picture or noise is under two shades.
VISIBLE = 10.0
INTO_NOISE = "into noise"  # the part of frames on a picture's way into noise, as `runs.segments` names it


@dataclass(frozen=True)
class Clock:
    """A measure of how far a run is. `place(frames, seconds)` returns the place of each frame, `whole` is
    true where places are whole numbers, and `tick_text` returns a tick as text.
    """

    label: str
    help: str
    whole: bool
    place: Callable[[Sequence[Frame], Sequence[float]], list[float]]
    tick_text: Callable[[float], str]


def _levels(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    return [frame.level.log_snr for frame in frames]


def _steps(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    return [float(frame.index) for frame in frames]


def _calls(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    """The network calls that were needed to reach each state. A frame also counts the call that predicts x0
    from its state, which is not needed to reach it; the finished picture has no such call.
    """
    return [float(frame.calls - (frame.index < frame.total)) for frame in frames]


def _seconds(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    return list(seconds)


def _say_level(tick: float) -> str:
    if math.isinf(tick):
        return "clean" if tick > 0 else "pure noise"
    if tick < -VISIBLE:
        return "pure noise"
    return f"log-SNR {tick:.1f}"


CLOCKS: dict[str, Clock] = {
    "log-snr": Clock(
        "Noise level",
        "The runs are side by side at equal noise (log-SNR), which shows best where they part.",
        False,
        _levels,
        _say_level,
    ),
    "calls": Clock(
        "Network calls",
        "The runs are side by side after equally many network calls, which is what a run costs.",
        True,
        _calls,
        "{:.0f} calls".format,
    ),
    "steps": Clock(
        "Steps",
        "The runs are side by side at the same step: step 20 of 40 beside step 20 of 20.",
        True,
        _steps,
        "step {:.0f}".format,
    ),
    "seconds": Clock(
        "Seconds",
        "The runs are side by side after equal computing time, measured while they ran: seconds "
        "of this machine at that moment.",
        False,
        _seconds,
        "{:.2f} s".format,
    ),
}


def check_clock(name: str) -> Clock:
    """The clock of this name; an `OptionError` lists the names that there are."""
    if name not in CLOCKS:
        raise unknown("clock", name, CLOCKS)
    return CLOCKS[name]


def places(clock: str, frames: Sequence[Frame], seconds: Sequence[float]) -> np.ndarray:
    """The place of each state on a clock; places never fall. After RePaint jumps back into noise, a state
    counts as reached once the run is past its cleanest state so far.

    Raises `OptionError` for noise levels of a run that goes into noise first: there each level comes twice.
    """
    kind = check_clock(clock)
    if kind is CLOCKS["log-snr"] and any(frame.part == INTO_NOISE for frame in frames):
        raise OptionError(
            "clock",
            "One of the runs goes into noise first and passes each noise level twice, so it has no one place "
            "on the clock log-snr. Choose the clock steps, calls or seconds.",
        )
    return np.maximum.accumulate(np.array(kind.place(frames, seconds), np.float64))


def ticks(clock: str, runs: Sequence[np.ndarray], count: int | None = None) -> np.ndarray:
    """The ticks of a clock for the `places` of several runs, rising from the first start to the last end.

    Whole numbers one by one. Noise levels and seconds evenly, `count` of them. Left out: two for each state
    of the longest run, within limits, and most noise levels where pictures change, log-SNR -5 to 5. What is
    noisier or cleaner than can be seen, log-SNR -10 and 10, is one tick at each end: pure noise, and the
    clean picture.
    """
    kind, even = check_clock(clock), count is not None
    every = np.concatenate(list(runs))
    finite = every[np.isfinite(every)]
    if kind.whole:
        low, high = int(finite.min()), int(finite.max())
        most = MOST_TICKS if count is None else count
        return np.unique(np.linspace(low, high, min(high - low + 1, most)).round())
    if count is None:
        count = min(_MOST, max(_FEWEST, 2 * max(map(len, runs))))
    if clock == "seconds":
        return np.linspace(0, finite.max(), max(2, count))
    ends = [np.unique(every[every < -VISIBLE])[:1], np.unique(every[every > VISIBLE])[-1:]]
    inner = np.clip(finite, -VISIBLE, VISIBLE)
    if len(inner):
        wanted = max(2, count - sum(map(len, ends)))
        inner = np.unique(_spread(inner.min(), inner.max(), wanted, 1.0 if even else _DENSER))
    return np.concatenate([ends[0], inner, ends[1]])


def _spread(low: float, high: float, count: int, denser: float) -> np.ndarray:
    """Numbers from low to high, the given number of times denser within +-`_CHANGES` than outside."""
    knots = np.array([low, *(one for one in (-_CHANGES, _CHANGES) if low < one < high), high])
    middles = (knots[:-1] + knots[1:]) / 2
    weights = np.diff(knots) * np.where(np.abs(middles) < _CHANGES, denser, 1.0)
    passed = np.concatenate([[0.0], np.cumsum(weights)])
    return np.interp(np.linspace(0, passed[-1], count), passed, knots)


def reached(places: np.ndarray, tick: float) -> int:
    """The number of the latest state at or before a tick; the first one where none is."""
    slack = 1e-9 * max(1.0, abs(tick)) if math.isfinite(tick) else 0.0
    return max(0, int(np.searchsorted(places, tick + slack, side="right")) - 1)
