"""Sampling of consistency models."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import option
from .arithmetic import weighted
from .base import NoiseFunction, Sampler, Step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel


@dataclass(frozen=True)
class Consistency(Sampler):
    """Multistep consistency sampling (Song et al. 2023, Algorithm 1): predict x0, then add fresh noise.

    It is made for consistency models, whose x0 is the end point of the ODE: one step gives a picture, more
    steps improve it. Other networks predict the mean of all possible pictures, so with them it gives blurred
    pictures of too little variety.
    """

    label: ClassVar[str] = "consistency"
    made_for: ClassVar = ("consistency",)

    sigma_min: float = option(
        0.0,
        "Noise that remains at the clean end of the model's process: its square is subtracted from that of "
        "the fresh noise (Algorithm 1).",
        low=0.0,
        high=100.0,
    )

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    @property
    def deterministic(self) -> bool:
        return False

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            fresh = math.sqrt(max(to.sigma**2 - (to.alpha * self.sigma_min) ** 2, 0))
            x = weighted((to.alpha, p.x0), (fresh, noise(i + 1))) if fresh else to.alpha * p.x0
            del p
        return x
