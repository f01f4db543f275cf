"""Bits per dimension by the probability-flow ODE (Song et al. 2021, section 4.3 and appendix D.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ..diffusion.denoiser import Denoiser
from ..diffusion.schedule import NoiseLevel, NoiseSchedule
from ..errors import OptionError
from .bound import STEP

MOST_EXACT = 256  # values of a picture: the exact trace takes a backward pass for each
NEARLY_NOISE = -20.0  # log-SNR at which the flow ends if the schedule ends in pure noise
Report = Callable[[int, int], None]


def log_likelihood(
    denoise: Denoiser,
    x0: torch.Tensor,
    schedule: NoiseSchedule,
    steps: int,
    probes: Sequence[torch.Tensor] | None,
    report: Report | None = None,
) -> torch.Tensor:
    """(N,) float64 log densities in nats of x0 (N, C, H, W) under the model's probability-flow ODE.

    In y = x / alpha and s = log(sigma / alpha) the flow is dy/ds = e^s eps(y), for every kind of process
    (Karras et al. 2022, eq. 1), and d log p / ds is minus the trace of its Jacobian. Solved by classical
    Runge-Kutta of order 4 in `steps` steps of equal length in s, from the schedule's first level to its last,
    where the density is the Gaussian that sampling starts with. If that level is pure noise, where y is
    infinite, the flow ends at log-SNR -20. The data is taken to be at the first level, so the noise there is
    part of what is measured.

    `probes` are tensors of signs of the shape of x0, whose mean v.J.v is an unbiased estimate of the trace
    (Hutchinson 1990). None computes the trace exactly, for at most 256 values a picture. `report(done,
    steps)` is called after every step. Raises `OptionError` for no steps, or too many values.
    """
    return log_likelihood_map(denoise, x0, schedule, steps, probes, report).flatten(1).sum(1)


def log_likelihood_map(
    denoise: Denoiser,
    x0: torch.Tensor,
    schedule: NoiseSchedule,
    steps: int,
    probes: Sequence[torch.Tensor] | None,
    report: Report | None = None,
) -> torch.Tensor:
    """The contribution of each value to `log_likelihood`, float64 of the shape of x0.

    It is the Gaussian's log density at the value's end of the flow, plus its entry on the Jacobian's
    diagonal. Only the sum of all contributions is a likelihood.
    """
    if steps < 1:
        raise OptionError("steps", f"The flow takes at least one step, got {steps}.")
    if probes is None and x0[0].numel() > MOST_EXACT:
        raise OptionError(
            "probes",
            f"The exact trace takes a network pass for each value of a picture, so at most {MOST_EXACT}; "
            f"these have {x0[0].numel()}. Ask for one or more random probes.",
        )
    first, last = ends(schedule)
    low, high = -first.log_snr / 2, -last.log_snr / 2
    width = (high - low) / steps

    def level(s: float) -> NoiseLevel:
        return schedule.level(schedule.timestep(-2 * min(max(s, low), high)))

    def slope(y: torch.Tensor, s: float) -> tuple[torch.Tensor, torch.Tensor]:
        at = level(s)
        return _slope(denoise, y, at, probes)

    y = x0 / first.alpha
    change = torch.zeros(x0.shape, dtype=torch.float64, device=x0.device)
    for k in range(steps):
        s = low + k * width
        k1, d1 = slope(y, s)
        k2, d2 = slope(y + width / 2 * k1, s + width / 2)
        k3, d3 = slope(y + width / 2 * k2, s + width / 2)
        k4, d4 = slope(y + width * k3, s + width)
        y = y + width / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        change += width / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        if report is not None:
            report(k + 1, steps)
    # x at the last level has variance alpha^2 + sigma^2 when it is noise; y is x / alpha
    variance = 1 + (last.sigma / last.alpha) ** 2
    start = -0.5 * (y.double().square() / variance + math.log(2 * math.pi * variance))
    # the last term is the density of x0 = alpha * y at the first level
    return start + change - math.log(first.alpha)


def ends(schedule: NoiseSchedule) -> tuple[NoiseLevel, NoiseLevel]:
    """The first level, and the last level at which alpha is not zero."""
    last = schedule.level(schedule.t_max)
    return schedule.level(schedule.t_min), last if last.alpha else schedule.level(
        schedule.timestep(NEARLY_NOISE)
    )


def _slope(
    denoise: Denoiser, y: torch.Tensor, level: NoiseLevel, probes: Sequence[torch.Tensor] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """dy/ds at y, and the diagonal of its Jacobian or an estimate of it (float64 of the shape of y)."""
    ratio = level.sigma / level.alpha
    with torch.enable_grad():
        y = y.detach().requires_grad_(True)
        out = ratio * denoise(level.alpha * y, level).eps
        signs = list(probes) if probes is not None else _unit_vectors(y)
        diagonal = torch.zeros(y.shape, dtype=torch.float64, device=y.device)
        for k, v in enumerate(signs):
            (gradient,) = torch.autograd.grad(out, y, v, retain_graph=k < len(signs) - 1)
            diagonal += (gradient * v).double()
    return out.detach(), diagonal / (len(signs) if probes is not None else 1)


def _unit_vectors(y: torch.Tensor) -> list[torch.Tensor]:
    """All unit vectors, each expanded to the batch. Products with them give the diagonal of the Jacobian."""
    basis = torch.eye(y[0].numel(), dtype=y.dtype, device=y.device).view(-1, *y.shape[1:])
    return [one.expand_as(y) for one in basis]


def bits(log_density: torch.Tensor, values: int) -> torch.Tensor:
    """Bits per dimension of 8-bit pictures, from the log density in nats of dequantised ones with `values`
    values each.

    A picture in [-1, 1] has bins of width 1/127.5. With uniform noise within the bin this is an upper bound.
    """
    return -(log_density / values + math.log(STEP)) / math.log(2)


def dequantize(x0: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """x0 moved within its bin by uniform noise in [0, 1)."""
    return x0 + (uniform.to(x0) - 0.5) * STEP
