"""Networks and noise that other programs and ours are run on: see make_golden_others.py. float64, two
pixels.
"""

from __future__ import annotations

import math

import torch

STEPS = 10


def noise(index: int) -> torch.Tensor:
    return 1.2 * torch.sin(torch.arange(2, dtype=torch.float64).view(1, 1, 1, 2) * 2.3 + 1.7 * index + 0.4)


def clean(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """A denoiser of variance exploding: smooth, mixing pixels, right for no data."""
    y = x / math.hypot(1, sigma)
    return 0.7 * torch.tanh(1.3 * y.flip(-1)) + 0.3 * torch.cos(2 * y) + 0.1 * math.sin(math.log(sigma))


def eps_of(x: torch.Tensor, t: float) -> torch.Tensor:
    """An eps network of T = 1000: about right for data of unit variance, and a nonlinear part."""
    angle = t / 999 * math.pi / 2
    return math.sin(angle) * x + 0.5 * math.cos(angle) * (torch.tanh(1.3 * x.flip(-1)) + 0.3 * torch.cos(x))


def slope(x: torch.Tensor, t: float) -> torch.Tensor:
    """The gradient of a noisy classifier that never was."""
    return 2.0 * torch.cos(1.7 * x) - 0.5 * math.cos(t / 200)
