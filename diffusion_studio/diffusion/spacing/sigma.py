"""Spacings that are regular in the noise, computed in log-SNR and then mapped to labels t.

They use sigma / alpha, the sigma of a variance exploding process (EDM), to which every process can be
rescaled. Labels are fractional. The noisiest level is always visited first. If it is pure noise (sigma /
alpha is infinite), the rule takes log-SNR -10 for it, about where DDPM's linear schedule ends.
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
    """sigma^(1/rho) is evenly spaced (Karras et al. 2022, eq. 5).

    A larger rho gives more steps at little noise.
    """

    rho: float = option(
        7.0,
        "How strongly steps concentrate at little noise: 1 is even in sigma, 7 is EDM's choice.",
        low=1.0,
        high=20.0,
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        most, least = log_snr_ends(schedule)
        # (sigma / sigma_max)^(1/rho), which neither overflows nor underflows
        low = math.exp((most - least) / 2 / self.rho)
        return labels_at(schedule, most - 2 * self.rho * np.log(np.linspace(1, low, steps)))


@dataclass(frozen=True)
class Exponential(Spacing):
    """log sigma is a power of an even ramp. Power 1, evenly spaced, is "exponential" in k-diffusion."""

    power: float = option(
        1.0,
        "Power of the ramp: 1 is even in log sigma, larger values concentrate steps at little noise.",
        low=0.5,
        high=10.0,
    )

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        most, least = log_snr_ends(schedule)
        return labels_at(schedule, least + (most - least) * np.linspace(1, 0, steps) ** self.power)


@dataclass(frozen=True)
class LogSNR(Spacing):
    """Evenly spaced in log-SNR with both ends (Lu et al. 2022, DPM-Solver, section 3.4).

    These are the levels of `Exponential` with power 1.
    """

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        return labels_at(schedule, np.linspace(*log_snr_ends(schedule), steps))


@dataclass(frozen=True)
class Follow(Spacing):
    """Evenly spaced in the label t of another schedule, over the log-SNRs that both schedules have.

    With it a network of the linear schedule visits the noise levels of a run on the cosine schedule, for
    example. Raises `OptionError` if the schedules have no log-SNR in common.
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
            return labels_at(schedule, [0.0])
        if most > least:
            raise OptionError(
                "spacing.follow",
                f"This model's schedule and {self.follow} have no noise level in common. Follow another one.",
            )
        along = np.linspace(other.timestep(most), other.timestep(least), steps)
        return labels_at(schedule, [other.level(float(t)).log_snr for t in along])


def log_snr_ends(schedule: NoiseSchedule) -> tuple[float, float]:
    """The log-SNRs of the most and of the least noise. That of pure noise is replaced, see above."""
    if schedule.t_min == schedule.t_max:  # a single level: `labels_at` ignores the log-SNR
        return 0.0, 0.0
    least = schedule.level(schedule.t_min).log_snr
    most = schedule.level(schedule.t_max).log_snr
    return most if math.isfinite(most) else min(PURE_NOISE, least - 1), least


def labels_at(schedule: NoiseSchedule, log_snr: np.ndarray | list[float]) -> np.ndarray:
    """The labels at ascending log-SNRs. The first one is replaced by the label of the most noise."""
    labels = np.array([schedule.timestep(float(one)) for one in log_snr])
    labels[0] = schedule.t_max
    return labels
