"""The noise levels of a run, and the levels between them, at which some solvers call the network."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .schedule import NoiseLevel

if TYPE_CHECKING:
    from .schedule import NoiseSchedule


class Levels(tuple[NoiseLevel, ...]):
    """A tuple of NoiseLevels that can compute the levels between them. A slice of it is a Levels too.

    Levels between come from the `schedule`. Beyond its ends it gives its end levels, unless its formula is
    defined there. Without a schedule the process is inferred (alpha = 1: variance exploding; alpha + sigma =
    1: flow; else alpha^2 + sigma^2 = 1), and t is interpolated and extrapolated linearly in log-SNR.

    `steps` is the number of steps of the whole run. It differs from len - 1 for a part of a run, and for a
    run that visits levels several times (RePaint).
    """

    schedule: NoiseSchedule | None
    steps: int

    def __new__(
        cls, levels: Iterable[NoiseLevel], schedule: NoiseSchedule | None = None, steps: int | None = None
    ) -> Levels:
        new = super().__new__(cls, levels)
        new.schedule, new.steps = schedule, len(new) - 1 if steps is None else steps
        return new

    @classmethod
    def of(cls, levels: Iterable[NoiseLevel]) -> Levels:
        """The levels as Levels: themselves if they are, else new ones without a schedule."""
        return levels if isinstance(levels, Levels) else cls(levels)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.schedule, self.steps

    def __getitem__(self, at: Any) -> Any:
        item = super().__getitem__(at)
        return Levels(item, self.schedule, self.steps) if isinstance(at, slice) else item

    def at(self, log_snr: float) -> NoiseLevel:
        """The level of the process at a finite log-SNR.

        Without a schedule, at least one of these levels must have a finite log-SNR.
        """
        if self.schedule is not None:
            return self.schedule.level_at(log_snr)
        return self._level(log_snr, _interpolate(self._points, log_snr))

    def at_time(self, t: float) -> NoiseLevel:
        """The level of the process at time label t."""
        if self.schedule is not None:
            return self.schedule.level(t)
        return self._level(_interpolate(sorted((b, a) for a, b in self._points), t), t)

    @cached_property
    def _points(self) -> list[tuple[float, float]]:
        """(log-SNR, t) of the levels with finite log-SNR, in ascending order without duplicates."""
        return sorted({level.log_snr: level.t for level in self if math.isfinite(level.log_snr)}.items())

    @cached_property
    def _process(self) -> str:
        """The kind of process: "exploding", "flow" or "preserving"."""
        inner = [level for level in self if level.alpha and level.sigma]
        if all(level.alpha == 1 for level in inner):
            return "exploding"
        return (
            "flow"
            if all(math.isclose(level.alpha + level.sigma, 1, rel_tol=1e-9) for level in inner)
            else "preserving"
        )

    def _level(self, log_snr: float, t: float) -> NoiseLevel:
        ratio = math.exp(-log_snr / 2)  # sigma / alpha
        norm = {"exploding": 1.0, "flow": 1 + ratio, "preserving": math.hypot(1, ratio)}[self._process]
        return NoiseLevel(t, 1 / norm, ratio / norm)


def _interpolate(points: list[tuple[float, float]], x: float) -> float:
    """Piecewise linear interpolation of sorted points (x, y) at x, extrapolated linearly beyond the ends."""
    if len(points) == 1:
        return points[0][1]
    k = min(max(bisect_left(points, (x,)), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[k - 1], points[k]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
