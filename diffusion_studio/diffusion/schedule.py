"""The forward process: which mixture of picture and noise belongs to a network's time label t.

x = alpha * x0 + sigma * eps. A schedule is what a network was trained with and comes with its checkpoint;
which of its levels a run visits is the business of `spacing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .. import options
from ..errors import OptionError
from ..options import option


@dataclass(frozen=True)
class NoiseLevel:
    """One point of the forward process, `x = alpha * x0 + sigma * eps`.

    `t` is the label that the network is given; the clean end, which no network is asked about, has t = -1.
    Covers variance preserving (alpha^2 + sigma^2 = 1), variance exploding (alpha = 1) and flow matching.
    """

    t: float
    alpha: float
    sigma: float

    @property
    def log_snr(self) -> float:
        """2 log(alpha / sigma); infinite at the clean end."""
        if self.sigma == 0:
            return math.inf
        return 2 * math.log(self.alpha / self.sigma) if self.alpha else -math.inf


CLEAN = NoiseLevel(t=-1.0, alpha=1.0, sigma=0.0)


@dataclass(frozen=True)
class NoiseSchedule:
    """A variance-preserving schedule from a table of betas (Ho et al. 2020, section 2), read through log-SNR.

    Between two whole timesteps the log-SNR is interpolated linearly, so `level` and `timestep` are
    continuous, monotone and inverse to each other.
    """

    timesteps: int = option(1000, "Timesteps T of the training process.", low=1, high=100_000)

    def __post_init__(self) -> None:
        options.check(self)

    def betas(self) -> np.ndarray:
        """(T,) float64: the variance that the step t-1 -> t adds."""
        raise NotImplementedError

    @cached_property
    def _log_snr(self) -> np.ndarray:
        with np.errstate(divide="ignore"):                      # a last beta of 1: no picture is left
            log_alpha_bar = np.cumsum(np.log1p(-self.betas()))
        return log_alpha_bar - np.log(-np.expm1(log_alpha_bar))

    def level(self, t: float) -> NoiseLevel:
        """The level at time label t in [0, T-1], fractional ones included."""
        if not 0 <= t <= self.timesteps - 1:
            raise OptionError(f"t must be from 0 to {self.timesteps - 1} on this schedule, got {t}.")
        log_snr = float(np.interp(t, np.arange(self.timesteps), self._log_snr))
        return NoiseLevel(float(t), _root_sigmoid(log_snr), _root_sigmoid(-log_snr))

    def timestep(self, log_snr: float) -> float:
        """The inverse of `level`: the (fractional) t at a log-SNR, held at 0 and T-1 beyond the schedule's ends."""
        return float(np.interp(-log_snr, -self._log_snr, np.arange(self.timesteps)))


@dataclass(frozen=True)
class Linear(NoiseSchedule):
    """Betas rise linearly with t (Ho et al. 2020, section 4). Their T = 1000 goes from 1e-4 to 0.02."""

    beta_start: float = option(1e-4, "First beta.", low=1e-8, high=0.999)
    beta_end: float = option(0.02, "Last beta.", low=1e-8, high=0.999)

    def betas(self) -> np.ndarray:
        return np.linspace(self.beta_start, self.beta_end, self.timesteps)


@dataclass(frozen=True)
class Cosine(NoiseSchedule):
    """alpha_bar falls as a squared cosine (Nichol & Dhariwal 2021, eq. 17): kinder to small pictures than linear."""

    offset: float = option(0.008, "Keeps the first betas from vanishing (s in eq. 17).", low=0.0, high=1.0)
    max_beta: float = option(0.999, "Cap against a singularity at t = T.", low=0.1, high=0.999999)

    def betas(self) -> np.ndarray:
        u = np.arange(self.timesteps + 1) / self.timesteps
        alpha_bar = np.cos((u + self.offset) / (1 + self.offset) * math.pi / 2) ** 2
        return np.clip(1 - alpha_bar[1:] / alpha_bar[:-1], 0, self.max_beta)


@dataclass(frozen=True)
class Table(NoiseSchedule):
    """Any betas, one for each timestep: schedules of other programs that no formula here gives. Empty is DDPM's own."""

    table: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.table, tuple) or len(self.table) not in (0, self.timesteps) or \
                not all(isinstance(beta, (int, float)) and 0 < beta <= 1 for beta in self.table):
            raise OptionError(f"A table of betas has {self.timesteps} numbers above 0 and up to 1, one for each timestep.")

    @classmethod
    def of(cls, betas: np.ndarray) -> Table:
        """The schedule of an array of betas."""
        return cls(len(betas), tuple(map(float, betas)))

    def betas(self) -> np.ndarray:
        return np.array(self.table, dtype=np.float64) if self.table else Linear(self.timesteps).betas()


SCHEDULES: dict[str, type[NoiseSchedule]] = {"linear": Linear, "cosine": Cosine, "table": Table}


def _root_sigmoid(z: float) -> float:
    """sqrt(1 / (1 + exp(-z))) without overflow for any z."""
    return math.sqrt(1 / (1 + math.exp(-z))) if z >= 0 else math.sqrt(math.exp(z) / (1 + math.exp(z)))
