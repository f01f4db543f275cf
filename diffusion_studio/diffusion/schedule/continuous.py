"""Schedules in continuous time, which are formulas instead of tables.

The network's label t differs between programs, so each schedule says what its label is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import OptionError
from ...options import option
from .base import NoiseLevel, NoiseSchedule


@dataclass(frozen=True)
class VarianceExploding(NoiseSchedule):
    """alpha = 1, sigma from `sigma_min` to `sigma_max`; defaults of EDM (Karras et al. 2022, table 1).

    `label` says what the network takes for t: EDM's c_noise = log(sigma) / 4, or sigma itself, or 1000
    c_noise as in consistency models (Song et al. 2023).
    """

    sigma_min: float = option(0.002, "Least noise.", low=1e-8, high=1e6)
    sigma_max: float = option(80.0, "Most noise.", low=1e-8, high=1e6)
    label: str = option(
        "c_noise",
        "What the network takes for t: c_noise is log(sigma) / 4, as in EDM; 1000 times "
        "that in consistency models.",
        choices=("c_noise", "sigma", "1000 c_noise"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sigma_min < self.sigma_max:
            raise OptionError(
                "schedule.sigma_max",
                f"must be above sigma_min, got {self.sigma_max:g} and {self.sigma_min:g}.",
            )

    @property
    def t_min(self) -> float:
        return self._label(self.sigma_min)

    @property
    def t_max(self) -> float:
        return self._label(self.sigma_max)

    @property
    def t_clean(self) -> float:
        return 0.0 if self.label == "sigma" else self.t_min

    def level(self, t: float) -> NoiseLevel:
        t = self._check_label(t)
        return NoiseLevel(t, 1.0, t if self.label == "sigma" else math.exp(4 * t / self._unit))

    def timestep(self, log_snr: float) -> float:
        log_sigma = min(max(-log_snr / 2, math.log(self.sigma_min)), math.log(self.sigma_max))  # log(sigma)
        return _clamped(self, math.exp(log_sigma) if self.label == "sigma" else self._unit * log_sigma / 4)

    def level_at(self, log_snr: float) -> NoiseLevel:
        """The level at any log-SNR, also beyond the ends: EDM's churn exceeds sigma_max."""
        sigma = math.exp(-log_snr / 2)
        return NoiseLevel(self._label(sigma), 1.0, sigma)

    @property
    def _unit(self) -> float:
        """The label at c_noise = 1."""
        return 1000.0 if self.label == "1000 c_noise" else 1.0

    def _label(self, sigma: float) -> float:
        return sigma if self.label == "sigma" else self._unit * math.log(sigma) / 4


@dataclass(frozen=True)
class VariancePreserving(NoiseSchedule):
    """The VP process of Song et al. 2021, appendix C, eq. 33: beta(s) rises linearly over time s in (0, 1].

    alpha^2 = exp(-(beta_max - beta_min) s^2 / 2 - beta_min s), the limit of `Linear` for T to infinity. The
    label is t = scale * s.
    """

    beta_min: float = option(0.1, "beta at time 0.", low=1e-8, high=1000)
    beta_max: float = option(20.0, "beta at time 1.", low=1e-8, high=1000)
    scale: float = option(
        999.0,
        "The label at time 1: 999 in Song et al.'s code and in EDM, 1 for time itself.",
        low=1e-3,
        high=1e6,
    )
    time_min: float = option(1e-3, "Time of the least noise.", low=1e-8, high=0.5)

    @property
    def t_min(self) -> float:
        return self.scale * self.time_min

    @property
    def t_max(self) -> float:
        return self.scale

    @property
    def t_clean(self) -> float:
        return 0.0

    def level(self, t: float) -> NoiseLevel:
        t = self._check_label(t)
        s = t / self.scale
        spent = s * (self.beta_min + s * (self.beta_max - self.beta_min) / 2)  # -log(alpha^2)
        return NoiseLevel(t, math.exp(-spent / 2), math.sqrt(-math.expm1(-spent)))

    def timestep(self, log_snr: float) -> float:
        # spent = -log(alpha^2) = log(1 + exp(-log_snr)) without overflow; s solves the quadratic of `level`
        spent = math.log1p(math.exp(-log_snr)) if log_snr > 0 else -log_snr + math.log1p(math.exp(log_snr))
        if spent == math.inf:
            return self.t_max
        rise = self.beta_max - self.beta_min
        root = math.sqrt(max(self.beta_min**2 + 2 * rise * spent, 0.0))  # 0 if the process never gets so far
        return _clamped(self, self.scale * 2 * spent / (self.beta_min + root))


@dataclass(frozen=True)
class FlowMatching(NoiseSchedule):
    """alpha = 1 - s, sigma = s for time s in (0, 1]: straight paths (Liu et al. 2022; Lipman et al. 2022).

    The label is t = scale * s. A scale of 1000 suits the frequencies of sinusoidal embeddings, which were
    made for labels up to the thousands. s = 1 is pure noise, so networks predict the velocity, v or x0, not
    eps.
    """

    scale: float = option(
        1000.0, "The label at time 1: 1000 in Stable Diffusion 3, 1 for time itself.", low=1e-3, high=1e6
    )
    time_min: float = option(1e-3, "Time of the least noise.", low=1e-8, high=0.5)

    @property
    def t_min(self) -> float:
        return self.scale * self.time_min

    @property
    def t_max(self) -> float:
        return self.scale

    @property
    def t_clean(self) -> float:
        return 0.0

    def level(self, t: float) -> NoiseLevel:
        t = self._check_label(t)
        return NoiseLevel(t, 1 - t / self.scale, t / self.scale)

    def timestep(self, log_snr: float) -> float:
        if log_snr > 0:  # sigma = 1 / (1 + exp(log_snr / 2)), without overflow
            small = math.exp(-log_snr / 2)
            return _clamped(self, self.scale * small / (1 + small))
        return _clamped(self, self.scale / (1 + math.exp(log_snr / 2)))


def _clamped(schedule: NoiseSchedule, t: float) -> float:
    return min(max(t, schedule.t_min), schedule.t_max)
