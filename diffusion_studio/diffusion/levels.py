"""The noise levels of a run, and levels between them for solvers that evaluate intermediate points."""

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
    """A tuple of NoiseLevels that also gives the levels between them. A slice of it is Levels again.

    With a `schedule`, levels between come from it; beyond its ends it gives its end levels, unless its
    formula is defined there. Without one the kind of process is inferred (alpha = 1: variance exploding;
    alpha + sigma = 1: flow; else alpha^2 + sigma^2 = 1), and t is linear in log-SNR, also beyond the ends.

    `steps` is the number of steps of the whole run. It differs from len - 1 for a part of a run, and for a
    run that visits some levels several times (RePaint).
    """

    schedule: NoiseSchedule | None
    steps: int

    def __new__(
        cls, levels: Iterable[NoiseLevel], schedule: NoiseSchedule | None = None, steps: int | None = None
    ) -> Levels:
        made = super().__new__(cls, levels)
        made.schedule, made.steps = schedule, len(made) - 1 if steps is None else steps
        return made

    @classmethod
    def of(cls, levels: Iterable[NoiseLevel]) -> Levels:
        """The levels themselves where they are Levels, else without a schedule."""
        return levels if isinstance(levels, Levels) else cls(levels)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.schedule, self.steps

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return Levels(found, self.schedule, self.steps) if isinstance(at, slice) else found

    def at(self, log_snr: float) -> NoiseLevel:
        """The process's level of a finite log-SNR. Without a schedule a level of finite log-SNR must be
        among them.
        """
        if self.schedule is not None:
            return self.schedule.level_at(log_snr)
        return self._level(log_snr, _line(self._points, log_snr))

    def at_time(self, t: float) -> NoiseLevel:
        """The process's level of a time label."""
        if self.schedule is not None:
            return self.schedule.level(t)
        return self._level(_line(sorted((b, a) for a, b in self._points), t), t)

    @cached_property
    def _points(self) -> list[tuple[float, float]]:
        """(log-SNR, t), rising, each once."""
        return sorted({level.log_snr: level.t for level in self if math.isfinite(level.log_snr)}.items())

    @cached_property
    def _kind(self) -> str:
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
        norm = {"exploding": 1.0, "flow": 1 + ratio, "preserving": math.hypot(1, ratio)}[self._kind]
        return NoiseLevel(t, 1 / norm, ratio / norm)


def _line(points: list[tuple[float, float]], x: float) -> float:
    """Piecewise linear through the points, straight on beyond them."""
    if len(points) == 1:
        return points[0][1]
    k = min(max(bisect_left(points, (x,)), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[k - 1], points[k]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
