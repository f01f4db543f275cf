"""Made-up networks, and levels and states to ask them at, for what wraps a denoiser."""

from __future__ import annotations

import torch

from diffusion_studio.diffusion.prediction import from_eps, from_x0
from diffusion_studio.diffusion.schedule import Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path

F64 = torch.float64
SCHEDULE = Linear()
LEVELS = path(SCHEDULE, 10)
VARIED = [
    SCHEDULE.level(900),
    SCHEDULE.level(300.5),
    SCHEDULE.level(0),
    NoiseLevel(1.0, 1.0, 5.0),
    NoiseLevel(0.5, 0.5, 0.5),
]
X = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)


def conditional(x, level):
    return from_eps(0.7 * torch.sin(3 * x) - 0.1, x, level.alpha, level.sigma)


def unconditional(x, level):
    return from_eps(0.3 * x, x, level.alpha, level.sigma)


def loud(x, level):
    return from_x0(3 * x, x, level.alpha, level.sigma)


def slope(x, level):
    return 0.3 * torch.cos(x) / (level.sigma + 1)
