"""Adams-Bashforth methods for steps of any size: LMS in sigma / alpha, DEIS in its logarithm."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ... import options
from ...options import option
from ..levels import Levels
from .arithmetic import adams_weights, ddim_step, lower_order_final_option, lowers_final_order, rho, weighted
from .base import NoiseFunction, Sampler, Step
from .unipc import ORDER

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel


@dataclass(frozen=True)
class LMS(Sampler):
    """Linear multistep (Adams-Bashforth; LMS of k-diffusion), one network call per step.

    The polynomial in rho = sigma / alpha through the last `order` eps is integrated exactly. The first steps
    have lower orders. Choose it for 20 steps or more.
    """

    label: ClassVar[str] = "LMS"
    order: int = option(4, ORDER, low=1, high=4)

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        history: list[tuple[float, torch.Tensor]] = []  # newest first: (rho, eps)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            older = [(at, eps) for at, eps in history if at != rho(now)]
            if not older:
                x = ddim_step(p, to)
                history = [(rho(now), p.eps)][: self.order - 1] if now.alpha else []
                del p
                continue
            history = [(rho(now), p.eps), *older]
            del p, older
            weights = adams_weights([at for at, _ in history], rho(now), rho(to), np.ones_like)
            x = weighted(
                (to.alpha / now.alpha, x), *((to.alpha * w, eps) for w, (_, eps) in zip(weights, history))
            )
            history = history[: self.order - 1]
        return x


@dataclass(frozen=True)
class DEIS(Sampler):
    """tAB-DEIS in log rho (Zhang & Chen 2023, eq. 15), one network call per step.

    The polynomial in log(sigma / alpha) through the last `order` eps is integrated exactly. The first steps
    have lower orders. The step to the clean picture is of first order, because the logarithm is infinite
    there. Choose it for 10 to 20 steps.
    """

    label: ClassVar[str] = "DEIS"
    order: int = option(3, ORDER, low=1, high=4)
    lower_order_final: str = lower_order_final_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        lowered = lowers_final_order(self.lower_order_final, levels.steps)
        history: list[tuple[float, torch.Tensor]] = []  # newest first: (log rho, eps)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            here = -now.log_snr / 2
            older = [(at, eps) for at, eps in history if at != here]
            if lowered:
                older = older[: len(levels) - 2 - i]
            if not older or not to.sigma:
                x = ddim_step(p, to)
                history = [(here, p.eps)][: self.order - 1] if now.alpha else []
                del p
                continue
            history = [(here, p.eps), *older]
            del p, older
            weights = adams_weights(
                [at for at, _ in history], here, -to.log_snr / 2, lambda u, here=here: np.exp(u - here)
            )
            scale = to.alpha * math.exp(here)
            x = weighted(
                (to.alpha / now.alpha, x), *((scale * w, eps) for w, (_, eps) in zip(weights, history))
            )
            history = history[: self.order - 1]
        return x
