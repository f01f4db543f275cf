"""Formulas that several samplers share.

In the rescaled state y = x / alpha with rho = sigma / alpha, every process is variance exploding, and the
probability-flow ODE is dy/d(rho) = eps (Song et al. 2021, DDIM eq. 14). The formulas of the papers are used
in y and rho and multiplied out, so that they hold for VP, VE and flow levels. Unless it is said, none divides
by alpha, because a run may start at alpha = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import OptionError
from ...options import option

if TYPE_CHECKING:
    import torch

    from ..levels import Levels
    from ..prediction import Prediction
    from ..schedule import NoiseLevel, NoiseSchedule

SHORT_RUN = 15  # runs of fewer steps than this are short for `lower_order_final`, as in diffusers
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def fixed_stride_option() -> Any:
    """The option `fixed_stride` of DDIM, PLMS and PNDM."""
    return option(
        False,
        "Step to timestep t - T // n, as diffusers does, even where the run visits another one next.",
    )


def lower_order_final_option() -> Any:
    """The option `lower_order_final` of the multistep solvers.

    It is off by default because of tests/benchmarks/lower_order_final.py, on three bundled models with 5, 10
    and 14 steps. A run to the clean picture ends with first order anyway, so the option does not change the
    error of second-order solvers. It multiplies that of third-order solvers by 0.72 to 0.86 for 5 steps
    evenly spaced in log-SNR, and by 0.93 to 1.35 otherwise, 1.00 in the geometric mean.
    """
    return option(
        "never",
        "Whether the last steps fall to lower order, so that the last one is of first order: never, in "
        f"short runs of fewer than {SHORT_RUN} steps, or always.",
        choices=("never", "short", "always"),
    )


def weighted(*terms: tuple[float, torch.Tensor]) -> torch.Tensor:
    """The sum of weight * tensor as a new tensor. No further tensor is allocated."""
    (weight, tensor), *rest = terms
    total = tensor * weight
    for weight, tensor in rest:
        total.add_(tensor, alpha=weight)
    return total


def rho(level: NoiseLevel) -> float:
    """sigma / alpha of a level: 0 at the clean end, infinite without signal."""
    return level.sigma / level.alpha if level.alpha else math.inf


def ddim_step(p: Prediction, to: NoiseLevel) -> torch.Tensor:
    """One Euler step of the ODE in (y, rho), the step of DDIM: to.alpha * x0 + to.sigma * eps."""
    return weighted((to.alpha, p.x0), (to.sigma, p.eps))


def step_with_x0(x: torch.Tensor, x0: torch.Tensor, now: NoiseLevel, to: NoiseLevel) -> torch.Tensor:
    """The step from x with an x0 that was predicted elsewhere (DPM-Solver++, eq. 9 with constant x0)."""
    scale = to.sigma / now.sigma
    return weighted((scale, x), (to.alpha - now.alpha * scale, x0))


def step_with_eps(x: torch.Tensor, eps: torch.Tensor, now: NoiseLevel, to: NoiseLevel) -> torch.Tensor:
    """The step from x with an eps that was predicted elsewhere (PNDM, eq. 11). now.alpha must not be 0."""
    scale = to.alpha / now.alpha
    return weighted((scale, x), (to.sigma - scale * now.sigma, eps))


def _discrete_schedule(levels: Levels) -> NoiseSchedule:
    """The schedule of the levels.

    Raises `OptionError` unless it has timesteps, which a fixed stride counts.
    """
    if levels.schedule is None or not levels.schedule.discrete:
        raise OptionError(
            "sampler.fixed_stride",
            "A fixed stride counts timesteps, and this run's levels come from no table of timesteps. Leave "
            "fixed_stride off.",
        )
    return levels.schedule


def fixed_stride_of(levels: Levels) -> int:
    """T // n, the stride in timesteps of diffusers' DDIM and PNDM. Raises as `_discrete_schedule`."""
    return _discrete_schedule(levels).timesteps // levels.steps


