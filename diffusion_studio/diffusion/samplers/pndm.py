"""Pseudo numerical methods for diffusion models (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ... import options
from ...options import option
from ..levels import Levels
from .arithmetic import (
    along,
    ddim_step,
    fixed_stride_goal,
    fixed_stride_of,
    fixed_stride_option,
    fixed_stride_start,
    weighted,
)
from .base import NoiseFunction, Sampler, Step
from .unipc import ORDER

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..prediction import Prediction
    from ..schedule import NoiseLevel

# Adams-Bashforth for even steps, newest first
MULTISTEP = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def _change(now: NoiseLevel, to: NoiseLevel) -> float:
    """How much of eps a DDIM step adds to the rescaled state."""
    return to.sigma - to.alpha / now.alpha * now.sigma


def _step(
    x: torch.Tensor, p: Prediction | None, history: list[torch.Tensor], now: NoiseLevel, to: NoiseLevel
) -> torch.Tensor:
    """DDIM's step with the combined eps of `history`, newest first (eq. 12)."""
    if p is not None:
        return ddim_step(p, to)
    change = _change(now, to)
    return weighted(
        (to.alpha / now.alpha, x), *((change * w, eps) for w, eps in zip(MULTISTEP[len(history)], history))
    )


@dataclass(frozen=True)
class PLMS(Sampler):
    """Pseudo linear multistep: DDIM's step with a fixed combination of past eps (eq. 12).

    The first step is a pseudo improved Euler's with two network calls, the others take one; of second order
    in general, as the combination is that for even steps. Choose it for 20 to 50 steps, as the first latent
    diffusion models did.
    """

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
                # diffusers takes the second half of this step from a stride above its arrival
                x = along(
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
    """The levels of a Runge-Kutta step: its ends, where its first half arrives, and where that is taken to
    be.
    """

    now: NoiseLevel
    to: NoiseLevel
    arrival: NoiseLevel
    middle: NoiseLevel


@dataclass(frozen=True)
class PNDM(Sampler):
    """F-PNDM: pseudo linear multistep of four predictions (eq. 12), started by three pseudo Runge-Kutta steps
    (eq. 13).

    A starting step takes four network calls, two of them halfway in time; the others take one. A step to the
    clean picture, or from alpha = 0, is never a Runge-Kutta one. Choose it as PLMS, for a better start.
    """

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

        diffusers counts half a stride in whole timesteps, down from the one and up from the other end, so
        arrival and middle may differ.
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
        """The step but for its fourth eps, and the state where that is predicted.

        At each call two tensors stand beside the network's answer and the three eps to be remembered: none
        can do with fewer. So the second eps is kept within the state that it led to.
        """
        now, to, middle = stride.now, stride.to, stride.middle
        ahead = along(x, first, now, stride.arrival)
        ahead = along(x, denoise(ahead, middle).eps, now, middle)
        third = denoise(ahead, middle).eps
        scale, change, half = to.alpha / now.alpha, _change(now, to), _change(now, middle)
        second = change / half / 3 if half else 0.0  # its third of the step is this times what it moved x by
        step = weighted(
            (scale - second * middle.alpha / now.alpha, x),
            (second, ahead),
            (change / 6, first),
            (change / 3, third),
        )
        del ahead
        return step, along(x, third, now, to)
