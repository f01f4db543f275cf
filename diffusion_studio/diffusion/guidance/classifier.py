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


def _posterior_variance(level: NoiseLevel, p: Prediction) -> float:
    return 0.0


@dataclass(frozen=True)
class AncestralSteps:
    """The ancestral steps of a run, whose mean classifier guidance can move.

    `levels` are the run's levels, at least two. `share` gives the sampler's variance of a step: its logarithm
    interpolates from the posterior variance (0) to beta (1). Raises `OptionError` for fewer than two levels.
    """

    levels: Sequence[NoiseLevel]
    share: Share = _posterior_variance

    def __post_init__(self) -> None:
        if len(self.levels) < 2:
            raise OptionError(
                "classifier.form",
                "Classifier guidance in the form 'mean' needs the levels of the run. Give them, or choose "
                "'score'.",
            )


def gradient_of(log_probability: Callable[[torch.Tensor, NoiseLevel], torch.Tensor]) -> Gradient:
    """The gradient with respect to x of a classifier's log p(label | x) of noisy pictures.

    `log_probability` maps x (N, C, H, W) at a level to (N,); see `Classifier.seeing`. The result maps x to a
    gradient of the same shape. It works within `sample`, which disables grad mode.
    """

    def gradient(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        with torch.enable_grad():
            at = x.detach().requires_grad_(True)
            (gradients,) = torch.autograd.grad(log_probability(at, level).sum(), at)
        return gradients

    return gradient


def classifier_guided(
    denoise: Denoiser, gradient: Gradient, scale: float, mean_of: AncestralSteps | None = None
) -> Denoiser:
    """Classifier guidance (Dhariwal & Nichol 2021, algorithms 1 and 2). Scale 0 is off.

    Scale 1 gives the conditional distribution if the classifier is exact; larger scales reduce diversity.
    Without `mean_of` this is the form "score" (algorithm 2), which fits every sampler: eps - sigma * scale *
    gradient. With `mean_of` it is the form "mean" (algorithm 1): the mean of each ancestral step moves by
    scale * variance * gradient. Both forms agree in the limit of small steps.
    """
    if scale == 0:
        return denoise

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        if mean_of is None:
            if not level.alpha:  # without signal eps is x / sigma for every condition
                return p
            move = level.sigma**2 / level.alpha
        else:
            to = _next_level(mean_of.levels, level)
            if not to.alpha:
                return p
            move = _mean_move(level, to, mean_of.levels, mean_of.share(level, p))
        return from_x0(p.x0 + scale * move * gradient(x, level), x, level.alpha, level.sigma, p.variance)

    return guided


def _next_level(levels: Sequence[NoiseLevel], level: NoiseLevel) -> NoiseLevel:
    """The first of the run's levels with less noise than `level`."""
    return next((to for to in levels if to.log_snr > level.log_snr), level)


def _mean_move(
    now: NoiseLevel, to: NoiseLevel, levels: Sequence[NoiseLevel], share: float | torch.Tensor
) -> float | torch.Tensor:
    """The shift of x0 per unit of gradient that shifts the mean of the step by its variance.

    The mean is of_x0 * x0 + ... with of_x0 = to.alpha * beta / now.sigma^2 (Ho et al. 2020, eq. 7).
    """
    if not isinstance(share, torch.Tensor) and share == 0:
        return to.sigma**2 / to.alpha  # the posterior variance divided by of_x0
    small, large = step_variances(now, to)
    if not to.sigma:  # the posterior variance is 0; OpenAI's code takes that of the step before
        before = [one for one in levels if one.log_snr < now.log_snr]
        small = step_variances(before[-1], now)[0] if before else large
        share = 0.0 if isinstance(share, float) else share
    variance = small * (large / small) ** share
    return variance * now.sigma**2 / (to.alpha * large)


def step_variances(now: NoiseLevel, to: NoiseLevel) -> tuple[float, float]:
    """The posterior variance and beta of an ancestral step (Ho et al. 2020, section 3.2)."""
    beta = now.sigma**2 - (now.alpha / to.alpha * to.sigma) ** 2
    return beta * to.sigma**2 / now.sigma**2, beta
