"""UniPC: a unified predictor-corrector."""

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
from .arithmetic import lower_order_final_option, lowers_final_order, step_with_x0, weighted
from .base import NoiseFunction, Sampler, Step
from .dpm_solver import is_finite, lambda_step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel

ORDER = "Number of predictions that a step uses: more are more accurate, but less stable with few steps."


@dataclass(frozen=True)
class UniPC(Sampler):
    """UniPC-p for the data prediction (Zhao et al. 2023, Algorithms 1 and 2), one network call per step.

    A step is predicted from p predictions and corrected by the next one, which is needed anyway; this gives
    order p + 1. The states shown are those before correction, at which the network is called. The step to the
    clean picture, and one from alpha = 0, are of first order without correction. Choose it for the best
    pictures in 5 to 15 steps.
    """

    label: ClassVar[str] = "UniPC"
    order: int = option(2, ORDER, low=1, high=3)
    solver: str = option(
        "bh2",
        "B(h) in the paper's eq. 5: bh1 is h, bh2 is exp(h) - 1. bh1 suits very few steps without guidance.",
        choices=("bh1", "bh2"),
    )
    lower_order_final: str = lower_order_final_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        lowered = lowers_final_order(self.lower_order_final, levels.steps)
        history: list[tuple[float, torch.Tensor]] = []  # newest first: (lambda, x0)
        awaiting, newest = None, 0.0  # the corrected x without its term of the next x0, and that x0's weight
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            h = lambda_step(now, to)
            if awaiting is not None:
                x, awaiting = awaiting.add_(p.x0, alpha=newest), None
            if not is_finite(h):
                x, history = step_with_x0(x, p.x0, now, to), []
                del p
                continue
            history = [(now.log_snr / 2, p.x0), *history]
            del p
            if lowered:
                history = history[: len(levels) - 1 - i]
            nodes = [
                (at - history[0][0]) / h for at, _ in history[1:]
            ]  # r_k, all below 0; the arrival is at 1
            noise_ratio, gain = to.sigma / now.sigma, -to.alpha * math.expm1(-h)
            bend, rest = self._weights(nodes, h)  # the predictor's
            ahead = self._combine(x, history, noise_ratio, gain, [w * to.alpha for w in bend])
            bend, rest = self._weights(nodes, h, corrector=True)
            newest = rest * to.alpha
            awaiting = self._combine(x, history, noise_ratio, gain - newest, [w * to.alpha for w in bend])
            x, history = ahead, history[: self.order - 1]
            del ahead
        return x

    @staticmethod
    def _combine(
        x: torch.Tensor,
        history: list[tuple[float, torch.Tensor]],
        noise_ratio: float,
        gain: float,
        bend: list[float],
    ) -> torch.Tensor:
        """noise_ratio * x + gain * x0 + the sum of bend * (older x0 - x0)."""
        (_, x0), *older = history
        return weighted(
            (noise_ratio, x), (gain - sum(bend), x0), *((w, old) for w, (_, old) in zip(bend, older))
        )

    def _weights(self, nodes: list[float], h: float, corrector: bool = False) -> tuple[list[float], float]:
        """Weights of (x0 at each node - x0), and for the corrector that of (x0 at the arrival - x0).

        They solve R a = b of theorem 3.1. For a single unknown the paper uses 1/2, which has the same order.
        """
        points = [*nodes, 1.0] if corrector else nodes
        if not points:
            return [], 0.0
        base = -h if self.solver == "bh1" else math.expm1(-h)
        if len(points) == 1:
            solved = np.array([0.5])
        else:
            phi, factorial, b = math.expm1(-h) / -h - 1, 1.0, []
            for k in range(1, len(points) + 1):
                b.append(phi * factorial / base)
                factorial *= k + 1
                phi = phi / -h - 1 / factorial
            solved = np.linalg.solve(np.vander(points, increasing=True).T, b)
        weights = [float(-base * a / r) for a, r in zip(solved, points)]
        return (weights[:-1], weights[-1]) if corrector else (weights, 0.0)
