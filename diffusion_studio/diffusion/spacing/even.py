"""Spacings that are regular in the label t.

On a discrete schedule all except `Quadratic` visit whole timesteps, as in their papers, and round halves to
even, as in diffusers. In continuous time nothing is rounded.
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
    """Evenly spaced down from the last timestep (Lin et al. 2023, table 2). Best for few steps."""

    whole: ClassVar[bool] = True

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        if schedule.discrete:
            return np.round(schedule.timesteps * np.arange(steps, 0, -1) / steps) - 1
        gap = (schedule.t_max - schedule.t_clean) / steps  # the last step arrives at the clean picture
        return np.linspace(schedule.t_max, max(schedule.t_clean + gap, schedule.t_min), steps)


@dataclass(frozen=True)
class Leading(Spacing):
    """Every (T // n)-th timestep from 0 up (Song et al. 2020, DDIM).

    It does not visit the noisiest levels.
    """

    whole: ClassVar[bool] = True

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        if schedule.discrete:
            return np.arange(steps)[::-1] * float(schedule.timesteps // steps)
        return schedule.t_min + np.arange(steps)[::-1] * ((schedule.t_max - schedule.t_min) / steps)


@dataclass(frozen=True)
class Linspace(Spacing):
    """Evenly spaced with both ends (Nichol & Dhariwal 2021, section 4).

    A single step starts at the noisiest.
    """

    whole: ClassVar[bool] = True

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        labels = np.linspace(schedule.t_max, schedule.t_min, steps)
        return np.round(labels) if schedule.discrete else labels


@dataclass(frozen=True)
class Quadratic(Spacing):
    """t is quadratic in the step, so steps are small at little noise (Song et al. 2020, DDIM, appendix D.2).

    Labels are not rounded, so that close ones stay apart. `reach` 0.8 starts as the DDIM authors' code does,
    below the noisiest level.
    """

    reach: float = option(
        1.0,
        "Where the run starts, as a share of the range of t from least to most noise; 0.8 in DDIM's code.",
        low=0.05,
        high=1.0,
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        share = np.linspace(1, 0, steps) ** 2 * self.reach
        return schedule.t_min + share * (schedule.t_max - schedule.t_min)
