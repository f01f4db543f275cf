"""Every noise schedule, at several lengths, for the tests of schedules."""

from __future__ import annotations

import numpy as np

from diffusion_studio.diffusion.schedule import (
    SCHEDULES,
    TABLES,
    FlowMatching,
    NoiseSchedule,
    Table,
    VarianceExploding,
    VariancePreserving,
)

LENGTHS = (1, 2, 1000, 4000)


SHARES = (0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1234567, 1 / 3, 0.5, 0.777, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12, 1)


def make(name: str, timesteps: int, **changes) -> NoiseSchedule:
    if name == "table":
        return Table(values=tuple(0.02 + 0.01 * np.sin(np.arange(timesteps))), **changes)
    return SCHEDULES[name](timesteps=timesteps, **changes)


CONTINUOUS = [
    VarianceExploding(),
    VarianceExploding(label="sigma"),
    VarianceExploding(sigma_min=1e-5, sigma_max=1e4),
    VariancePreserving(),
    VariancePreserving(scale=1.0, time_min=1e-7),
    VariancePreserving(beta_min=20, beta_max=0.1),
    VariancePreserving(beta_min=3, beta_max=3),
    FlowMatching(),
    FlowMatching(scale=1.0, time_min=1e-7),
]
DISCRETE = [
    make(name, timesteps, zero_snr=zero)
    for name in (*TABLES, "table")
    for timesteps in LENGTHS
    for zero in (False, True)
]
EVERY = [*DISCRETE, *CONTINUOUS]


def brief(schedule: object) -> str:
    return str(schedule)[:60]


def places(schedule: NoiseSchedule) -> list[float]:
    """Labels over the whole range, crowded at its ends."""
    low, high = schedule.t_min, schedule.t_max
    return [min(max(low + share * (high - low), low), high) for share in SHARES]


def ho_alpha_bar(timesteps: int, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """Ho et al. 2020, section 2 and 4: prod over s <= t of (1 - beta_s), by plain multiplication."""
    betas = np.linspace(first, last, timesteps, dtype=np.float64)
    return np.cumprod(1 - betas)
