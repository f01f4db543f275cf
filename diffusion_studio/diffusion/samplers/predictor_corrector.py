"""The predictor-corrector sampler of score-based models."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import DependsOn, option
from ..levels import Levels
from .arithmetic import ddim_step, weighted
from .base import NoiseFunction, Sampler, Step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..prediction import Prediction
    from ..schedule import NoiseLevel


@dataclass(frozen=True)
class PredictorCorrector(Sampler):
    """Ancestral steps, each followed by Langevin steps at its arrival (Song et al. 2021, Algorithms 1 to 5).

    Langevin steps correct errors of the step and cost one network call each. Their size follows from the
    norms of noise and score, for each picture separately. No noise is added at the clean picture. Choose it
    for variance exploding models (NCSN++) and about 1,000 levels.
    """

    label: ClassVar[str] = "predictor-corrector"
    correct_steps: int = option(
        1, "Langevin steps at each level; each is one more network call.", low=0, high=100
    )
    snr: float = option(
        0.15,
        "Signal-to-noise ratio r of the Langevin steps: larger values move further.",
        low=0.001,
        high=2.0,
        depends=(DependsOn("correct_steps"),),
    )
    correct_first: bool = option(
        False,
        "Also correct the first state, which is pure noise, as diffusers does.",
        depends=(DependsOn("correct_steps"),),
    )

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    @property
    def deterministic(self) -> bool:
        return False

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            if i and now.log_snr > levels[i - 1].log_snr:
                x, p = self._corrected(denoise, x, p, now, _fresh(noise, i))
            yield Step(i, now, x, p)
            whole = len(levels) - 1 == levels.steps  # a part of a run starts from a corrected state
            if self.correct_first and i == 0 and whole and to.log_snr > now.log_snr:
                x, p = self._corrected(denoise, x, p, now, _fresh(noise, i))
            scale = now.alpha / to.alpha  # q(x_now | x_to) = N(scale * x_to, beta)
            beta = now.sigma**2 - (scale * to.sigma) ** 2
            if beta <= 0:  # steps to equal or more noise follow the ODE
                x = ddim_step(p, to)
            else:
                x = weighted((scale * to.sigma**2 / now.sigma**2, x), (to.alpha * beta / now.sigma**2, p.x0))
            del p
            if to.sigma and beta > 0:
                x.add_(noise(i + 1), alpha=math.sqrt(beta))
        return x

    def _corrected(
        self,
        denoise: Denoiser,
        x: torch.Tensor,
        p: Prediction,
        now: NoiseLevel,
        fresh_of: Callable[[int], torch.Tensor],
    ) -> tuple[torch.Tensor, Prediction]:
        """x after its Langevin steps (Algorithms 4 and 5), and the prediction there.

        The score is -eps / sigma.
        """
        for k in range(self.correct_steps):
            fresh = fresh_of(k)
            score = p.eps / -now.sigma
            lengths = [tensor.flatten(1).norm(dim=1) for tensor in (fresh, score)]
            size = 2 * (self.snr * lengths[0] / lengths[1].clamp_min(1e-12)) ** 2
            size = size.view(-1, *[1] * (x.ndim - 1))
            x = x + size * score + (2 * size).sqrt() * fresh
            p = denoise(x, now)
        return x, p


def _fresh(noise: NoiseFunction, i: int) -> Callable[[int], torch.Tensor]:
    """The noise of Langevin step k at level i, as a function of k. Without `noise.further` it is constant."""
    further = getattr(noise, "further", None)
    return lambda k: noise(i) if further is None else further(i, k)
