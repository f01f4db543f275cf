"""Classifier guidance (Dhariwal & Nichol 2021, section 4): follow the gradient of log p(label | x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ...errors import OptionError
from ..denoiser import Denoiser
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel

Gradient = Callable[[torch.Tensor, NoiseLevel], torch.Tensor]
FORMS = ("score", "mean")


def gradient_of(log_probability: Callable[[torch.Tensor, NoiseLevel], torch.Tensor]) -> Gradient:
    """The gradient in x of a classifier's log-probability of the wanted label, (N, C, H, W) -> (N,), of noised pictures.

    Works inside `sample`, which switches gradients off.
    """
    def gradient(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        with torch.enable_grad():
            at = x.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(log_probability(at, level).sum(), at)
        return found

    return gradient


def classifier_guided(denoise: Denoiser, gradient: Gradient, scale: float, *, form: str = "score",
                      levels: Sequence[NoiseLevel] = ()) -> Denoiser:
    """Scale 0 is off, 1 the true conditional distribution where the classifier is right, more trades diversity away.

    form "score" (algorithm 2): eps = eps - sigma * scale * gradient. Right for every sampler.
    form "mean" (algorithm 1): the mean of an ancestral step is moved by scale * variance * gradient, with the small
    (posterior) variance; that is x0 moved by scale * (to.sigma^2 / to.alpha) * gradient, where `to` is the next of the
    run's `levels`. Both agree as steps become small.
    """
    if form not in FORMS:
        raise OptionError(f"The form of classifier guidance is one of {', '.join(FORMS)}; got {form!r}.")
    if form == "mean" and len(levels) < 2:
        raise OptionError("Classifier guidance in the form 'mean' needs the levels of the run. Give them, or choose 'score'.")
    if scale == 0:
        return denoise

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        at = level if form == "score" else _next(levels, level)
        if not at.alpha:                # no signal, so eps is x / sigma whatever is asked for
            return p
        return from_x0(p.x0 + scale * at.sigma**2 / at.alpha * gradient(x, level), x, level.alpha, level.sigma, p.variance)

    return guided


def _next(levels: Sequence[NoiseLevel], level: NoiseLevel) -> NoiseLevel:
    """The first of the run's levels that is cleaner than this one."""
    return next((to for to in levels if to.log_snr > level.log_snr), level)
