"""Guidance is Denoiser -> Denoiser: wrappers that compose, of which samplers know nothing.

Each keeps the invariant alpha * x0 + sigma * eps == x.
"""

from __future__ import annotations

import torch

from .denoiser import Denoiser, ask_all
from .prediction import Prediction, from_x0
from .schedule import NoiseLevel


def classifier_free(conditional: Denoiser, unconditional: Denoiser, scale: float) -> Denoiser:
    """eps = u + scale * (c - u) (Ho & Salimans 2022, eq. 6, with scale = 1 + w).

    Scale 1 is the conditional denoiser itself, 0 the unconditional one; larger trades diversity for
    likeness to the condition. The weights sum to 1, so x0 mixes the same way.
    """
    if scale == 1:
        return conditional
    if scale == 0:
        return unconditional

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        c, u = ask_all((conditional, unconditional), x, level)
        return Prediction(torch.lerp(u.x0, c.x0, scale), torch.lerp(u.eps, c.eps, scale), c.variance)

    return guided


def clamped(denoise: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """Keep the predicted clean picture in the data's range and re-derive eps from it (as OpenAI's samplers do)."""

    def inside(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        return from_x0(p.x0.clamp(low, high), x, level.alpha, level.sigma, p.variance)

    return inside
