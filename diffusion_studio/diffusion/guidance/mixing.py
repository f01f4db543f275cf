"""Two denoisers' answers mixed: classifier-free guidance and its kin, and guidance by a weaker model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from ..denoiser import Denoiser, ask_all
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel, NoiseSchedule

Scale = float | Callable[[NoiseLevel], float]  # 1 is off, 0 the second denoiser alone; see timing.py


def classifier_free(conditional: Denoiser, unconditional: Denoiser, scale: Scale) -> Denoiser:
    """eps = u + scale * (c - u) (Ho & Salimans 2022, eq. 6, with scale = 1 + w).

    Scale 1 is the conditional denoiser itself, 0 the unconditional one; larger trades diversity for likeness
    to the condition. The weights sum to 1, so x0 mixes the same way. With a negative label or prompt in place
    of the unconditional denoiser the result moves away from that; with a weaker checkpoint of the same task
    it is autoguidance (Karras et al. 2024, eq. 3; see `at_schedule` where it was trained with another
    schedule). A scale that varies asks only the conditional denoiser where it is 1.
    """

    def mixed(c: Prediction, u: Prediction, x: torch.Tensor, level: NoiseLevel, scale: float) -> Prediction:
        return Prediction(torch.lerp(u.x0, c.x0, scale), torch.lerp(u.eps, c.eps, scale), c.variance)

    return _mixing(conditional, unconditional, scale, mixed)


def rescaled(conditional: Denoiser, unconditional: Denoiser, scale: Scale, amount: float = 0.7) -> Denoiser:
    """Classifier-free guidance whose x0 gets back the contrast of the unguided one (Lin et al. 2023, eq. 14
    to 16).

    Each picture's guided x0 is scaled to the standard deviation of the conditional x0, `amount` (0 to 1) of
    the way. Choose it where a large scale makes pictures over-exposed. The paper rescales the network's
    output; x0 is where the contrast is seen, whatever the parametrization.
    """

    def mixed(c: Prediction, u: Prediction, x: torch.Tensor, level: NoiseLevel, scale: float) -> Prediction:
        guided = torch.lerp(u.x0, c.x0, scale)
        ratio = _spread(c.x0) / _spread(guided).clamp_min(torch.finfo(x.dtype).tiny)
        return from_x0(guided * (1 + amount * (ratio - 1)), x, level.alpha, level.sigma, c.variance)

    return _mixing(conditional, unconditional, scale, mixed)


def adaptive_projected(
    conditional: Denoiser,
    unconditional: Denoiser,
    scale: Scale,
    *,
    parallel: float = 0.0,
    radius: float | None = None,
) -> Denoiser:
    """Adaptive projected guidance (Sadat et al. 2024, section 4): less of the part that only saturates.

    Of the difference between the two x0, each picture's component along the conditional x0 counts `parallel`
    times (their eta; 1 with no radius is classifier-free guidance), and a difference longer than `radius`, a
    Euclidean norm over the picture, is shortened to it. Their momentum is left out: a denoiser has no memory,
    so that runs can be branched and replayed.
    """

    def mixed(c: Prediction, u: Prediction, x: torch.Tensor, level: NoiseLevel, scale: float) -> Prediction:
        difference = c.x0 - u.x0
        if radius is not None:
            norm = _norm(difference).clamp_min(torch.finfo(x.dtype).tiny)
            difference = difference * (radius / norm).clamp_max(1)
        along = c.x0 / _norm(c.x0).clamp_min(torch.finfo(x.dtype).tiny)
        projected = (difference * along).sum(_picture(x), keepdim=True) * along
        update = difference - (1 - parallel) * projected
        return from_x0(c.x0 + (scale - 1) * update, x, level.alpha, level.sigma, c.variance)

    return _mixing(conditional, unconditional, scale, mixed)


def at_schedule(denoise: Denoiser, schedule: NoiseSchedule) -> Denoiser:
    """A denoiser of another network, asked at the level of its own `schedule` that has the same log-SNR.

    Where the two processes differ in scale (variance preserving, exploding, flow), x is brought to the other
    one's. Noise beyond the ends of that schedule is taken for its ends.
    """

    def asked(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        own = schedule.level(schedule.timestep(level.log_snr))
        scale = math.hypot(own.alpha, own.sigma) / math.hypot(level.alpha, level.sigma)
        if math.isclose(scale, 1, rel_tol=1e-9):
            return denoise(x, replace(level, t=own.t))
        p = denoise(x * scale, own)
        return from_x0(p.x0, x, level.alpha, level.sigma, p.variance)

    return asked


def _mixing(
    conditional: Denoiser,
    unconditional: Denoiser,
    scale: Scale,
    mixed: Callable[[Prediction, Prediction, torch.Tensor, NoiseLevel, float], Prediction],
) -> Denoiser:
    """The wrapper around a formula, with the network calls saved that scale 1 and 0 do not need."""
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


def _picture(x: torch.Tensor) -> tuple[int, ...]:
    """All dimensions but that of the batch."""
    return tuple(range(1, x.ndim))


def _norm(x: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(x, dim=_picture(x), keepdim=True)


def _spread(x: torch.Tensor) -> torch.Tensor:
    return x.std(dim=_picture(x), keepdim=True, correction=0)
