"""Variance preserving schedules given by a table of betas (Ho et al. 2020, section 2).

Betas are counted from 0: betas[t] is the variance that the step to label t adds, beta_{t+1} in the papers.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ...errors import OptionError
from ...options import option
from .base import NoiseLevel, NoiseSchedule, root_sigmoid

_MIN_BETA, _MAX_BETA = 1e-8, 0.999


@dataclass(frozen=True)
class TableSchedule(NoiseSchedule):
    """T levels with the labels 0 to T-1, from the betas of `_betas()`.

    `zero_snr` rescales any table to end in pure noise. Between two timesteps the log-SNR is interpolated
    linearly. Between the last two alpha is interpolated instead, if the last level is pure noise (alpha = 0).
    """

    _: KW_ONLY
    zero_snr: bool = option(
        False, "Rescale so that the last level is pure noise (Lin et al. 2023, Algorithm 1)."
    )
    discrete: ClassVar[bool] = True

    def _betas(self) -> np.ndarray:
        """The betas before rescaling, (T,) float64 in (0, 1). Only the last may be 1."""
        raise NotImplementedError

    def betas(self) -> np.ndarray:
        """The variance that each step t-1 -> t adds, (T,) float64.

        The last is 1 if the process ends in pure noise.
        """
        if not self.zero_snr:
            return self._betas()
        return -np.expm1(np.diff(self._log_alpha_bar, prepend=0.0))

    @property
    def t_min(self) -> float:
        return 0.0

    @property
    def t_max(self) -> float:
        return float(self.timesteps - 1)

    @property
    def t_clean(self) -> float:
        return -1.0

    @cached_property
    def _log_alpha_bar(self) -> np.ndarray:
        """log(alpha^2) of all T levels, after rescaling."""
        with np.errstate(divide="ignore"):  # log 0 = -inf is pure noise
            log_alpha_bar = np.cumsum(np.log1p(-self._betas()))
            if self.zero_snr:
                alpha = np.exp(log_alpha_bar / 2)
                alpha = (alpha - alpha[-1]) * (
                    alpha[0] / (alpha[0] - alpha[-1]) if self.timesteps > 1 else 0.0
                )
                log_alpha_bar = 2 * np.log(alpha)
        return log_alpha_bar

    @cached_property
    def _log_snr(self) -> np.ndarray:
        return self._log_alpha_bar - np.log(-np.expm1(self._log_alpha_bar))

    @cached_property
    def _noise(self) -> np.ndarray:
        """-log-SNR of the levels with a finite one: all T, or T-1 if the last is pure noise."""
        return -(self._log_snr[:-1] if self._log_snr[-1] == -math.inf else self._log_snr)

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.arange(len(self._noise))

    @cached_property
    def _last_alpha(self) -> float:
        """alpha of the noisiest level that is not pure noise; 0 if there is none."""
        return root_sigmoid(-float(self._noise[-1])) if len(self._noise) else 0.0

    def level(self, t: float) -> NoiseLevel:
        t = self._check_label(t)
        if t <= len(self._noise) - 1:
            log_snr = -float(np.interp(t, self._labels, self._noise))
            return NoiseLevel(t, root_sigmoid(log_snr), root_sigmoid(-log_snr))
        alpha = (self.t_max - t) * self._last_alpha
        return NoiseLevel(t, alpha, math.sqrt((1 - alpha) * (1 + alpha)))

    def timestep(self, log_snr: float) -> float:
        known = len(self._noise)
        if known < self.timesteps and (not known or -log_snr > self._noise[-1]):
            return self.t_max - (root_sigmoid(log_snr) / self._last_alpha if known else 0.0)
        return float(np.interp(-log_snr, self._noise, self._labels))


@dataclass(frozen=True)
class Linear(TableSchedule):
    """Betas rise linearly with t (Ho et al. 2020, section 4), with T = 1000 from 1e-4 to 0.02."""

    beta_start: float = option(1e-4, "First beta.", low=_MIN_BETA, high=_MAX_BETA)
    beta_end: float = option(0.02, "Last beta.", low=_MIN_BETA, high=_MAX_BETA)

    def _betas(self) -> np.ndarray:
        return np.linspace(self.beta_start, self.beta_end, self.timesteps)


@dataclass(frozen=True)
class Cosine(TableSchedule):
    """alpha_bar falls as a squared cosine (Nichol & Dhariwal 2021, eq. 17). Suits small pictures."""

    offset: float = option(0.008, "Keeps the first betas from vanishing (s in eq. 17).", low=0.0, high=1.0)
    max_beta: float = option(0.999, "Cap against a singularity at t = T.", low=0.1, high=0.999999)

    def _betas(self) -> np.ndarray:
        u = np.arange(self.timesteps + 1) / self.timesteps
        alpha_bar = np.cos((u + self.offset) / (1 + self.offset) * math.pi / 2) ** 2
        return np.clip(1 - alpha_bar[1:] / alpha_bar[:-1], 0, self.max_beta)


@dataclass(frozen=True)
class Quadratic(TableSchedule):
    """The square root of beta rises linearly ("quad" in the code of Ho et al. 2020); ends of `Linear`."""

    beta_start: float = option(1e-4, "First beta.", low=_MIN_BETA, high=_MAX_BETA)
    beta_end: float = option(0.02, "Last beta.", low=_MIN_BETA, high=_MAX_BETA)

    def _betas(self) -> np.ndarray:
        return np.linspace(math.sqrt(self.beta_start), math.sqrt(self.beta_end), self.timesteps) ** 2


@dataclass(frozen=True)
class ScaledLinear(Quadratic):
    """`Quadratic` with the ends and the name of latent diffusion (Rombach et al. 2022, appendix)."""

    beta_start: float = option(0.00085, "First beta.", low=_MIN_BETA, high=_MAX_BETA)
    beta_end: float = option(0.012, "Last beta.", low=_MIN_BETA, high=_MAX_BETA)


@dataclass(frozen=True)
class Sigmoid(TableSchedule):
    """Betas rise along a sigmoid from -6 to 6 (Xu et al. 2022, GeoDiff): slow at both ends."""

    beta_start: float = option(1e-4, "Beta far below the sigmoid's middle.", low=_MIN_BETA, high=_MAX_BETA)
    beta_end: float = option(0.02, "Beta far above the sigmoid's middle.", low=_MIN_BETA, high=_MAX_BETA)

    def _betas(self) -> np.ndarray:
        risen = 1 / (1 + np.exp(-np.linspace(-6, 6, self.timesteps)))
        return self.beta_start + (self.beta_end - self.beta_start) * risen


@dataclass(frozen=True)
class Constant(TableSchedule):
    """The same beta at every step ("const" in the code of Ho et al. 2020)."""

    beta: float = option(0.02, "Every step's beta.", low=_MIN_BETA, high=_MAX_BETA)

    def _betas(self) -> np.ndarray:
        return np.full(self.timesteps, self.beta)


@dataclass(frozen=True)
class JensenShannon(TableSchedule):
    """beta = 1/(T-t+1) for t from 1 to T, so alpha_bar = 1 - t/T (Sohl-Dickstein et al. 2015, section 2.4.1).

    The last level is pure noise.
    """

    def _betas(self) -> np.ndarray:
        return 1 / np.arange(self.timesteps, 0, -1)


@dataclass(frozen=True)
class Laplace(TableSchedule):
    """Log-SNRs at the quantiles of a Laplace distribution (Hang et al. 2024, table 1): mostly medium noise.

    Label t stands for the time (t + 1/2)/T, because times 0 and 1 have no finite log-SNR.
    """

    mean: float = option(0.0, "Log-SNR around which the levels are concentrated.", low=-20, high=20)
    width: float = option(0.5, "How far the levels spread (b in the paper).", low=0.01, high=20)

    def _betas(self) -> np.ndarray:
        time = (np.arange(self.timesteps) + 0.5) / self.timesteps
        # 1 - 2 |time - 1/2| = 2 min(time, 1 - time), which loses no digits
        log_snr = self.mean - self.width * np.sign(0.5 - time) * np.log(2 * np.minimum(time, 1 - time))
        log_alpha_bar = -np.logaddexp(0, -log_snr)
        return -np.expm1(np.diff(log_alpha_bar, prepend=0.0))


@dataclass(frozen=True)
class Table(TableSchedule):
    """An explicit table of betas, as some checkpoints hold one: `Table(values=(...))`. T is their number."""

    timesteps: int = option(0, "Timesteps T; 0 is the number of values.", low=0, high=100_000)
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            betas = np.array(self.values, np.float64)
        except (ValueError, TypeError):
            betas = np.empty(0)
        if (
            betas.ndim != 1
            or not betas.size
            or not ((betas > 0) & (betas <= 1)).all()
            or (betas[:-1] == 1).any()
        ):
            raise OptionError(
                "schedule.values",
                f"A table schedule needs values: one beta above 0 and below 1 for each timestep (the last "
                f"may be 1), got {str(self.values)[:80]}. Give them, or choose a schedule with a formula.",
            )
        if self.timesteps not in (0, len(betas)):
            raise OptionError(
                "schedule.timesteps",
                f"must be the number of values, {len(betas)}, got {self.timesteps}. Leave timesteps out.",
            )
        object.__setattr__(self, "timesteps", len(betas))
        object.__setattr__(self, "values", tuple(betas.tolist()))

    def _betas(self) -> np.ndarray:
        return np.array(self.values)
