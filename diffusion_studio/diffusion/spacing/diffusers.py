"""The levels that a scheduler of diffusers visits (checked against version 0.42.1).

Its solvers use a table of sigma / alpha of the T timesteps. They take its entries, interpolate between them,
or compute new noise levels from its ends. The network's label may be rounded, so that it no longer matches
the noise level exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import OptionError, Setting
from ...options import DependsOn, option
from ..schedule import CLEAN, NoiseLevel, NoiseSchedule
from .base import Spacing

_NO_LIMIT = -100.0
_SPREAD = DependsOn("sigmas", ("timesteps", "karras", "exponential", "beta"))  # where timesteps are spread
_RHO = 7.0  # of the formula of Karras et al. 2022; fixed in diffusers
_BETA_SHAPE = 0.6  # both parameters of the beta distribution in "beta sigmas", as diffusers has them
_ZERO_SNR_ALPHA = 2.0**-12  # replaces alpha = 0 at the end of a rescaled schedule in diffusers' solvers


@dataclass(frozen=True)
class Diffusers(Spacing):
    """The levels of a diffusers scheduler, so that a diffusers pipeline gives the same pictures here.

    It is the default for folders of diffusers, with the values of their scheduler_config.json. Choose it by
    hand to compare programs. Fields that exist in that file have the same names and meanings here.
    """

    timestep_spacing: str = option(
        "trailing",
        "How timesteps are spread.",
        choices=("leading", "trailing", "linspace"),
        depends=(_SPREAD,),
    )
    spread: str = option(
        "steps",
        "How many points are spread: one per step; one more, of which the last is dropped (DPM-Solver, "
        "UniPC, DEIS); or one per step without rounding (Euler, Heun, LMS).",
        choices=("steps", "one more", "unrounded"),
        depends=(_SPREAD,),
    )
    steps_offset: int = option(
        0,
        "Added to each timestep of the leading rule.",
        low=0,
        high=1000,
        depends=(DependsOn("timestep_spacing", ("leading",)), _SPREAD),
    )
    sigmas: str = option(
        "timesteps",
        "Noise levels: those of the timesteps, or new ones by the formula of Karras et al. 2022, evenly in "
        "log sigma, by the quantiles of a beta distribution, or of consistency models (Song et al. 2023).",
        choices=("timesteps", "karras", "exponential", "beta", "consistency"),
    )
    label_rounding: str = option(
        "exact",
        "Label t of a noise level between two timesteps: its exact fractional value, the nearest timestep, "
        "or the one below.",
        choices=("exact", "nearest", "below"),
        depends=(DependsOn("sigmas", ("karras", "exponential", "beta")),),
    )
    final_sigma: str = option(
        "zero",
        "Where the run ends: at the clean picture, at the schedule's least noise (sigma_min, alpha not "
        "set to one), or at the last level, which is then visited twice.",
        choices=("zero", "least", "repeated"),
    )
    lambda_min: float = option(
        _NO_LIMIT,
        "Least log(alpha / sigma) that is visited (lambda_min_clipped); -100 is no limit.",
        low=_NO_LIMIT,
        high=100.0,
        depends=(DependsOn("spread", ("one more",)), _SPREAD),
    )
    whole: ClassVar[bool] = True

    def levels(self, schedule: NoiseSchedule, steps: int) -> tuple[NoiseLevel, ...]:
        table = _ratios(schedule, steps)
        if self.sigmas == "consistency":
            path = _consistency(schedule, steps, table)
        elif self.spread == "steps" and self.sigmas == "timesteps" and schedule.discrete:
            labels = self._spread(len(table), table, steps)
            _check_end(labels[0], len(table))
            path = tuple(map(schedule.level, labels))  # may include pure noise
        else:
            labels, ratios = self._visited(table, steps)
            path = tuple(_level(schedule, label, ratio, len(table)) for label, ratio in zip(labels, ratios))
        return *path, self._end(path, schedule, table)

    def start_spread(self, level: NoiseLevel) -> float:
        """Only sigma, without the share of the data, where diffusers has init_noise_sigma = sigma_max."""
        alone = (
            self.sigmas == "consistency" or self.spread == "unrounded" and self.timestep_spacing != "leading"
        )
        return level.sigma if alone else super().start_spread(level)

    def _visited(self, table: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """(labels, sigma / alpha), both (steps,), noisiest first."""
        spread = self._spread(len(table), table, steps)
        if self.sigmas == "timesteps":
            return spread, np.interp(spread, np.arange(len(table)), table)
        # solvers with rounded points use the ends of the table, the others those of the spread timesteps
        ends = (
            (table[-1], table[0])
            if self.spread == "one more"
            else tuple(np.interp([spread[0], spread[-1]], np.arange(len(table)), table))
        )
        ratios = _FORMULAS[self.sigmas](ends[0], ends[1], steps)
        labels = np.interp(np.log(ratios), np.log(table), np.arange(len(table)))
        whole = {"exact": np.asarray, "nearest": np.round, "below": np.floor}[self.label_rounding]
        return whole(labels), ratios

    def _spread(self, total: int, table: np.ndarray, steps: int) -> np.ndarray:
        """(steps,) labels of the timesteps, noisiest first."""
        extra = self.spread == "one more"
        last = total
        if self.lambda_min > _NO_LIMIT and extra:
            last = total - int(np.searchsorted(-np.log(table[::-1]), self.lambda_min))
        if self.timestep_spacing == "linspace":
            labels = np.linspace(0, last - 1, steps + extra)[::-1]
            return (labels if self.spread == "unrounded" else np.round(labels))[:steps]
        if self.timestep_spacing == "leading":
            return (np.arange(steps + extra) * float(last // (steps + extra)))[::-1][
                :steps
            ] + self.steps_offset
        return np.round(np.arange(last, 0, -total / steps))[:steps] - 1

    def _end(self, visited: tuple[NoiseLevel, ...], schedule: NoiseSchedule, table: np.ndarray) -> NoiseLevel:
        if self.final_sigma == "repeated":
            return visited[-1]
        return CLEAN if self.final_sigma == "zero" else _level(schedule, 0.0, table[0], len(table))


def _ratios(schedule: NoiseSchedule, steps: int) -> np.ndarray:
    """sigma / alpha of the T timesteps, least noise first, (T,).

    In continuous time these are max(T, steps) evenly spaced labels.
    """
    total = schedule.timesteps if schedule.discrete else max(schedule.timesteps, steps)
    labels = np.linspace(schedule.t_min, schedule.t_max, total)
    levels = [schedule.level(float(t)) for t in labels]
    return np.array([one.sigma / (one.alpha or _ZERO_SNR_ALPHA) for one in levels])


def _level(schedule: NoiseSchedule, label: float, ratio: float, total: int) -> NoiseLevel:
    """The level with a given sigma / alpha and label, of the schedule's kind of process.

    `total` is the length of the table. Raises `OptionError` for a label above it. In continuous time the
    label follows from the ratio.
    """
    if schedule.discrete:
        _check_end(label, total)
        if label == round(label) and math.isclose(_ratio(schedule.level(label)), ratio, rel_tol=1e-12):
            return schedule.level(float(label))
        return NoiseLevel(float(label), 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio))
    return schedule.level(schedule.timestep(-2 * math.log(ratio)))


def _check_end(label: float, total: int) -> None:
    """Raise `OptionError` for a label beyond the last of `total` timesteps; only an offset leads there."""
    if label > total - 1:
        raise OptionError(
            "spacing.steps_offset",
            Setting("spacing.steps_offset"),
            f" leads to timestep {label:g}, and the schedule ends at {total - 1}. Choose a "
            "smaller steps_offset, or fewer steps.",
        )


def _ratio(level: NoiseLevel) -> float:
    return level.sigma / level.alpha if level.alpha else math.inf


def _karras(most: float, least: float, steps: int) -> np.ndarray:
    """Karras et al. 2022, eq. 5."""
    high, low = most ** (1 / _RHO), least ** (1 / _RHO)
    return (high + np.linspace(0, 1, steps) * (low - high)) ** _RHO


def _exponential(most: float, least: float, steps: int) -> np.ndarray:
    return np.exp(np.linspace(math.log(most), math.log(least), steps))


def _beta(most: float, least: float, steps: int) -> np.ndarray:
    """Evenly spaced quantiles of a beta distribution (Lee et al. 2024, "Beta sampling is all you need")."""
    try:
        from scipy.special import betaincinv
    except ImportError:
        raise OptionError(
            "spacing.sigmas",
            "Sigmas by a beta distribution need SciPy. Install it ('pip install scipy'), or choose other "
            "sigmas.",
        ) from None
    return least + betaincinv(_BETA_SHAPE, _BETA_SHAPE, 1 - np.linspace(0, 1, steps)) * (most - least)


_FORMULAS = {"karras": _karras, "exponential": _exponential, "beta": _beta}


def _consistency(schedule: NoiseSchedule, steps: int, table: np.ndarray) -> tuple[NoiseLevel, ...]:
    """Every (T // n)-th of T levels by the formula of Karras et al. 2022, from the noisiest on."""
    total = len(table)
    share = np.arange(steps) * (total // steps) / max(total - 1, 1)
    high, low = table[-1] ** (1 / _RHO), table[0] ** (1 / _RHO)
    return tuple(
        schedule.level(schedule.timestep(-2 * math.log(one))) for one in (high + share * (low - high)) ** _RHO
    )
