"""From pictures instead of from noise: in-painting, starting at a level, inversion, resampling,
interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..errors import OptionError
from .denoiser import Denoiser
from .levels import Levels
from .prediction import Prediction, from_x0
from .schedule import CLEAN, NoiseLevel


def inpainted(denoise: Denoiser, picture: torch.Tensor, mask: torch.Tensor) -> Denoiser:
    """Keep `picture` where `mask` is 1 and draw where it is 0: known pixels replace the predicted x0.

    picture (C, H, W) or (N, C, H, W) in [-1, 1]; mask likewise with 1 or C channels, from 0 to 1. The
    finished pixels are the known ones exactly (where the mask is 1) with every sampler that ends in the
    predicted x0: all but PLMS, PNDM and LMS, which carry earlier predictions into the last step. As the
    replaced x0 (Song et al. 2020, score SDE, appendix I.2, replace the state instead) it suits every sampler;
    edges join better with `resampled` levels.
    """

    def filled(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        check_fits("picture", picture, x)
        check_fits("mask", mask, x)
        p = denoise(x, level)
        return from_x0(
            torch.where(mask == 1, picture, torch.lerp(p.x0, picture, mask)),
            x,
            level.alpha,
            level.sigma,
            p.variance,
        )

    return filled


def check_fits(what: str, given: torch.Tensor, x: torch.Tensor) -> None:
    """An `OptionError` unless `given` broadcasts to x without making it larger."""
    try:
        fits = torch.broadcast_shapes(given.shape, x.shape) == x.shape and given.shape[-2:] == x.shape[-2:]
    except RuntimeError:
        fits = False
    if not fits:
        raise OptionError(
            what,
            f"The {what} has the shape {tuple(given.shape)} and the pictures {tuple(x.shape)} (pictures, "
            f"channels, height, width). Bring it to {x.shape[-2]} x {x.shape[-1]}.",
        )


def noised(picture: torch.Tensor, level: NoiseLevel, noise: torch.Tensor) -> torch.Tensor:
    """The picture at a level, where a run that edits it starts (SDEdit; Meng et al. 2021, algorithm 1)."""
    return level.alpha * picture + level.sigma * noise


def resampled(levels: Sequence[NoiseLevel], length: int, jumps: int) -> Levels:
    """A run's levels with RePaint's jumps back (Lugmayr et al. 2022, section 4.2 and algorithm 1).

    After every `length` steps the run goes `length` steps back up to where those began, and down again,
    `jumps` times in all for each stretch (1 changes nothing); `sample` noises the state where the levels
    rise. As in the authors' program the stretches are counted from the last noisy level upwards: the step
    into the clean picture is not walked again, nor are the first ones, where fewer than `length` are left.
    """
    if length < 1 or jumps < 1:
        raise OptionError(
            "edit.jump_length",
            f"A jump is at least 1 step long and each stretch is run once or more; got {length} and {jumps}.",
        )
    last = len(levels) - 2  # the last noisy level
    begin = last % length if last > 0 else 0
    visited = list(levels[: begin + 1])
    for k in range(begin, last, length):
        stretch = list(levels[k : k + length + 1])
        visited += (stretch[1:] + [stretch[0]]) * (jumps - 1) + stretch[1:]
    known = Levels.of(levels)
    return Levels([*visited, *levels[max(last, begin) + 1 :]], known.schedule, known.steps)


def rising(levels: Sequence[NoiseLevel]) -> tuple[NoiseLevel, ...]:
    """The levels of a run backwards, from picture to noise, for DDIM inversion (Song et al. 2020, section
    4.3).

    The picture stands in for the state at the least noisy level that a network is asked about, not at the
    clean end.
    """
    return tuple(level for level in reversed(levels) if level != CLEAN)


def renoise(x: torch.Tensor, now: NoiseLevel, to: NoiseLevel, noise: torch.Tensor) -> torch.Tensor:
    """The state noised from one level to a noisier one: a draw from the forward process q(x_to | x_now)."""
    kept = to.alpha / now.alpha
    return kept * x + math.sqrt(max(to.sigma**2 - (kept * now.sigma) ** 2, 0)) * noise


def slerp(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Between two noises (N, ...) along the sphere (Shoemake 1985): 0 is one, 1 the other, picture by
    picture.

    Keeps the length that Gaussian noise has, which the straight line between them does not; for nearly
    parallel ones it is that line.
    """
    a, b = one.flatten(1), other.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)
    angle = torch.acos(cosine).view(-1, *[1] * (one.ndim - 1))
    sine = torch.sin(angle)
    line = torch.lerp(one, other, share)
    arc = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / sine
    return torch.where(sine < 1e-4, line, arc)
