"""Sampling of consistency models."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from .arithmetic import weighted
from .base import NoiseFunction, Step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel


@dataclass(frozen=True)
class Consistency:
    """Predict the clean picture, add fresh noise up to the next level, and again (Song et al. 2023, Algorithm 1).

    Made for consistency models, whose x0 is the ODE's own end: one step is one call, more steps mend its faults. With
    an ordinary network, whose x0 is the mean of all that is possible, it gives blurred pictures of too little variety.
    """

    def __call__(self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel],
                 noise: NoiseFunction) -> Generator[Step, None, torch.Tensor]:
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p.x0, p.eps)
            x = weighted((to.alpha, p.x0), (to.sigma, noise(i + 1))) if to.sigma else to.alpha * p.x0
            del p
        return x
