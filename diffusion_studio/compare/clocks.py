"""Clocks on which several runs are shown together: where each state stands on one, and its ticks.

At a tick every run shows the latest state that it has reached, or its first one before that. States are
never mixed: what is seen is a state that the sampler had.
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
# Beyond this log-SNR, either way, there is nothing to see: exp(-5) of picture or noise is under two shades.
SEEN = 10.0
INTO_NOISE = "into noise"  # the part of frames on a picture's way into noise, as `runs.segments` names it


@dataclass(frozen=True)
class Clock:
    """A way to count how far a run is. `place(frames, seconds)` gives the place of each frame; `whole` says
    that places are whole numbers; `says` words a tick.
    """

    label: str
    help: str
    whole: bool
    place: Callable[[Sequence[Frame], Sequence[float]], list[float]]
    says: Callable[[float], str]


def _levels(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    return [frame.level.log_snr for frame in frames]


def _steps(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    return [float(frame.index) for frame in frames]


def _calls(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    """Network calls made when a state was reached. A frame's own count includes the call that predicts x0
    from the state, which the finished picture has not.
    """
    return [float(frame.calls - (frame.index < frame.total)) for frame in frames]


def _seconds(frames: Sequence[Frame], seconds: Sequence[float]) -> list[float]:
    return list(seconds)


def _say_level(tick: float) -> str:
    if math.isinf(tick):
        return "clean" if tick > 0 else "pure noise"
    return f"log-SNR {tick:.1f}"


CLOCKS: dict[str, Clock] = {
    "log-snr": Clock("Noise level", "The log-SNR of the states.", False, _levels, _say_level),
    "calls": Clock("Network calls", "How often the network was asked.", True, _calls, "{:.0f} calls".format),
    "steps": Clock("Steps", "The number of the step.", True, _steps, "step {:.0f}".format),
    "seconds": Clock("Seconds", "Measured computing time.", False, _seconds, "{:.2f} s".format),
}


def check_clock(name: str) -> Clock:
    """The clock of this name; an `OptionError` lists the names that there are."""
    if name not in CLOCKS:
        raise unknown("clock", name, CLOCKS)
    return CLOCKS[name]


def places(clock: str, frames: Sequence[Frame], seconds: Sequence[float]) -> np.ndarray:
    """Where each state stands on a clock, never falling: after RePaint's jumps back a state counts as
    reached when the run is past the least noise that it had before.

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

    Whole numbers one by one. Noise levels and seconds evenly, `count` of them (left out: two for each state
    of the longest run, within limits). What is noisier or cleaner than can be seen, log-SNR -10 and 10, is
    one tick at each end: pure noise, and the clean picture.
    """
    kind = check_clock(clock)
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
    ends = [np.unique(every[every < -SEEN])[:1], np.unique(every[every > SEEN])[-1:]]
    inner = np.clip(finite, -SEEN, SEEN)
    if len(inner):
        inner = np.unique(np.linspace(inner.min(), inner.max(), max(2, count - sum(map(len, ends)))))
    return np.concatenate([ends[0], inner, ends[1]])


def reached(places: np.ndarray, tick: float) -> int:
    """The number of the latest state at or before a tick; the first one where none is."""
    slack = 1e-9 * max(1.0, abs(tick)) if math.isfinite(tick) else 0.0
    return max(0, int(np.searchsorted(places, tick + slack, side="right")) - 1)
