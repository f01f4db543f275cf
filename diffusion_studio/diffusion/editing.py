"""Runs that start from pictures: in-painting, SDEdit, DDIM inversion, RePaint resampling, interpolation."""

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
    """A denoiser for in-painting: known pixels replace the predicted x0 where `mask` is 1.

    picture is (C, H, W) or (N, C, H, W) in [-1, 1]. mask has the same shape with 1 or C channels, from 0
    (generate) to 1 (keep). Replacing x0 works with every sampler; Song et al. 2020 (score SDE, appendix I.2)
    replace the state instead. Where the mask is 1, the finished pixels equal the known ones with every
    sampler that ends at the predicted x0: all except PLMS, PNDM and LMS, whose last step uses earlier
    predictions. Edges join better with the levels of `resampled`. Raises `OptionError` for shapes that do not
    fit.
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
    """Raise `OptionError` unless `given` broadcasts to the shape of x. `what` names it in the error."""
    try:
        fits = torch.broadcast_shapes(given.shape, x.shape) == x.shape and given.shape[-2:] == x.shape[-2:]
    except RuntimeError:
        fits = False
    if not fits:
        raise OptionError(
            what,
            f"The {what} has the shape {tuple(given.shape)} and the pictures {tuple(x.shape)} (pictures, "
            f"channels, height, width). Resize it to {x.shape[-2]} x {x.shape[-1]}.",
        )


def noised(picture: torch.Tensor, level: NoiseLevel, noise: torch.Tensor) -> torch.Tensor:
    """The picture with noise of a level, from which SDEdit starts (Meng et al. 2021, algorithm 1)."""
    return level.alpha * picture + level.sigma * noise


def resampled(levels: Sequence[NoiseLevel], length: int, jumps: int) -> Levels:
    """A run's levels with the resampling of RePaint (Lugmayr et al. 2022, section 4.2 and algorithm 1).

    Each group of `length` steps is run `jumps` times in all (1 changes nothing): from its end the levels jump
    back up to its start, where `sample` adds noise to the state. As in the authors' program, groups are
    counted upwards from the last noisy level. So the step to the clean picture is not repeated, nor are the
    first steps if they do not fill a group. Raises `OptionError` for a `length` or `jumps` below 1.
    """
    if length < 1 or jumps < 1:
        raise OptionError(
            "edit.jump_length",
            f"The length of a jump and the runs of each group of steps are at least 1; got {length} and "
            f"{jumps}.",
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
    """A run's levels from picture to noise, for DDIM inversion (Song et al. 2020, section 4.3).

    The clean end is left out: the picture takes the place of the state at the least noisy level that the
    network knows.
    """
    return tuple(level for level in reversed(levels) if level != CLEAN)


def renoise(x: torch.Tensor, now: NoiseLevel, to: NoiseLevel, noise: torch.Tensor) -> torch.Tensor:
    """The state x at level `now`, noised to the noisier level `to`: a sample of q(x_to | x_now)."""
    scale = to.alpha / now.alpha
    return scale * x + math.sqrt(max(to.sigma**2 - (scale * now.sigma) ** 2, 0)) * noise


def slerp(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Spherical interpolation of two noises (N, ...), picture by picture (Shoemake 1985).

    `share` 0 is `one`, 1 is `other`. Unlike linear interpolation it keeps the norm that Gaussian noise has.
    Nearly parallel noises are interpolated linearly.
    """
    a, b = one.flatten(1), other.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)
    angle = torch.acos(cosine).view(-1, *[1] * (one.ndim - 1))
    sine = torch.sin(angle)
    line = torch.lerp(one, other, share)
    arc = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / sine
    return torch.where(sine < 1e-4, line, arc)
