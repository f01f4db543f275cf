"""Denoising diffusion implicit models."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import option
from ..levels import Levels
from .arithmetic import fixed_stride_goal, fixed_stride_option, weighted
from .base import NoiseFunction, Sampler, Step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel


@dataclass(frozen=True)
class DDIM(Sampler):
    """DDIM: the next state is made of the predicted x0 and eps (Song et al. 2020, eq. 12).

    eta = 0 is deterministic: a seed gives nearly the same picture at any number of steps. eta = 1 is DDPM
    with the small variance. Choose it for good pictures in 20 to 100 steps.
    """

    label: ClassVar[str] = "DDIM"
    memoryless: ClassVar[bool] = True
    eta: float = option(0.0, "Fresh noise: 0 is deterministic, 1 as much as DDPM adds.", low=0.0, high=1.0)
    # Read by the guidance that clips x0, see `guidance.clamped`
    keep_eps: bool = option(
        False,
        "Where x0 is clipped, step along the noise that the network saw, as diffusers does, and not "
        "along that which goes with the clipped x0.",
    )

    fixed_stride: bool = fixed_stride_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    @property
    def ancestral(self) -> bool:
        return self.eta == 1

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        for i, (now, to) in enumerate(pairwise(levels)):
            if self.fixed_stride:
                to = fixed_stride_goal(now, to, levels)
            p = denoise(x, now)
            yield Step(i, now, x, p)
            inherited = now.alpha / to.alpha * to.sigma  # noise that x_now inherited from x_to
            fresh = self.eta * to.sigma / now.sigma * math.sqrt(max(now.sigma**2 - inherited**2, 0))
            x = weighted((to.alpha, p.x0), (math.sqrt(max(to.sigma**2 - fresh**2, 0)), p.eps))
            del p  # frees its memory before the next prediction
            if fresh:
                x.add_(noise(i + 1), alpha=fresh)
        return x
