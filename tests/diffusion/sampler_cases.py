"""Samplers in every setting, data of N(mu, s^2) with its closed forms, and paths of levels, for the tests of
samplers.

x = alpha x0 + sigma eps has variance alpha^2 s^2 + sigma^2, so
    E[x0 | x] = mu + alpha s^2 / (alpha^2 s^2 + sigma^2) (x - alpha mu),
and along the probability-flow ODE (x - alpha mu) / sqrt(alpha^2 s^2 + sigma^2) stays what it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.samplers import DDIM, DDPM
from diffusion_studio.diffusion.schedule import CLEAN, Linear, NoiseLevel

# Deterministic settings whose order holds on every path below, down to the clean end (all the others: see
# test_solver_order.py), and the stochastic ones. test_every_sampler_is_measured looks that none is left out.
ORDERS = {"ddim": (DDIM(eta=0.0), 1), "euler": (s.Euler(), 1), "heun": (s.Heun(), 2)}
STOCHASTIC = {
    "ddpm small": DDPM("small"),
    "ddpm large": DDPM("large"),
    "ddpm interpolated": DDPM("interpolated"),
    "ddim eta=1": DDIM(eta=1.0),
    "ddim eta=0.5": DDIM(eta=0.5),
    "euler_ancestral": s.EulerAncestral(),
    "dpmpp_2s eta=1": s.DPMPP2S(eta=1.0),
    "dpmpp_2m_sde": s.DPMPP2MSDE(),
    "dpmpp_2m_sde heun eta=0.5": s.DPMPP2MSDE(eta=0.5, correction="heun"),
    "dpmpp_sde": s.DPMPPSDE(),
    "dpm_2 eta=1": s.DPM2(eta=1.0),
    "predictor_corrector": s.PredictorCorrector(),
    "euler churn": s.Euler(churn=10.0),
    "heun churn": s.Heun(churn=10.0),
}


@dataclass(frozen=True)
class GaussianData:
    mu: float
    s: float

    def spread(self, level: NoiseLevel) -> float:
        return math.sqrt((level.alpha * self.s) ** 2 + level.sigma**2)

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        gain = level.alpha * self.s**2 / self.spread(level) ** 2
        return from_x0(self.mu + gain * (x - level.alpha * self.mu), x, level.alpha, level.sigma)

    def flow(self, x: torch.Tensor, start: NoiseLevel, end: NoiseLevel) -> torch.Tensor:
        """The probability-flow ODE's exact solution."""
        return end.alpha * self.mu + (x - start.alpha * self.mu) / self.spread(start) * self.spread(end)


def rotation(n: int) -> list[NoiseLevel]:
    """A smooth variance-preserving path: alpha = cos, sigma = sin of an evenly falling angle, down to the
    clean end.
    """
    angles = np.linspace(1.5, 0, n + 1)[:-1]
    return [*(NoiseLevel(float(k), math.cos(a), math.sin(a)) for k, a in enumerate(angles)), CLEAN]


def exploding(n: int) -> list[NoiseLevel]:
    """A variance-exploding path, alpha = 1, with EDM's rho = 3 from sigma = 10 to 0."""
    return [
        *(NoiseLevel(float(k), 1.0, 10 * float(u) ** 3) for k, u in enumerate(np.linspace(1, 0, n + 1)[:-1])),
        CLEAN,
    ]


def straight(n: int) -> list[NoiseLevel]:
    """A flow-matching path: alpha = 1 - t, sigma = t."""
    return [*(NoiseLevel(float(t), 1 - float(t), float(t)) for t in np.linspace(0.98, 0, n + 1)[:-1]), CLEAN]


def scheduled(n: int) -> list[NoiseLevel]:
    """Fractional timesteps of the linear schedule, from its noisiest to its least noisy."""
    schedule = Linear()
    return [schedule.level(float(t)) for t in np.linspace(999, 0, n + 1)]


PATHS = {"rotation": rotation, "exploding": exploding, "straight": straight, "scheduled": scheduled}


def no_noise(index: int) -> torch.Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def strange(x: torch.Tensor, level: NoiseLevel) -> Prediction:
    """A denoiser that is right for no data at all: nonlinear, mixing pixels, dependent on t."""
    return from_x0(
        torch.tanh(x.flip(-1) * 1.3) + 0.1 * math.sin(level.t) + 0.3 * x.cos(), x, level.alpha, level.sigma
    )
