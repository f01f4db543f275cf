"""Which levels a run visits ("schedule path"): n of the network's T timesteps, noisiest first, then the clean end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import OptionError, unknown
from .schedule import CLEAN, NoiseLevel, NoiseSchedule


def trailing(schedule: NoiseSchedule, steps: int) -> Sequence[float]:
    """Evenly from the very last timestep down (Lin et al. 2023, table 2). Starts at pure noise: best for few steps."""
    at = schedule.timesteps * np.arange(steps, 0, -1) / steps
    return np.floor(at + 0.5) - 1


def leading(schedule: NoiseSchedule, steps: int) -> Sequence[float]:
    """Every (T // n)-th timestep up from 0 (Song et al. 2020, DDIM). Never visits the noisiest levels."""
    return np.arange(steps)[::-1] * (schedule.timesteps // steps)


def linspace(schedule: NoiseSchedule, steps: int) -> Sequence[float]:
    """Evenly with both ends included (Nichol & Dhariwal 2021, section 4). A single step starts at the noisiest."""
    return np.floor(np.linspace(schedule.timesteps - 1, 0, steps) + 0.5)


SPACINGS: dict[str, Callable[[NoiseSchedule, int], Sequence[float]]] = {
    "trailing": trailing,
    "leading": leading,
    "linspace": linspace,
}


def path(schedule: NoiseSchedule, steps: int, spacing: str = "trailing") -> tuple[NoiseLevel, ...]:
    """The steps + 1 levels of a run: `steps` of the schedule, noisiest first, and the clean end."""
    if spacing not in SPACINGS:
        raise unknown("spacing", spacing, SPACINGS)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= schedule.timesteps:
        raise OptionError(f"steps must be a whole number from 1 to {schedule.timesteps}, the timesteps that the "
                          f"model was trained with; got {steps!r}.")
    return *(schedule.level(float(t)) for t in SPACINGS[spacing](schedule, steps)), CLEAN
