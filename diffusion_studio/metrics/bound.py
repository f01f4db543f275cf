"""Bits per dimension by the variational bound, term by term (Ho et al. 2020, eq. 5; Nichol & Dhariwal
2021, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch

from ..diffusion.denoiser import Denoiser
from ..diffusion.prediction import Prediction
from ..diffusion.samplers import NoiseFunction
from ..diffusion.schedule import NoiseLevel
from ..errors import OptionError, Setting

Number = float | torch.Tensor
STEP = 1 / 127.5  # distance of neighbouring pixel values in [-1, 1]


@torch.no_grad()
def bound_terms(
    denoise: Denoiser,
    x0: torch.Tensor,
    levels: Sequence[NoiseLevel],
    noise: NoiseFunction,
    variance: str = "small",
    clip: bool = True,
    discrete: bool = True,
) -> Iterator[tuple[float, torch.Tensor]]:
    """The terms of the variational bound in bits per dimension. Their sum is an upper bound of -log2 p(x0).

    x0 (N, C, H, W) holds pictures in [-1, 1] with values k / 127.5 - 1. `levels` are noisiest first and end
    with the clean one, as `path` returns them: all T for the bound of the paper, fewer for that of the
    respaced process. Yields (t, (N,) float64): first L_T, the term of the prior, with t = T; then L_{t-1} for
    every level with its t, noisiest first; last L_0, of the discretised decoder, with t = 0 on a full path.
    `noise(i)` is the noise at levels[i]. `variance` is as in the DDPM sampler. `clip` keeps the predicted x0
    in range, as the papers' evaluations do.

    If not `discrete`, x0 (N, ...) are real numbers, such as points, and L_0 is the density of the last step's
    Gaussian (Sohl-Dickstein et al. 2015, eq. 14). Then the sum bounds -log2 of the density, and can be
    negative.
    """
    for t, term in bound_maps(denoise, x0, levels, noise, variance, clip, discrete):
        yield t, term.flatten(1).mean(1)


@torch.no_grad()
def bound_maps(
    denoise: Denoiser,
    x0: torch.Tensor,
    levels: Sequence[NoiseLevel],
    noise: NoiseFunction,
    variance: str = "small",
    clip: bool = True,
    discrete: bool = True,
) -> Iterator[tuple[float, torch.Tensor]]:
    """The terms of `bound_terms` for every value of x0: yields (t, float64 of the shape of x0), in bits,
    before the mean.
    """
    yield levels[0].t + 1, _prior(x0, levels[0])
    x0 = x0.double()
    for i, (now, to) in enumerate(pairwise(levels)):
        x = now.alpha * x0 + now.sigma * noise(i).double()
        p = _prediction(denoise, x, now, clip)
        scale = now.alpha / to.alpha  # q(x_now | x_to) = N(scale * x_to, beta)
        beta = now.sigma**2 - (scale * to.sigma) ** 2
        x_weight, x0_weight = scale * to.sigma**2 / now.sigma**2, to.alpha * beta / now.sigma**2  # eq. 7
        mean = x_weight * x + x0_weight * p.x0
        log_small = _log_small(levels, i)
        log_variance = _log_variance(variance, log_small, math.log(beta), p)
        if to.sigma:
            yield now.t, _bits(_gaussian_kl(x_weight * x + x0_weight * x0, log_small, mean, log_variance))
        else:
            decoder = discretised_log_likelihood if discrete else log_density
            yield now.t, _bits(-decoder(x0, mean, log_variance))


def discretised_log_likelihood(x0: torch.Tensor, mean: torch.Tensor, log_variance: Number) -> torch.Tensor:
    """Log of the Gaussian's probability of the bin of each value (Ho et al. 2020, eq. 13), in nats, float64.

    The 256 bins are 1/127.5 wide around k / 127.5 - 1. The outermost reach to infinity, so the probabilities
    sum to 1, and contain values beyond the range. Computed from log-differences of the exact normal
    distribution function, so no bin underflows to zero, however far it is from the mean.
    """
    deviation = torch.as_tensor(log_variance, dtype=torch.float64, device=x0.device).mul(0.5).exp()
    x0 = x0.clamp(-1, 1)
    difference = x0.double() - mean.double()
    low = torch.where(x0 < -1 + STEP / 2, -math.inf, (difference - STEP / 2) / deviation)
    high = torch.where(x0 > 1 - STEP / 2, math.inf, (difference + STEP / 2) / deviation)
    right = low > 0  # mirrored there, because the distribution function is near 1
    low, high = torch.where(right, -high, low), torch.where(right, -low, high)
    log_low, log_high = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    return log_high + torch.log(-torch.expm1(log_low - log_high))


def log_density(x0: torch.Tensor, mean: torch.Tensor, log_variance: Number) -> torch.Tensor:
    """Log of the Gaussian's density at each value, in nats, float64."""
    log_variance = torch.as_tensor(log_variance, dtype=torch.float64, device=x0.device)
    return -0.5 * (
        (x0.double() - mean.double()).square() * torch.exp(-log_variance)
        + log_variance
        + math.log(2 * math.pi)
    )


def _prediction(denoise: Denoiser, x: torch.Tensor, level: NoiseLevel, clip: bool) -> Prediction:
    p = denoise(x, level)
    return Prediction(p.x0.clamp(-1, 1), p.eps, p.variance) if clip else p


def _prior(x0: torch.Tensor, noisiest: NoiseLevel) -> torch.Tensor:
    """L_T: the KL divergence of x at the noisiest level from the sampler's start, noise of variance
    alpha^2 + sigma^2.
    """
    start = math.log(noisiest.alpha**2 + noisiest.sigma**2)
    mean = noisiest.alpha * x0.double()
    return _bits(_gaussian_kl(mean, 2 * math.log(noisiest.sigma), torch.zeros_like(mean), start))


def _log_small(levels: Sequence[NoiseLevel], i: int) -> float:
    """Log of the posterior's variance for the step from levels[i].

    The last step's variance is 0 and is replaced by that of the step before it, as in the papers (by beta if
    there is only one step).
    """
    now, to = levels[i], levels[i + 1]
    if not to.sigma:
        if not i:
            return 2 * math.log(now.sigma)
        now, to = levels[i - 1], now
    beta = now.sigma**2 - (now.alpha / to.alpha * to.sigma) ** 2
    return math.log(beta * to.sigma**2 / now.sigma**2)


def _log_variance(kind: str, log_small: float, log_large: float, p: Prediction) -> Number:
    if kind == "small":
        return log_small
    if kind == "large":
        return log_large
    if kind != "learned" or p.variance is None:
        raise OptionError(
            "variance",
            Setting("variance"),
            f" {kind!r} needs a model that predicts its variance, and this one does not. "
            "Choose 'small' or 'large'.",
        )
    return log_small + p.variance.double() * (log_large - log_small)  # eq. 15 of Improved DDPM


def _gaussian_kl(
    mean: torch.Tensor, log_variance: Number, other: torch.Tensor, other_log: Number
) -> torch.Tensor:
    """KL(N(mean, ...) || N(other, ...)) in nats, elementwise."""
    inverse = torch.exp(-other_log) if isinstance(other_log, torch.Tensor) else math.exp(-other_log)
    return 0.5 * (
        other_log - log_variance - 1 + math.exp(log_variance) * inverse + (mean - other).square() * inverse
    )


def _bits(nats: torch.Tensor) -> torch.Tensor:
    return nats / math.log(2)
