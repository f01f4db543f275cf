"""Guidance that combines two denoisers: classifier-free guidance, its variants, and autoguidance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from ..denoiser import Denoiser, ask_all
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel, NoiseSchedule

Scale = float | Callable[[NoiseLevel], float]  # 1 is the first denoiser alone, 0 the second; see timing.py


def classifier_free(conditional: Denoiser, unconditional: Denoiser, scale: Scale) -> Denoiser:
    """Classifier-free guidance: eps = u + scale * (c - u) (Ho & Salimans 2022, eq. 6, with scale = 1 + w).

    Scale 1 is the conditional denoiser, 0 the unconditional one; larger scales reduce diversity and follow
    the condition more closely. The weights sum to 1, so x0 is combined in the same way. With a negative label
    or prompt as `unconditional` the result moves away from it. With a weaker model as `unconditional` this is
    autoguidance (Karras et al. 2024, eq. 3); use `at_schedule` if that model has another schedule. Where the
    scale is 1 or 0, only one denoiser is called.
    """

    def mixed(c: Prediction, u: Prediction, x: torch.Tensor, level: NoiseLevel, scale: float) -> Prediction:
        return Prediction(torch.lerp(u.x0, c.x0, scale), torch.lerp(u.eps, c.eps, scale), c.variance)

    return _guided_by(conditional, unconditional, scale, mixed)


def rescaled(conditional: Denoiser, unconditional: Denoiser, scale: Scale, amount: float = 0.7) -> Denoiser:
    """Classifier-free guidance with rescaling (Lin et al. 2023, eq. 14 to 16).

    The guided x0 of each picture is scaled to the standard deviation of the conditional x0; `amount` (0 to 1)
    interpolates between no and full rescaling. Choose it if a large scale gives over-exposed pictures. The
    paper rescales the network's output. Here x0 is rescaled, which does not depend on the parametrization.
    """

    def mixed(c: Prediction, u: Prediction, x: torch.Tensor, level: NoiseLevel, scale: float) -> Prediction:
        guided = torch.lerp(u.x0, c.x0, scale)
        ratio = _std(c.x0) / _std(guided).clamp_min(torch.finfo(x.dtype).tiny)
        return from_x0(guided * (1 + amount * (ratio - 1)), x, level.alpha, level.sigma, c.variance)

    return _guided_by(conditional, unconditional, scale, mixed)


def adaptive_projected(
    conditional: Denoiser,
    unconditional: Denoiser,
    scale: Scale,
    *,
    parallel: float = 0.0,
    radius: float | None = None,
) -> Denoiser:
    """Adaptive projected guidance (Sadat et al. 2024, section 4), which reduces saturation at large scales.

    For each picture, the component of the difference of both x0 that is parallel to the conditional x0 is
    multiplied by `parallel` (eta in the paper; 1 without a radius is classifier-free guidance). A difference
    with a Euclidean norm above `radius` is shortened to it. The paper's momentum is left out: denoisers have
    no memory, so that runs can be branched and replayed.
    """

    def mixed(c: Prediction, u: Prediction, x: torch.Tensor, level: NoiseLevel, scale: float) -> Prediction:
        difference = c.x0 - u.x0
        if radius is not None:
            norm = _norm(difference).clamp_min(torch.finfo(x.dtype).tiny)
            difference = difference * (radius / norm).clamp_max(1)
        along = c.x0 / _norm(c.x0).clamp_min(torch.finfo(x.dtype).tiny)
        projected = (difference * along).sum(_picture_dims(x), keepdim=True) * along
        update = difference - (1 - parallel) * projected
        return from_x0(c.x0 + (scale - 1) * update, x, level.alpha, level.sigma, c.variance)

    return _guided_by(conditional, unconditional, scale, mixed)


def at_schedule(denoise: Denoiser, schedule: NoiseSchedule) -> Denoiser:
    """A denoiser of a network with another schedule, evaluated at the same log-SNR.

    x is scaled to the network's own process if the scales differ (variance preserving, variance exploding,
    flow). Log-SNRs outside the range of `schedule` are clamped to its ends.
    """

    def converted(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        own = schedule.level(schedule.timestep(level.log_snr))
        scale = math.hypot(own.alpha, own.sigma) / math.hypot(level.alpha, level.sigma)
        if math.isclose(scale, 1, rel_tol=1e-9):
            return denoise(x, replace(level, t=own.t))
        p = denoise(x * scale, own)
        return from_x0(p.x0, x, level.alpha, level.sigma, p.variance)

    return converted


def _guided_by(
    conditional: Denoiser,
    unconditional: Denoiser,
    scale: Scale,
    mixed: Callable[[Prediction, Prediction, torch.Tensor, NoiseLevel, float], Prediction],
) -> Denoiser:
    """A denoiser that combines two by a formula. It calls only one of them where the scale is 1 or 0."""
    if scale == 1:
        return conditional
    if scale == 0:
        return unconditional

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now = scale(level) if callable(scale) else scale
        if now == 1:
            return conditional(x, level)
        if now == 0:
            return unconditional(x, level)
        c, u = ask_all((conditional, unconditional), x, level)
        return mixed(c, u, x, level, now)

    return guided


def _picture_dims(x: torch.Tensor) -> tuple[int, ...]:
    """All dimensions except the batch."""
    return tuple(range(1, x.ndim))


def _norm(x: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(x, dim=_picture_dims(x), keepdim=True)


def _std(x: torch.Tensor) -> torch.Tensor:
    return x.std(dim=_picture_dims(x), keepdim=True, correction=0)
