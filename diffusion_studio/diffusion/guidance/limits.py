"""The predicted picture kept in the range of pictures, or to few colours; eps follows from it, where it is
not kept.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ..denoiser import Denoiser
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel

_AT_ONCE = 8192  # pixels that are compared with all colours at a time


def clamped(denoise: Denoiser, low: float = -1.0, high: float = 1.0, keep_eps: bool = False) -> Denoiser:
    """Keep the predicted clean picture in the data's range and re-derive eps from it (as OpenAI's samplers
    do).

    With `keep_eps` eps stays as the network has it (as diffusers' DDIM does), so that the two no longer add
    up to x where x0 was changed: only for samplers that step along both, which DDIM does.
    """

    def inside(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        return _limited(p, p.x0.clamp(low, high), x, level, keep_eps)

    return inside


def dynamically_thresholded(
    denoise: Denoiser,
    share: float = 0.995,
    limit: float = 1.0,
    most: float | None = None,
    keep_eps: bool = False,
) -> Denoiser:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): a picture that leaves the range is scaled back
    into it.

    s is the `share`-quantile (0 to 1) of |x0| over each picture, at least `limit` and at `most` that where it
    is given; x0 is clamped to [-s, s] and divided by s / limit. Choose it with large guidance, where clamping
    alone saturates whole areas. `keep_eps` as in `clamped`.
    """

    def inside(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        s = _quantile(p.x0.abs().flatten(1), share).clamp(limit, most).view(-1, *[1] * (x.ndim - 1))
        return _limited(p, p.x0.clamp(-s, s) * (limit / s), x, level, keep_eps)

    return inside


def _limited(
    p: Prediction, x0: torch.Tensor, x: torch.Tensor, level: NoiseLevel, keep_eps: bool
) -> Prediction:
    return replace(p, x0=x0) if keep_eps else from_x0(x0, x, level.alpha, level.sigma, p.variance)


def in_palette(denoise: Denoiser, colours: torch.Tensor, below: float = float("inf")) -> Denoiser:
    """Each pixel of the predicted clean picture becomes the nearest of `colours` (P, C), from sigma / alpha
    `below` on.

    It is what Li et al. 2022 (section 4.2, "clamping") do with the vectors of words. Distances are Euclidean,
    in the data's range [-1, 1]; what lies beyond the range stays as far beyond it.
    """

    def nearest(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        if level.sigma > below * level.alpha:
            return p
        inside = p.x0.clamp(-1, 1)
        pixels, table = inside.movedim(1, -1).flatten(0, -2), colours.to(inside)
        chosen = torch.cat([torch.cdist(part, table).argmin(1) for part in pixels.split(_AT_ONCE)])
        drawn = table[chosen].view(*inside.movedim(1, -1).shape).movedim(-1, 1)
        return from_x0(drawn + (p.x0 - inside), x, level.alpha, level.sigma, p.variance)

    return nearest


def _quantile(values: torch.Tensor, share: float) -> torch.Tensor:
    """(N,) the quantile of each row, between the two nearest values; torch.quantile refuses large rows."""
    at = share * (values.shape[1] - 1)
    low = int(at)
    ordered = values.sort(dim=1).values
    return torch.lerp(ordered[:, low], ordered[:, min(low + 1, values.shape[1] - 1)], at - low)
