"""The forward process x = alpha * x0 + sigma * eps, with alpha and sigma as functions of a time label t.

A schedule belongs to a trained network and is stored in its checkpoint. `spacing` chooses which of its levels
a run visits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ... import options
from ...errors import OptionError
from ...options import option


@dataclass(frozen=True)
class NoiseLevel:
    """One point of the forward process, `x = alpha * x0 + sigma * eps`.

    `t` is the network's time label; the clean end, at which no network is called, has t = -1. Levels may be
    variance preserving (alpha^2 + sigma^2 = 1), variance exploding (alpha = 1) or those of flow matching. If
    a sampler reached this level by churn, `churned` is the level before; it determines the progress of the
    run.
    """

    t: float
    alpha: float
    sigma: float
    churned: NoiseLevel | None = field(default=None, compare=False, repr=False)

    @property
    def path_level(self) -> NoiseLevel:
        """The run's level before churn: `churned` if it is set, else this level."""
        return self if self.churned is None else self.churned

    @property
    def log_snr(self) -> float:
        """2 log(alpha / sigma); infinite at the clean end, -infinite for pure noise."""
        if self.sigma == 0:
            return math.inf
        return 2 * math.log(self.alpha / self.sigma) if self.alpha else -math.inf


CLEAN = NoiseLevel(t=-1.0, alpha=1.0, sigma=0.0)


@dataclass(frozen=True)
class NoiseSchedule:
    """A noise schedule: a level for each label t from `t_min` (least noise) to `t_max` (most noise).

    `level` and `timestep` are continuous, strictly monotone and inverse to each other. If alpha reaches 0
    (zero terminal SNR, flow matching), the log-SNR of `t_max` is -inf. Subclass `TableSchedule` for a table
    of betas, and this class for continuous time.
    """

    timesteps: int = option(
        1000,
        "Timesteps T of the training process; in continuous time the number that the app offers.",
        low=1,
        high=100_000,
    )
    discrete: ClassVar[bool] = False  # whether the network was trained with whole labels t only

    def __post_init__(self) -> None:
        options.check(self, "schedule")

    @property
    def t_min(self) -> float:
        """The label of the level with the least noise."""
        raise NotImplementedError

    @property
    def t_max(self) -> float:
        """The label of the level with the most noise."""
        raise NotImplementedError

    @property
    def t_clean(self) -> float:
        """The label of the clean picture by extrapolation; `t_min` if the labels do not reach it."""
        return self.t_min

    def level(self, t: float) -> NoiseLevel:
        """The level at label t in [t_min, t_max], which may be fractional. Raises `OptionError` outside."""
        raise NotImplementedError

    def timestep(self, log_snr: float) -> float:
        """The inverse of `level`: the label at a log-SNR, clamped to [t_min, t_max]. It may be fractional."""
        raise NotImplementedError

    def level_at(self, log_snr: float) -> NoiseLevel:
        """The level at a log-SNR, clamped to the ends unless the formula is defined beyond them."""
        return self.level(self.timestep(log_snr))

    def _check_label(self, t: float) -> float:
        if not self.t_min <= t <= self.t_max:
            raise OptionError(
                "t", f"must be from {self.t_min:g} to {self.t_max:g} on this schedule, got {t}."
            )
        return float(t)


def root_sigmoid(z: float) -> float:
    """sqrt(sigmoid(z)) without overflow: alpha of a variance preserving level at log-SNR z, sigma at -z."""
    return math.sqrt(1 / (1 + math.exp(-z))) if z >= 0 else math.sqrt(math.exp(z) / (1 + math.exp(z)))
