"""Noise schedules by the names of other programs."""

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
    """A schedule by its name in diffusers or ddim.

    Names are linear, scaled_linear (or quad), squaredcos_cap_v2, sigmoid, laplace, exp, const and jsd. Raises
    `OptionError` for `timesteps` or betas out of range.
    """
    if not 1 <= timesteps <= MAX_TIMESTEPS:
        raise OptionError(
            "timesteps", f"The training timesteps must be from 1 to {MAX_TIMESTEPS:,}, got {timesteps:,}."
        )
    if not 0 < start <= 1 or not 0 < end <= 1:
        raise OptionError(
            "betas", f"The first and the last beta must be above 0 and at most 1, got {start} and {end}."
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
    """The betas of diffusers' exp and laplace.

    The timesteps of its laplace differ from those of `Laplace`.
    """
    u = np.arange(timesteps + 1) / timesteps
    if name == "exp":
        alpha_bar = np.exp(-12 * u)
    else:  # laplace: alpha_bar as the square root of snr / (1 + snr)
        log_snr = -0.5 * np.copysign(1, 0.5 - u) * np.log(1 - 2 * np.abs(0.5 - u) + 1e-6)
        alpha_bar = np.sqrt(1 / (1 + np.exp(-log_snr)))
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def rescaled_linear(timesteps: int) -> TableSchedule:
    """OpenAI's linear schedule: DDPM's betas times 1000 / T."""
    scale = 1000 / timesteps
    return Linear(timesteps, scale * 1e-4, scale * 0.02)