def fixed_stride_start(to: NoiseLevel, levels: Levels) -> NoiseLevel:
    """The level one stride of timesteps above `to`, or the schedule's noisiest if there is none."""
    schedule = _discrete_schedule(levels)
    return schedule.level(min(to.t + fixed_stride_of(levels), schedule.t_max))


def fixed_stride_goal(now: NoiseLevel, to: NoiseLevel, levels: Levels) -> NoiseLevel:
    """The level T // n timesteps below `now`, to which diffusers' DDIM and PNDM step.

    The run's own next level `to` is used if that lies below timestep 0, or if the noise of the run rises.
    """
    stride = fixed_stride_of(levels)
    if to.log_snr < now.log_snr or now.t < stride:
        return to
    return _discrete_schedule(levels).level(now.t - stride)


def lowers_final_order(rule: str, steps: int) -> bool:
    """Whether the last steps of a run fall to lower order by the value of the option `lower_order_final`."""
    return rule == "always" or rule == "short" and steps < SHORT_RUN


def split_noise(now: NoiseLevel, to: NoiseLevel, eta: float) -> tuple[float, float]:
    """(down, up), the standard deviations of kept and of fresh noise: down^2 + up^2 = to.sigma^2.

    This is DDIM eq. 16, in y and rho the same as the "ancestral" step of k-diffusion. Steps to noisier levels
    get no fresh noise.
    """
    inherited = now.alpha / to.alpha * to.sigma  # noise that x_now inherited from x_to
    up = min(eta * to.sigma / now.sigma * math.sqrt(max(now.sigma**2 - inherited**2, 0)), to.sigma)
    return math.sqrt(to.sigma**2 - up**2), up


@dataclass(frozen=True)
class Churn:
    """The settings of EDM's churn.

    `amount` is S_churn, for the whole run. `low` and `high` are S_tmin and S_tmax, limits of sigma / alpha.
    `s_noise` is S_noise, which scales the added noise.
    """

    amount: float
    low: float
    high: float
    s_noise: float


def add_churn(
    x: torch.Tensor, now: NoiseLevel, levels: Levels, churn: Churn, fresh: Callable[[], torch.Tensor]
) -> tuple[torch.Tensor, NoiseLevel]:
    """x with noise added up to a higher level, and that level (EDM, Algorithm 2, lines 4 to 6).

    The level is at most the schedule's noisiest. At alpha = 0 no noise is added.
    """
    gamma = min(churn.amount / levels.steps, math.sqrt(2) - 1)
    if not gamma or not now.alpha or not churn.low <= rho(now) <= churn.high:
        return x, now
    hat = levels.at(now.log_snr - 2 * math.log1p(gamma))
    added = rho(hat) ** 2 - rho(now) ** 2
    if added <= 0:
        return x, now
    noised = weighted((hat.alpha / now.alpha, x), (churn.s_noise * hat.alpha * math.sqrt(added), fresh()))
    return noised, replace(hat, churned=now)


def unchurned(p: Prediction, x: torch.Tensor, now: NoiseLevel, hat: NoiseLevel) -> Prediction:
    """The prediction for the state x before churn, from that after churn: the same x0, with eps to fit x."""
    if hat is now:
        return p
    return replace(p, eps=weighted((1 / now.sigma, x), (-now.alpha / now.sigma, p.x0)))


def adams_weights(
    nodes: Sequence[float], start: float, end: float, density: Callable[[np.ndarray], np.ndarray]
) -> list[float]:
    """For each node, the integral from start to end of its Lagrange polynomial times `density`.

    It is computed by 16-point Gauss-Legendre quadrature.
    """
    u = start + (end - start) * (_NODES + 1) / 2
    scale = _WEIGHTS * density(u) * (end - start) / 2
    weights = []
    for j, node in enumerate(nodes):
        basis = np.ones_like(u)
        for k, other in enumerate(nodes):
            if k != j:
                basis = basis * (u - other) / (node - other)
        weights.append(float(np.dot(scale, basis)))
    return weights
