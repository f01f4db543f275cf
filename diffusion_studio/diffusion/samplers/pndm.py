"""Pseudo numerical methods for diffusion models (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import option
from ..levels import Levels
from .arithmetic import (
    ddim_step,
    fixed_stride_goal,
    fixed_stride_of,
    fixed_stride_option,
    fixed_stride_start,
    step_with_eps,
    weighted,
)
from .base import NoiseFunction, Sampler, Step
from .unipc import ORDER

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..prediction import Prediction
    from ..schedule import NoiseLevel

# Weights of the Adams-Bashforth methods for steps of equal size, newest first
MULTISTEP = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def _change(now: NoiseLevel, to: NoiseLevel) -> float:
    """The coefficient of eps in a DDIM step, beside (to.alpha / now.alpha) * x."""
    return to.sigma - to.alpha / now.alpha * now.sigma


def _step(
    x: torch.Tensor, p: Prediction | None, history: list[torch.Tensor], now: NoiseLevel, to: NoiseLevel
) -> torch.Tensor:
    """A DDIM step with the multistep combination of the eps in `history`, newest first (eq. 12).

    If `p` is given, the step uses it instead.
    """
    if p is not None:
        return ddim_step(p, to)
    change = _change(now, to)
    return weighted(
        (to.alpha / now.alpha, x), *((change * w, eps) for w, eps in zip(MULTISTEP[len(history)], history))
    )


@dataclass(frozen=True)
class PLMS(Sampler):
    """Pseudo linear multistep: DDIM steps with a fixed combination of past eps (eq. 12).

    The first step is a pseudo improved Euler step with two network calls; the others make one. The order is 2
    in general, because the weights are those for steps of equal size. Choose it for 20 to 50 steps; the first
    latent diffusion models used it.
    """

    label: ClassVar[str] = "PLMS"
    order: int = option(4, ORDER, low=1, high=4)
    fixed_stride: bool = fixed_stride_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        history: list[torch.Tensor] = []
        for i, (now, following) in enumerate(pairwise(levels)):
            to = fixed_stride_goal(now, following, levels) if self.fixed_stride else following
            p: Prediction | None = denoise(x, now)
            yield Step(i, now, x, p)
            history = [p.eps, *history]
            if i == 0 and self.order > 1 and len(levels) > 2 and now.alpha and to.sigma:
                ahead = ddim_step(p, to)
                eps = weighted((0.5, p.eps), (0.5, denoise(ahead, following).eps))
                # diffusers starts the second half of this step one stride above its arrival
                x = step_with_eps(
                    x, eps, fixed_stride_start(following, levels) if self.fixed_stride else now, following
                )
                del ahead, eps
            else:
                p = None if len(history) > 1 else p
                x = _step(x, p, history, now, to)
            history = history[: self.order - 1]
            del p
        return x


@dataclass(frozen=True)
class _Stride:
    """The levels of a Runge-Kutta step from `now` to `to`.

    `arrival` is the level to which its first half steps, and `middle` the level at which the network is
    called there. They differ with a fixed stride only.
    """

    now: NoiseLevel
    to: NoiseLevel
    arrival: NoiseLevel
    middle: NoiseLevel


@dataclass(frozen=True)
class PNDM(Sampler):
    """F-PNDM: linear multistep with four predictions (eq. 12) after three pseudo Runge-Kutta steps (eq. 13).

    A Runge-Kutta step makes four network calls, two of them halfway in time; other steps make one. Steps to
    the clean picture or from alpha = 0 are never Runge-Kutta steps. Its uses are those of PLMS; its start is
    more accurate.
    """

    label: ClassVar[str] = "PNDM"
    fixed_stride: bool = fixed_stride_option()

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        history: list[torch.Tensor] = []
        for i, (now, to) in enumerate(pairwise(levels)):
            starting = i < 3 and now.alpha and to.sigma
            if self.fixed_stride and not starting:
                to = fixed_stride_goal(now, to, levels)
            p: Prediction | None = denoise(x, now)
            yield Step(i, now, x, p)
            history = [p.eps, *history]
            p = None if len(history) > 1 or starting else p
            if starting:
                x, ahead = self._runge_kutta(denoise, x, history[0], self._stride(now, to, levels))
                x.add_(denoise(ahead, to).eps, alpha=_change(now, to) / 6)
                del ahead
            else:
                x = _step(x, p, history, now, to)
            history = history[:3]
            del p
        return x

    def _stride(self, now: NoiseLevel, to: NoiseLevel, levels: Levels) -> _Stride:
        """The levels of a Runge-Kutta step.

        With a fixed stride, as in diffusers, half of it is rounded to whole timesteps and counted down from
        `now` for the arrival and up from `to` for the middle, so the two may differ.
        """
        if not self.fixed_stride:
            middle = levels.at_time((now.t + to.t) / 2)
            return _Stride(now, to, middle, middle)
        half = fixed_stride_of(levels) // 2
        return _Stride(now, to, levels.at_time(now.t - half), levels.at_time(to.t + half))

    @staticmethod
    def _runge_kutta(
        denoise: Denoiser, x: torch.Tensor, first: torch.Tensor, stride: _Stride
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The step without the contribution of its fourth eps, and the state at which that is predicted.

        To save memory, the second eps is not stored: it is recovered from the state that it led to. Then only
        two tensors exist at each call, besides the network's output and the three remembered eps.
        """
        now, to, middle = stride.now, stride.to, stride.middle
        ahead = step_with_eps(x, first, now, stride.arrival)
        ahead = step_with_eps(x, denoise(ahead, middle).eps, now, middle)
        third = denoise(ahead, middle).eps
        scale, change, half = to.alpha / now.alpha, _change(now, to), _change(now, middle)
        second = change / half / 3 if half else 0.0  # weight of the change of x that the second eps caused
        step = weighted(
            (scale - second * middle.alpha / now.alpha, x),
            (second, ahead),
            (change / 6, first),
            (change / 3, third),
        )
        del ahead
        return step, step_with_eps(x, third, now, to)
