"""What several samplers compute alike. Nothing here divides by alpha where a run may start at alpha = 0.

In the rescaled state y = x / alpha with rho = sigma / alpha, every process is a variance-exploding one, and
the probability-flow ODE is dy/d(rho) = eps (Song et al. 2021, DDIM eq. 14). The samplers' formulas are those
of their papers in y and rho, multiplied out, so that they serve VP, VE and flow levels alike.
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

SHORT_RUN = 15  # steps; what diffusers calls few in `lower_order_final`
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def fixed_stride_option() -> Any:
    """The option that DDIM, PLMS and PNDM share."""
    return option(
        False,
        "Step to timestep t - T // n, as diffusers does, even where the run visits another one next.",
    )


def lower_order_final_option() -> Any:
    """The option that the multistep solvers share.

    It is off by default, as tests/benchmarks/lower_order_final.py measured on three bundled models with 5, 10
    and 14 steps. A run to the clean picture ends with first order anyway, so solvers of second order have the
    same error. Those of third order have 0.72 to 0.86 times theirs in 5 steps even in log-SNR, and else 0.93
    to 1.35 times: 1.00 in the geometric mean.
    """
    return option(
        "never",
        "Whether the last steps fall to lower order, so that the last one is of first order: never, in "
        f"short runs of fewer than {SHORT_RUN} steps, or always.",
        choices=("never", "short", "always"),
    )


def weighted(*terms: tuple[float, torch.Tensor]) -> torch.Tensor:
    """The sum of weight * tensor as a new tensor, with no other memory than that."""
    (weight, tensor), *rest = terms
    total = tensor * weight
    for weight, tensor in rest:
        total.add_(tensor, alpha=weight)
    return total


def rho(level: NoiseLevel) -> float:
    """sigma / alpha: 0 at the clean end, infinite where no signal is left."""
    return level.sigma / level.alpha if level.alpha else math.inf


def ddim_step(p: Prediction, to: NoiseLevel) -> torch.Tensor:
    """One Euler step of the ODE in (y, rho), which is DDIM's: the predicted picture and noise, mixed anew."""
    return weighted((to.alpha, p.x0), (to.sigma, p.eps))


def towards(x: torch.Tensor, x0: torch.Tensor, now: NoiseLevel, to: NoiseLevel) -> torch.Tensor:
    """The same step where x0 is not what was predicted at x (DPM-Solver++, eq. 9 with a constant data
    prediction).
    """
    kept = to.sigma / now.sigma
    return weighted((kept, x), (to.alpha - now.alpha * kept, x0))


def along(x: torch.Tensor, eps: torch.Tensor, now: NoiseLevel, to: NoiseLevel) -> torch.Tensor:
    """The same step where eps is not what was predicted at x (PNDM eq. 11). now.alpha must not be 0."""
    scale = to.alpha / now.alpha
    return weighted((scale, x), (to.sigma - scale * now.sigma, eps))


def _table_of(levels: Levels) -> NoiseSchedule:
    """The schedule of the levels, for a fixed stride. Raises `OptionError` where it has no timesteps."""
    if levels.schedule is None or not levels.schedule.discrete:
        raise OptionError(
            "sampler.fixed_stride",
            "A fixed stride counts timesteps, and this run's levels come from no table of timesteps. Leave "
            "fixed_stride off.",
        )
    return levels.schedule


def fixed_stride_of(levels: Levels) -> int:
    """T // n, the stride of diffusers' DDIM and PNDM in timesteps. Raises `OptionError` where there are no
    timesteps.
    """
    return _table_of(levels).timesteps // levels.steps


def fixed_stride_start(to: NoiseLevel, levels: Levels) -> NoiseLevel:
    """The level a stride above `to`, at most the schedule's noisiest."""
    schedule = _table_of(levels)
    return schedule.level(min(to.t + fixed_stride_of(levels), schedule.t_max))


def fixed_stride_goal(now: NoiseLevel, to: NoiseLevel, levels: Levels) -> NoiseLevel:
    """The level T // n timesteps below `now`, to which diffusers' DDIM and PNDM step whatever the run visits
    next.

    Where that lies below timestep 0, or the run goes up, it is the run's own next level `to`.
    """
    stride = fixed_stride_of(levels)
    if to.log_snr < now.log_snr or now.t < stride:
        return to
    return _table_of(levels).level(now.t - stride)


def lowers_final_order(rule: str, steps: int) -> bool:
    """Whether the last steps of a run of this many steps fall to lower order, by the option
    `lower_order_final`.
    """
    return rule == "always" or rule == "short" and steps < SHORT_RUN


def split(now: NoiseLevel, to: NoiseLevel, eta: float) -> tuple[float, float]:
    """(down, up) with down^2 + up^2 = to.sigma^2: how much of the arrival's noise is kept and how much is
    fresh.

    DDIM eq. 16; in y and rho the same as the "ancestral" step of k-diffusion. No noise on the way up (to
    noisier levels).
    """
    kept = now.alpha / to.alpha * to.sigma
    up = min(eta * to.sigma / now.sigma * math.sqrt(max(now.sigma**2 - kept**2, 0)), to.sigma)
    return math.sqrt(to.sigma**2 - up**2), up


@dataclass(frozen=True)
class Churn:
    """The settings of churn under EDM's names: S_churn (`amount`, over the whole run), S_tmin and S_tmax (the
    limits `low` and `high` of rho), S_noise.
    """

    amount: float
    low: float
    high: float
    s_noise: float


def add_churn(
    x: torch.Tensor, now: NoiseLevel, levels: Levels, churn: Churn, fresh: Callable[[], torch.Tensor]
) -> tuple[torch.Tensor, NoiseLevel]:
    """x taken back up to a noisier level, and that level (EDM Algorithm 2, lines 4 to 6).

    A schedule's noisiest level is as far as it goes, and where there is no signal (alpha = 0) there is no
    noisier level.
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
    """The prediction at the state x before churn, from that at the churned one: the same x0, and the noise
    that it leaves in x.
    """
    if hat is now:
        return p
    return replace(p, eps=weighted((1 / now.sigma, x), (-now.alpha / now.sigma, p.x0)))


def adams(
    nodes: Sequence[float], start: float, end: float, density: Callable[[np.ndarray], np.ndarray]
) -> list[float]:
    """For each node the integral of its Lagrange polynomial times `density` from start to end (16-point
    Gauss).
    """
    u = start + (end - start) * (_NODES + 1) / 2
    scale = _WEIGHTS * density(u) * (end - start) / 2
    found = []
    for j, node in enumerate(nodes):
        basis = np.ones_like(u)
        for k, other in enumerate(nodes):
            if k != j:
                basis = basis * (u - other) / (node - other)
        found.append(float(np.dot(scale, basis)))
    return found
