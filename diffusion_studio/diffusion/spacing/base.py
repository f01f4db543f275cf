"""What all spacings share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import options
from ..schedule import CLEAN, NoiseLevel, NoiseSchedule

MOST_STEPS = 10_000  # of a path whose labels need not be whole


@dataclass(frozen=True)
class Spacing:
    """A rule for which levels a run visits: a frozen dataclass of options whose call gives the labels.

    `spacing(schedule, steps)` -> (steps,) float64, labels t of the schedule, strictly falling: noisiest
    first. One that visits levels beside the schedule's own, or ends elsewhere than at the clean picture,
    overrides `levels` instead. `path` checks `steps` before.
    """

    whole: ClassVar[bool] = False  # whether it visits whole labels of a discrete schedule, so at most T

    def __post_init__(self) -> None:
        options.check(self, "spacing")

    @property
    def count(self) -> int | None:
        """How many steps it makes, where that is its own matter and not the run's; else None."""
        return None

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        raise NotImplementedError

    def levels(self, schedule: NoiseSchedule, steps: int) -> tuple[NoiseLevel, ...]:
        """The steps + 1 levels of a run, noisiest first, the end included."""
        return *(schedule.level(float(t)) for t in self(schedule, steps)), CLEAN

    def start_spread(self, level: NoiseLevel) -> float:
        """The standard deviation of the noise that a run begins with: that of pictures of unit variance at
        its first level.
        """
        return math.hypot(level.alpha, level.sigma)

    def most(self, schedule: NoiseSchedule) -> int:
        """The largest number of steps."""
        whole = self.whole and schedule.discrete or schedule.t_min == schedule.t_max
        return schedule.timesteps if whole else max(schedule.timesteps, MOST_STEPS)
