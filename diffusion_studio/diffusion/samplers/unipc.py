"""UniPC: a unified predictor-corrector."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ... import options
from ...options import option
from ..levels import Levels
from .arithmetic import lower_order_final_option, lowers_final_order, towards, weighted
from .base import NoiseFunction, Sampler, Step
from .dpm_solver import advance, usable

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel

ORDER = (
    "How many predictions a step is made from, its own included: more is more exact, and less steady in "
    "few steps."
)


@dataclass(frozen=True)
class UniPC(Sampler):
    """UniPC-p for the data prediction (Zhao et al. 2023, Algorithms 1 and 2): predict with p predictions, and
    correct with the next one when it is there anyway, which makes it of order p + 1 with one network call a
    step.

    The states are the predicted ones, which the network was asked about. The step to the clean picture, and
    one that leaves alpha = 0, are of first order without correction. Choose it for the best pictures in 5 to
    15 steps.
    """

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
        awaiting, newest = None, 0.0  # the corrected x but for the next x0, and the weight of that x0
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            h = advance(now, to)
            if awaiting is not None:
                x, awaiting = awaiting.add_(p.x0, alpha=newest), None
            if not usable(h):
                x, history = towards(x, p.x0, now, to), []
                del p
                continue
            history = [(now.log_snr / 2, p.x0), *history]
            del p
            if lowered:
                history = history[: len(levels) - 1 - i]
            nodes = [(at - history[0][0]) / h for at, _ in history[1:]]  # r_k, below 0; the arrival is 1
            kept, gain = to.sigma / now.sigma, -to.alpha * math.expm1(-h)
            bend, rest = self._weights(nodes, h)  # the predictor's
            ahead = self._combine(x, history, kept, gain, [w * to.alpha for w in bend])
            bend, rest = self._weights(nodes, h, corrector=True)
            newest = rest * to.alpha
            awaiting = self._combine(x, history, kept, gain - newest, [w * to.alpha for w in bend])
            x, history = ahead, history[: self.order - 1]
            del ahead
        return x

    @staticmethod
    def _combine(
        x: torch.Tensor,
        history: list[tuple[float, torch.Tensor]],
        kept: float,
        gain: float,
        bend: list[float],
    ) -> torch.Tensor:
        """kept * x + gain * x0 + the sum of bend * (older x0 - x0)."""
        (_, x0), *older = history
        return weighted((kept, x), (gain - sum(bend), x0), *((w, old) for w, (_, old) in zip(bend, older)))

    def _weights(self, nodes: list[float], h: float, corrector: bool = False) -> tuple[list[float], float]:
        """Weights of (x0 at each node - x0), and for the corrector that of (x0 at the arrival - x0).

        They solve R a = b of theorem 3.1; for a single unknown the paper takes 1/2, which suffices for the
        order.
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
