"""Paths that are regular in the noise itself, whatever the network's label: found in log-SNR, then mapped to
t.

They work on sigma / alpha, the noise beside a picture of scale 1: the sigma of variance exploding (EDM), to
which every process is a rescaling. The labels are fractional. The noisiest level is always visited first;
where that is pure noise (sigma / alpha infinite), the rule runs as if it were at log-SNR -10, about where
DDPM's linear schedule ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import OptionError
from ...options import option
from ..schedule import SCHEDULES, NoiseSchedule
from .base import Spacing

PURE_NOISE = -10.0


@dataclass(frozen=True)
class Karras(Spacing):
    """sigma^(1/rho) falls evenly (Karras et al. 2022, eq. 5): the larger rho, the more steps at little
    noise.
    """

    rho: float = option(
        7.0,
        "How strongly steps crowd at little noise: 1 is even in sigma, 7 is EDM's choice.",
        low=1.0,
        high=20.0,
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        most, least = ends(schedule)
        # sigma / sigma_max to the 1/rho-th, which neither overflows nor underflows
        low = math.exp((most - least) / 2 / self.rho)
        return at(schedule, most - 2 * self.rho * np.log(np.linspace(1, low, steps)))


@dataclass(frozen=True)
class Exponential(Spacing):
    """log sigma falls as a power of an even ramp; power 1, evenly, is k-diffusion's "exponential"."""

    power: float = option(
        1.0,
        "Power of the ramp: 1 is even in log sigma, more crowds steps at little noise.",
        low=0.5,
        high=10.0,
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        most, least = ends(schedule)
        return at(schedule, least + (most - least) * np.linspace(1, 0, steps) ** self.power)


@dataclass(frozen=True)
class LogSNR(Spacing):
    """Evenly in log-SNR with both ends (Lu et al. 2022, DPM-Solver, section 3.4): the levels of
    `Exponential` at power 1.
    """

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        return at(schedule, np.linspace(*ends(schedule), steps))


@dataclass(frozen=True)
class Follow(Spacing):
    """Walk this network along another schedule's curve: evenly in that schedule's t, as far as both have the
    levels.

    So a network trained with the linear schedule spends its steps as one trained with the cosine would.
    """

    follow: str = option(
        "cosine",
        "The noise schedule to follow.",
        choices=tuple(name for name in SCHEDULES if name != "table"),
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        other = SCHEDULES[self.follow]()
        most = max(one.level(one.t_max).log_snr for one in (schedule, other))
        least = min(one.level(one.t_min).log_snr for one in (schedule, other))
        if schedule.t_min == schedule.t_max:
            return at(schedule, [0.0])
        if most > least:
            raise OptionError(
                "spacing.follow",
                f"This model's schedule and {self.follow} have no noise level in common. Follow another one.",
            )
        along = np.linspace(other.timestep(most), other.timestep(least), steps)
        return at(schedule, [other.level(float(t)).log_snr for t in along])


def ends(schedule: NoiseSchedule) -> tuple[float, float]:
    """The log-SNR of the most and of the least noise, the first one finite (see above)."""
    if schedule.t_min == schedule.t_max:  # a single level, of which `at` takes the label alone
        return 0.0, 0.0
    least = schedule.level(schedule.t_min).log_snr
    most = schedule.level(schedule.t_max).log_snr
    return most if math.isfinite(most) else min(PURE_NOISE, least - 1), least


def at(schedule: NoiseSchedule, log_snr: np.ndarray | list[float]) -> np.ndarray:
    """The labels at rising log-SNRs, the first one that of the most noise."""
    found = np.array([schedule.timestep(float(one)) for one in log_snr])
    found[0] = schedule.t_max
    return found
