"""What all spacings share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import options
from ..schedule import NoiseSchedule

MOST_STEPS = 10_000             # of a path whose labels need not be whole


@dataclass(frozen=True)
class Spacing:
    """A rule for which levels a run visits: a frozen dataclass of options whose call gives the labels.

    `spacing(schedule, steps)` -> (steps,) float64, labels t of the schedule, strictly falling: noisiest first. `path`
    checks `steps` before, and adds the clean end.
    """

    whole: ClassVar[bool] = False                   # whether it visits whole labels of a discrete schedule, so at most T

    def __post_init__(self) -> None:
        options.check(self)

    @property
    def count(self) -> int | None:
        """How many steps it makes, where that is its own matter and not the run's; else None."""
        return None

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        raise NotImplementedError

    def most(self, schedule: NoiseSchedule) -> int:
        """The largest number of steps."""
        whole = self.whole and schedule.discrete or schedule.t_min == schedule.t_max
        return schedule.timesteps if whole else max(schedule.timesteps, MOST_STEPS)
