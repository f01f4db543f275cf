"""The forward process: which mixture of picture and noise belongs to a network's time label t.

x = alpha * x0 + sigma * eps. A schedule is what a network was trained with and comes with its checkpoint;
which of its levels a run visits is the business of `spacing`.
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

    `t` is the label that the network is given; the clean end, which no network is asked about, has t = -1.
    Covers variance preserving (alpha^2 + sigma^2 = 1), variance exploding (alpha = 1) and flow matching.
    `churned` is the run's own level where a sampler has added noise to it, to reach this one: how far the run
    is goes by that one.
    """

    t: float
    alpha: float
    sigma: float
    churned: NoiseLevel | None = field(default=None, compare=False, repr=False)

    @property
    def path_level(self) -> NoiseLevel:
        """The level that the run visits: itself but for churn."""
        return self if self.churned is None else self.churned

    @property
    def log_snr(self) -> float:
        """2 log(alpha / sigma); infinite at the clean end."""
        if self.sigma == 0:
            return math.inf
        return 2 * math.log(self.alpha / self.sigma) if self.alpha else -math.inf


CLEAN = NoiseLevel(t=-1.0, alpha=1.0, sigma=0.0)


@dataclass(frozen=True)
class NoiseSchedule:
    """Labels t from `t_min` (least noise) to `t_max` (most), each with its level.

    `level` and `timestep` are continuous, strictly monotone and inverse to each other. Where alpha reaches 0
    (zero terminal SNR, flow matching) the log-SNR of `t_max` is -inf. Subclass `TableSchedule` for a process
    that is a table of betas, this class for one in continuous time.
    """

    timesteps: int = option(
        1000,
        "Timesteps T of the training process; in continuous time how many the app offers.",
        low=1,
        high=100_000,
    )
    discrete: ClassVar[bool] = False  # whether the network knows whole t only from training

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
        """Where the labels, continued, would meet the clean picture; `t_min` where that is nowhere."""
        return self.t_min

    def level(self, t: float) -> NoiseLevel:
        """The level at label t in [t_min, t_max], fractional ones included; an `OptionError` outside."""
        raise NotImplementedError

    def timestep(self, log_snr: float) -> float:
        """The inverse of `level`: the (fractional) t at a log-SNR, held at t_min and t_max beyond the
        schedule's ends.
        """
        raise NotImplementedError

    def level_at(self, log_snr: float) -> NoiseLevel:
        """The level of a log-SNR, held at the schedule's ends unless its formula goes on beyond them."""
        return self.level(self.timestep(log_snr))

    def _checked(self, t: float) -> float:
        if not self.t_min <= t <= self.t_max:
            raise OptionError(
                "t", f"must be from {self.t_min:g} to {self.t_max:g} on this schedule, got {t}."
            )
        return float(t)


def root_sigmoid(z: float) -> float:
    """sqrt(1 / (1 + exp(-z))) without overflow for any z: alpha at log-SNR z, and sigma at log-SNR -z."""
    return math.sqrt(1 / (1 + math.exp(-z))) if z >= 0 else math.sqrt(math.exp(z) / (1 + math.exp(z)))
