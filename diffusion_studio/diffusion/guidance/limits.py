"""Restriction of the predicted x0 to the range of pictures or to a palette."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..denoiser import Denoiser
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel

_PIXELS_AT_ONCE = 8192  # compared with all colours at a time, to limit memory


def clamped(denoise: Denoiser, low: float = -1.0, high: float = 1.0, keep_eps: bool = False) -> Denoiser:
    """Clamp the predicted x0 to [low, high] and compute eps from it, as OpenAI's samplers do.

    With `keep_eps` eps stays that of the network, as in diffusers' DDIM. Where x0 was clamped, x0 and eps
    then no longer add up to x, so this is only for samplers that use both, such as DDIM.
    """

    def inside(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        return _with_x0(p, p.x0.clamp(low, high), x, level, keep_eps)

    return inside


def dynamically_thresholded(
    denoise: Denoiser,
    share: float = 0.995,
    limit: float = 1.0,
    most: float | None = None,
    keep_eps: bool = False,
) -> Denoiser:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): scale x0 back into the range of pictures.

    For each picture s is the `share`-quantile (0 to 1) of |x0|, at least `limit` and at most `most`. x0 is
    clamped to [-s, s] and divided by s / limit. Choose it with large guidance scales, where clamping alone
    saturates whole areas. `keep_eps` is that of `clamped`.
    """

    def inside(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        s = _quantile(p.x0.abs().flatten(1), share).clamp(limit, most).view(-1, *[1] * (x.ndim - 1))
        return _with_x0(p, p.x0.clamp(-s, s) * (limit / s), x, level, keep_eps)

    return inside


def _with_x0(
    p: Prediction, x0: torch.Tensor, x: torch.Tensor, level: NoiseLevel, keep_eps: bool
) -> Prediction:
    return replace(p, x0=x0) if keep_eps else from_x0(x0, x, level.alpha, level.sigma, p.variance)


def in_palette(denoise: Denoiser, colours: torch.Tensor, below: float = float("inf")) -> Denoiser:
    """Replace each pixel of x0 by the nearest of `colours` (P, C) at levels with sigma / alpha <= `below`.

    Li et al. 2022 (section 4.2, "clamping") do this with word vectors. Distances are Euclidean in the data
    range [-1, 1]. The part of x0 beyond this range is added again.
    """

    def nearest(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = denoise(x, level)
        if level.sigma > below * level.alpha:
            return p
        inside = p.x0.clamp(-1, 1)
        pixels, table = inside.movedim(1, -1).flatten(0, -2), colours.to(inside)
        chosen = torch.cat([torch.cdist(part, table).argmin(1) for part in pixels.split(_PIXELS_AT_ONCE)])
        drawn = table[chosen].view(*inside.movedim(1, -1).shape).movedim(-1, 1)
        return from_x0(drawn + (p.x0 - inside), x, level.alpha, level.sigma, p.variance)

    return nearest


def _quantile(values: torch.Tensor, share: float) -> torch.Tensor:
    """The quantile of each row of (N, L), interpolated, as (N,). torch.quantile rejects long rows."""
    at = share * (values.shape[1] - 1)
    low = int(at)
    ordered = values.sort(dim=1).values
    return torch.lerp(ordered[:, low], ordered[:, min(low + 1, values.shape[1] - 1)], at - low)
