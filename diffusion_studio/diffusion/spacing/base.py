"""The base class of spacings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import options
from ..schedule import CLEAN, NoiseLevel, NoiseSchedule

MOST_STEPS = 10_000  # of a spacing that may visit fractional labels


@dataclass(frozen=True)
class Spacing:
    """Base class of spacings: frozen dataclasses of options whose call gives the labels that a run visits.

    `spacing(schedule, steps)` returns strictly falling labels t of the schedule, noisiest first, (steps,)
    float64. A spacing that visits levels outside the schedule, or does not end at the clean picture,
    overrides `levels` instead. `path` checks `steps` first.
    """

    whole: ClassVar[bool] = False  # whether it visits only whole labels of a discrete schedule, at most T

    def __post_init__(self) -> None:
        options.check(self, "spacing")

    @property
    def count(self) -> int | None:
        """The number of steps if the spacing's options determine it, else None."""
        return None

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        raise NotImplementedError

    def levels(self, schedule: NoiseSchedule, steps: int) -> tuple[NoiseLevel, ...]:
        """The steps + 1 levels of a run, noisiest first, with the end."""
        return *(schedule.level(float(t)) for t in self(schedule, steps)), CLEAN

    def start_spread(self, level: NoiseLevel) -> float:
        """The standard deviation of the initial noise: that of data of unit variance at the first level."""
        return math.hypot(level.alpha, level.sigma)

    def most(self, schedule: NoiseSchedule) -> int:
        """The largest number of steps on a schedule."""
        whole = self.whole and schedule.discrete or schedule.t_min == schedule.t_max
        return schedule.timesteps if whole else max(schedule.timesteps, MOST_STEPS)
