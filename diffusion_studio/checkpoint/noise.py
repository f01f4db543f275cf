"""Noise schedules as other programs name them, made into ours. No torch."""

from __future__ import annotations

import numpy as np

from ..diffusion.schedule import (
    Constant,
    Cosine,
    JensenShannon,
    Linear,
    Quadratic,
    Sigmoid,
    Table,
    TableSchedule,
)
from ..errors import OptionError

MAX_TIMESTEPS = 100_000


def named(name: str, timesteps: int, start: float, end: float) -> TableSchedule:
    """A schedule by diffusers' or ddim's name: linear, scaled_linear (also quad), squaredcos_cap_v2,
    sigmoid, laplace, exp, const, jsd.
    """
    if not 1 <= timesteps <= MAX_TIMESTEPS:
        raise OptionError(
            "timesteps", f"The timesteps of training must be from 1 to {MAX_TIMESTEPS:,}, got {timesteps:,}."
        )
    if not 0 < start <= 1 or not 0 < end <= 1:
        raise OptionError(
            "betas", f"Betas lie above 0 and up to 1; the schedule was given to go from {start} to {end}."
        )
    if name == "linear":
        return Linear(timesteps, start, end)
    if name in ("scaled_linear", "quad"):
        return Quadratic(timesteps, start, end)
    if name == "sigmoid":
        return Sigmoid(timesteps, start, end)
    if name == "squaredcos_cap_v2":
        return Cosine(timesteps)
    if name == "const":
        return Constant(timesteps, end)
    if name == "jsd":
        return JensenShannon(timesteps)
    return Table(values=tuple(map(float, _betas(name, timesteps))))


def _betas(name: str, timesteps: int) -> np.ndarray:
    """Those of diffusers' exp and laplace, whose labels stand elsewhere than ours."""
    u = np.arange(timesteps + 1) / timesteps
    if name == "exp":
        kept = np.exp(-12 * u)
    else:  # laplace: alpha_bar as the square root of snr / (1 + snr)
        log_snr = -0.5 * np.copysign(1, 0.5 - u) * np.log(1 - 2 * np.abs(0.5 - u) + 1e-6)
        kept = np.sqrt(1 / (1 + np.exp(-log_snr)))
    return np.minimum(1 - kept[1:] / kept[:-1], 0.999)


def rescaled_linear(timesteps: int) -> TableSchedule:
    """OpenAI's linear schedule: DDPM's betas times 1000 / T."""
    scale = 1000 / timesteps
    return Linear(timesteps, scale * 1e-4, scale * 0.02)
