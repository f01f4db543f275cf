"""Paths that are regular in the label t itself.

On a discrete schedule all but `Quadratic` visit whole timesteps, as their papers do, and round a half to
even, as diffusers does; in continuous time nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...options import option
from ..schedule import NoiseSchedule
from .base import Spacing


@dataclass(frozen=True)
class Trailing(Spacing):
    """Evenly from the very last timestep down (Lin et al. 2023, table 2). Starts at pure noise: best for
    few steps.
    """

    whole: ClassVar[bool] = True

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        if schedule.discrete:
            return np.round(schedule.timesteps * np.arange(steps, 0, -1) / steps) - 1
        gap = (schedule.t_max - schedule.t_clean) / steps  # the last step arrives at the clean picture
        return np.linspace(schedule.t_max, max(schedule.t_clean + gap, schedule.t_min), steps)


@dataclass(frozen=True)
class Leading(Spacing):
    """Every (T // n)-th timestep up from 0 (Song et al. 2020, DDIM). Never visits the noisiest levels."""

    whole: ClassVar[bool] = True

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        if schedule.discrete:
            return np.arange(steps)[::-1] * float(schedule.timesteps // steps)
        return schedule.t_min + np.arange(steps)[::-1] * ((schedule.t_max - schedule.t_min) / steps)


@dataclass(frozen=True)
class Linspace(Spacing):
    """Evenly with both ends included (Nichol & Dhariwal 2021, section 4). A single step starts at the
    noisiest.
    """

    whole: ClassVar[bool] = True

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        found = np.linspace(schedule.t_max, schedule.t_min, steps)
        return np.round(found) if schedule.discrete else found


@dataclass(frozen=True)
class Quadratic(Spacing):
    """t grows as a square (Song et al. 2020, DDIM, appendix D.2): close steps where little noise is left.

    Not rounded, so that close ones stay apart. Reach 0.8 begins where the DDIM authors' code does, below pure
    noise.
    """

    reach: float = option(
        1.0,
        "Where the path begins, as a share of the way to the noisiest level; 0.8 in DDIM's code.",
        low=0.05,
        high=1.0,
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        share = np.linspace(1, 0, steps) ** 2 * self.reach
        return schedule.t_min + share * (schedule.t_max - schedule.t_min)
