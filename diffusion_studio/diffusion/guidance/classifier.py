"""Classifier guidance (Dhariwal & Nichol 2021, section 4): follow the gradient of log p(label | x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...errors import OptionError
from ..denoiser import Denoiser
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel

Gradient = Callable[[torch.Tensor, NoiseLevel], torch.Tensor]
Share = Callable[[NoiseLevel, Prediction], float | torch.Tensor]


def _posterior(level: NoiseLevel, p: Prediction) -> float:
    return 0.0


@dataclass(frozen=True)
class AncestralSteps:
    """The ancestral steps of a run, for guidance that moves their mean: its levels, at least two, and where
    the variance of a step lies between the posterior's (0) and beta (1), in logarithm, which is the sampler's
    own.
    """

    levels: Sequence[NoiseLevel]
    share: Share = _posterior

    def __post_init__(self) -> None:
        if len(self.levels) < 2:
            raise OptionError(
                "classifier.form",
                "Classifier guidance in the form 'mean' needs the levels of the run. Give them, or choose "
                "'score'.",
            )


def gradient_of(log_probability: Callable[[torch.Tensor, NoiseLevel], torch.Tensor]) -> Gradient:
    """The gradient in x of a classifier's log-probability of the wanted label, (N, C, H, W) -> (N,), of
    noised pictures.

    Works inside `sample`, which switches gradients off.
    """

    def gradient(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        with torch.enable_grad():
            at = x.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(log_probability(at, level).sum(), at)
        return found

    return gradient


def classifier_guided(
    denoise: Denoiser, gradient: Gradient, scale: float, mean_of: AncestralSteps | None = None
) -> Denoiser:
    """Scale 0 is off, 1 the true conditional distribution where the classifier is right, more trades
    diversity away.

    Without `mean_of` it is the form "score" (algorithm 2), right for every sampler: eps = eps - sigma * scale
    * gradient. With it, the form "mean" (algorithm 1): the mean of an ancestral step to the next of the run's
    levels is moved by scale * variance * gradient. Both agree as steps become small.
    """
    if scale == 0:
        return denoise

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        if mean_of is None:
            if not level.alpha:  # no signal, so eps is x / sigma whatever is asked for
                return p
            move = level.sigma**2 / level.alpha
        else:
            to = _next(mean_of.levels, level)
            if not to.alpha:
                return p
            move = _mean_move(level, to, mean_of.levels, mean_of.share(level, p))
        return from_x0(p.x0 + scale * move * gradient(x, level), x, level.alpha, level.sigma, p.variance)

    return guided


def _next(levels: Sequence[NoiseLevel], level: NoiseLevel) -> NoiseLevel:
    """The first of the run's levels that is cleaner than this one."""
    return next((to for to in levels if to.log_snr > level.log_snr), level)


def _mean_move(
    now: NoiseLevel, to: NoiseLevel, levels: Sequence[NoiseLevel], share: float | torch.Tensor
) -> float | torch.Tensor:
    """By how much x0 moves for each unit of the gradient, where the step's mean moves by its variance.

    The mean is of_x0 * x0 + ... with of_x0 = to.alpha * beta / now.sigma^2 (Ho et al. 2020, eq. 7).
    """
    if not isinstance(share, torch.Tensor) and share == 0:
        return to.sigma**2 / to.alpha  # the posterior's variance divided by of_x0
    small, large = step_variances(now, to)
    if not to.sigma:  # the posterior has no width here and borrows its neighbour's, as in OpenAI's code
        before = [one for one in levels if one.log_snr < now.log_snr]
        small = step_variances(before[-1], now)[0] if before else large
        share = 0.0 if isinstance(share, float) else share
    variance = small * (large / small) ** share
    return variance * now.sigma**2 / (to.alpha * large)


def step_variances(now: NoiseLevel, to: NoiseLevel) -> tuple[float, float]:
    """The posterior's variance and beta of an ancestral step (Ho et al. 2020, section 3.2)."""
    beta = now.sigma**2 - (now.alpha / to.alpha * to.sigma) ** 2
    return beta * to.sigma**2 / now.sigma**2, beta
