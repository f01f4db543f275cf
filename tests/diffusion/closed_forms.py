"""Problems whose answers are known in closed form, and paths of levels to solve them on.

One dimension is enough for exactness on a mixture: the probability-flow ODE carries every x along its
quantile, so that the solution is F_end^{-1}(F_start(x)) with the mixture's distribution functions F (in any
other way to the same marginals too: in one dimension the monotone map is unique).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr

from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import CLEAN, NoiseLevel

F64 = torch.float64


@dataclass(frozen=True)
class Mixture:
    """Every pixel is drawn from a mixture of Gaussians of its own accord."""

    weights: tuple[float, ...] = (0.3, 0.5, 0.2)
    means: tuple[float, ...] = (-1.0, 0.2, 1.1)
    spreads: tuple[float, ...] = (0.5, 0.6, 0.4)

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        x0, total = torch.zeros_like(x), torch.zeros_like(x)
        for weight, mean, spread in zip(self.weights, self.means, self.spreads):
            variance = (level.alpha * spread) ** 2 + level.sigma**2
            off = x - level.alpha * mean
            density = weight / math.sqrt(variance) * (-(off**2) / (2 * variance)).exp()
            x0 += density * (mean + level.alpha * spread**2 / variance * off)
            total += density
        return from_x0(x0 / total, x, level.alpha, level.sigma)

    def distribution(self, x: np.ndarray, level: NoiseLevel) -> np.ndarray:
        return sum(
            weight * ndtr((x - level.alpha * mean) / math.hypot(level.alpha * spread, level.sigma))
            for weight, mean, spread in zip(self.weights, self.means, self.spreads)
        )

    def flow(self, x: torch.Tensor, start: NoiseLevel, end: NoiseLevel) -> torch.Tensor:
        """The probability-flow ODE's exact solution, by bisection."""
        wanted = self.distribution(x.numpy(), start)
        low, high = np.full_like(wanted, -1e2), np.full_like(wanted, 1e2)
        for _ in range(70):
            middle = (low + high) / 2
            below = self.distribution(middle, end) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return torch.from_numpy((low + high) / 2)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        which = generator.choice(len(self.weights), count, p=self.weights)
        return np.array(self.means)[which] + np.array(self.spreads)[which] * generator.standard_normal(count)


def at(half: float, kind: str, t: float) -> NoiseLevel:
    """The level of lambda = log(alpha / sigma) in a process of a kind."""
    ratio = math.exp(-half)
    if kind == "ve":
        return NoiseLevel(t, 1.0, ratio)
    norm = 1 + ratio if kind == "flow" else math.hypot(1, ratio)
    return NoiseLevel(t, 1 / norm, ratio / norm)


def even(kind: str, n: int, first: float = -6.0, last: float = 4.0) -> list[NoiseLevel]:
    """n + 1 levels evenly spaced in lambda, none of them clean; t is 1000 times the fraction that is to
    come.
    """
    return [at(first + (last - first) * k / n, kind, 1000 * (1 - k / n)) for k in range(n + 1)]


def by_hand(kind: str, n: int) -> list[NoiseLevel]:
    """n levels and the clean end: EDM's rho = 7 from sigma = 80 to 0.002, or a straight flow from t = 1,
    alpha = 0.
    """
    if kind == "ve":
        roots = np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), n) if n > 1 else np.array([80 ** (1 / 7)])
        return [*(NoiseLevel(math.log(s) / 4, 1.0, s) for s in (roots**7).tolist()), CLEAN]
    return [*(NoiseLevel(t, 1 - t, t) for t in np.linspace(1, 0, n + 1)[:-1].tolist()), CLEAN]


def column(*values: float) -> torch.Tensor:
    """One picture of one pixel for each value."""
    return torch.tensor(values, dtype=F64).view(-1, 1, 1, 1)


def last_of(sampler, denoise, x, levels, noise) -> torch.Tensor:
    *_, last = sample(sampler, denoise, x, levels, noise)
    return last.x
