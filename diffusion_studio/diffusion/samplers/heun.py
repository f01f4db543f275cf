"""Heun's method on the probability-flow ODE, as in EDM."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import DependsOn, option
from ..levels import Levels
from .arithmetic import Churn, add_churn, ddim_step, rho, unchurned, weighted
from .base import NoiseFunction, Sampler, Step
from .euler import CHURN, S_NOISE, S_TMAX, S_TMIN

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel


@dataclass(frozen=True)
class Heun(Sampler):
    """Heun's method (Karras et al. 2022, Algorithm 2): second order, two network calls per step.

    With churn it is the paper's stochastic sampler. The step to the clean picture, and one from alpha = 0,
    are Euler steps with one call. Choose it for pictures close to the exact solution of the ODE in 20 to 40
    steps. Churn corrects errors of the network but needs more steps.
    """

    label: ClassVar[str] = "Heun"
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
            x, slope = ddim_step(p, to), p.eps  # line 8
            del p, x_hat
            if to.sigma and hat.alpha:  # lines 9 to 11
                half = to.alpha * (rho(to) - rho(hat)) / 2
                x = weighted((1.0, x), (half, denoise(x, to).eps), (-half, slope))
        return x
