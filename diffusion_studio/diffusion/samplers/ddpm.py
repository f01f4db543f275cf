"""Ancestral sampling."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...errors import OptionError, Setting
from ...options import DependsOn, option
from .arithmetic import weighted
from .base import NoiseFunction, Sampler, Step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel


_LEAST_VARIANCE = 1e-20  # replaces a variance of 0 before its logarithm is taken, as in diffusers


@dataclass(frozen=True)
class DDPM(Sampler):
    """Ancestral sampling (Ho et al. 2020, Algorithm 2): draw x_{t-1} from the posterior given x_t and x0.

    The formula holds for any pair of levels; fewer steps than T give the respaced process of Nichol &
    Dhariwal 2021. Choose it to see the original chain. It needs many steps.
    """

    label: ClassVar[str] = "DDPM"
    memoryless: ClassVar[bool] = True
    variance: str = option(
        "small",
        "Noise of each step: small is the posterior's variance, large is beta (both in "
        "section 3.2 of DDPM), learned is the network's own, interpolated lies between small and large.",
        choices=("small", "large", "learned", "interpolated"),
    )
    interpolation: float = option(
        0.5,
        "Where the interpolated variance lies, in logarithm: 0 is small, 1 is large.",
        low=0.0,
        high=1.0,
        depends=(DependsOn("variance", ("interpolated",)),),
    )
    learned_above: float = option(
        0.0,
        "The learned variance is used where sigma / alpha is at least this; below it the small one, which "
        "leaves less grain.",
        low=0.0,
        high=1e6,
        depends=(DependsOn("variance", ("learned",)),),
    )

    last_noise: bool = option(
        False,
        "Add noise in the last step too, where it starts above timestep 0, as diffusers does "
        "with the large and the learned variance.",
    )

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    @property
    def deterministic(self) -> bool:
        return False

    @property
    def ancestral(self) -> bool:
        return True

    def variance_share(self, level: NoiseLevel, learned: torch.Tensor | None) -> float | torch.Tensor:
        if self.variance == "learned":
            return learned if learned is not None and not self._below(level) else 0.0
        return {"small": 0.0, "large": 1.0, "interpolated": self.interpolation}[self.variance]

    def _below(self, level: NoiseLevel) -> bool:
        """Whether the small variance replaces the learned one at a level, see `learned_above`."""
        return level.sigma < self.learned_above * level.alpha

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            scale = now.alpha / to.alpha  # q(x_now | x_to) = N(scale * x_to, beta)
            beta = now.sigma**2 - (scale * to.sigma) ** 2
            x = weighted(
                (scale * to.sigma**2 / now.sigma**2, x), (to.alpha * beta / now.sigma**2, p.x0)
            )  # eq. 7
            learned = p.variance
            del p  # frees its memory before the next prediction
            arrives = to.sigma == 0  # at the clean picture, where no noise is added
            if beta > 0 and (not arrives or self.last_noise and now.t > 0):
                low = self.variance == "learned" and self._below(now)
                variance = "small" if low else self.variance
                small = max(beta * to.sigma**2 / now.sigma**2, _LEAST_VARIANCE)
                deviation = self._deviation(variance, small, beta, learned)
                fresh = noise(i + 1)
                if isinstance(deviation, (int, float)):
                    x.add_(fresh, alpha=deviation)
                else:
                    x.addcmul_(deviation, fresh)
                del deviation, fresh
            del learned
        return x

    def _deviation(
        self, variance: str, small: float, large: float, learned: torch.Tensor | None
    ) -> float | torch.Tensor:
        """The standard deviation of a step's noise: a number, or per pixel if the variance is learned."""
        if variance == "small":
            return math.sqrt(small)
        if variance == "large":
            return math.sqrt(large)
        if variance == "interpolated":
            return math.sqrt(small) * (large / small) ** (self.interpolation / 2)
        if learned is None:
            raise OptionError(
                "sampler.variance",
                Setting("sampler.variance"),
                " 'learned' needs a model that predicts its variance, and this one does not. "
                "Choose 'small' or 'large'.",
            )
        return (
            learned.mul(0.5 * math.log(large / small)).add_(0.5 * math.log(small)).exp_()
        )  # eq. 15 of Improved DDPM
