"""DPM-Solver-2 as k-diffusion has it: the midpoint method in log(sigma / alpha)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import option
from ..levels import Levels
from ..schedule import NoiseLevel
from .arithmetic import along, ddim_step, split
from .base import NoiseFunction, Sampler, Step
from .dpm_solver import advance, usable
from .euler import ETA, S_NOISE

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser


@dataclass(frozen=True)
class DPM2(Sampler):
    """The midpoint method (DPM-Solver-2, Lu et al. 2022, with r = 1/2; Karras et al. 2022 call it that), two
    calls a step.

    eps is asked again halfway in log(sigma / alpha) and taken for the whole step. With eta 1 part of the
    arrival's noise is drawn afresh ("ancestral"). The step to the clean picture is Euler's. Choose it as
    Heun, with which it shares its order.
    """

    depends: ClassVar = {"s_noise": ("eta", ())}

    eta: float = option(0.0, ETA, low=0.0, high=1.0)
    s_noise: float = option(1.0, S_NOISE, low=0.0, high=2.0)

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p.x0, p.eps)
            down, up = split(now, to, self.eta)
            goal = NoiseLevel(to.t, to.alpha, down)
            if not usable(advance(now, goal)):
                x = ddim_step(p, goal)
                del p
            else:
                middle = levels.at((now.log_snr + goal.log_snr) / 2)
                ahead = ddim_step(p, middle)
                del p
                x = along(x, denoise(ahead, middle).eps, now, goal)
                del ahead
            if up:
                x.add_(noise(i + 1), alpha=self.s_noise * up)
        return x
