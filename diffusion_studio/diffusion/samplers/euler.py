"""Euler's method on the probability-flow ODE, and its ancestral form."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import DependsOn, option
from ..levels import Levels
from .arithmetic import Churn, add_churn, ddim_step, split_noise, unchurned, weighted
from .base import NoiseFunction, Sampler, Step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel

# Help texts of options that several samplers share, because a flag must mean the same for all of them.
CHURN = "Fresh noise over the whole run, added before each step (S_churn of EDM): 0 is deterministic."
S_TMIN = "Churn only where sigma / alpha is at least this."
S_TMAX = "Churn only where sigma / alpha is at most this."
S_NOISE = "Scale of all fresh noise: slightly above 1 compensates for lost detail."
ETA = "Fresh noise: 0 is deterministic, 1 as much as DDPM adds."


@dataclass(frozen=True)
class Euler(Sampler):
    """Euler's method in sigma / alpha, of first order (Karras et al. 2022, Algorithm 2 without lines 7 to 9).

    With churn 0 it equals DDIM with eta 0. Choose it for its simplicity, or to compare others with it.
    """

    label: ClassVar[str] = "Euler"
    memoryless: ClassVar[bool] = True
    churn: float = option(0.0, CHURN, low=0.0, high=100.0)
    s_tmin: float = option(0.0, S_TMIN, low=0.0, depends=(DependsOn("churn"),))
    s_tmax: float = option(1e9, S_TMAX, low=0.0, depends=(DependsOn("churn"),))
    s_noise: float = option(1.0, S_NOISE, low=0.0, high=2.0, depends=(DependsOn("churn"),))

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        churn = Churn(self.churn, self.s_tmin, self.s_tmax, self.s_noise)
        for i, (now, to) in enumerate(pairwise(levels)):
            x_hat, hat = add_churn(x, now, levels, churn, lambda i=i: noise(i + 1))
            p = denoise(x_hat, hat)
            yield Step(i, now, x, unchurned(p, x, now, hat))
            x = ddim_step(p, to)
            del p, x_hat  # frees their memory before the next prediction
        return x


@dataclass(frozen=True)
class EulerAncestral(Sampler):
    """Euler's method to part of the noise of the next level, plus fresh noise ("ancestral" in k-diffusion).

    With s_noise 1 it equals DDIM with the same eta. Choose it for variety: details change with the number of
    steps.
    """

    label: ClassVar[str] = "Euler ancestral"
    memoryless: ClassVar[bool] = True
    eta: float = option(1.0, ETA, low=0.0, high=1.0)
    s_noise: float = option(1.0, S_NOISE, low=0.0, high=2.0, depends=(DependsOn("eta"),))

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    @property
    def ancestral(self) -> bool:
        return self.eta == 1

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            down, up = split_noise(now, to, self.eta)
            x = weighted((to.alpha, p.x0), (down, p.eps))
            del p
            if up:
                x.add_(noise(i + 1), alpha=self.s_noise * up)
        return x
