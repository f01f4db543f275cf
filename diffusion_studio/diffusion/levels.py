"""A run's levels that know their schedule, and levels between them for solvers that look at intermediate points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .schedule import NoiseLevel

if TYPE_CHECKING:
    from .schedule import NoiseSchedule


class Levels(tuple):
    """A tuple of NoiseLevels with the schedule that they belong to; slices keep it."""

    schedule: NoiseSchedule

    def __new__(cls, levels: Iterable[NoiseLevel], schedule: NoiseSchedule) -> Levels:
        made = super().__new__(cls, levels)
        made.schedule = schedule
        return made

    def __getnewargs__(self) -> tuple:
        return tuple(self), self.schedule

    def __getitem__(self, at):  # noqa: ANN001, ANN204 - as tuple's
        found = super().__getitem__(at)
        return Levels(found, self.schedule) if isinstance(at, slice) else found


def level_at(levels: Sequence[NoiseLevel], log_snr: float) -> NoiseLevel:
    """The level of a log-SNR in the process that `levels` come from.

    `Levels` ask their schedule, which holds still at its own ends. A plain sequence says which kind of process it
    is (alpha constant: variance exploding; alpha + sigma = 1: flow; else alpha^2 + sigma^2 = 1) and its t are
    interpolated linearly in log-SNR, and extrapolated beyond the ends; it needs two levels of finite log-SNR.
    """
    if isinstance(levels, Levels):
        return levels.schedule.level(levels.schedule.timestep(log_snr))
    inner = sorted((level for level in levels if math.isfinite(level.log_snr)), key=lambda level: level.log_snr)
    return _pair(inner, log_snr, _line([level.log_snr for level in inner], [level.t for level in inner], log_snr))


def level_at_time(levels: Sequence[NoiseLevel], t: float) -> NoiseLevel:
    """The level of a time label, as `level_at` finds that of a log-SNR."""
    if isinstance(levels, Levels):
        return levels.schedule.level(t)
    inner = sorted((level for level in levels if math.isfinite(level.log_snr)), key=lambda level: level.t)
    return _pair(inner, _line([level.t for level in inner], [level.log_snr for level in inner], t), t)


def _line(xs: list[float], ys: list[float], x: float) -> float:
    """Piecewise linear through the points, straight on beyond them."""
    if len(xs) == 1:
        return ys[0]
    k = min(max(int(np.searchsorted(xs, x)), 1), len(xs) - 1)
    return ys[k - 1] + (ys[k] - ys[k - 1]) * (x - xs[k - 1]) / (xs[k] - xs[k - 1])


def _pair(inner: Sequence[NoiseLevel], log_snr: float, t: float) -> NoiseLevel:
    first = inner[0]
    ratio = math.exp(-log_snr / 2)                                      # sigma / alpha
    if all(math.isclose(level.alpha, first.alpha, rel_tol=1e-9) for level in inner) and first.alpha == 1:
        return NoiseLevel(t, 1.0, ratio)
    if all(math.isclose(level.alpha + level.sigma, 1, rel_tol=1e-9) for level in inner):
        return NoiseLevel(t, 1 / (1 + ratio), ratio / (1 + ratio))
    return NoiseLevel(t, 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio))
