"""Noise schedules against the papers' formulas, and level <-> timestep."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diffusion_studio.diffusion.schedule import CLEAN, SCHEDULES, Cosine, Linear, NoiseLevel, NoiseSchedule
from diffusion_studio.errors import OptionError

LENGTHS = (1, 2, 1000, 4000)


def make(name: str, timesteps: int) -> NoiseSchedule:
    return SCHEDULES[name](timesteps=timesteps)


def ho_alpha_bar(timesteps: int, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """Ho et al. 2020, section 2 and 4: prod over s <= t of (1 - beta_s), by plain multiplication."""
    betas = np.linspace(first, last, timesteps, dtype=np.float64)
    return np.cumprod(1 - betas)


def nichol_alpha_bar(timesteps: int, s: float = 0.008, cap: float = 0.999) -> np.ndarray:
    """Nichol & Dhariwal 2021, eq. 17 and below: beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, at most 0.999."""
    def f(t):
        return math.cos((t / timesteps + s) / (1 + s) * math.pi / 2) ** 2

    product, found = 1.0, []
    for t in range(1, timesteps + 1):
        product *= 1 - min(1 - f(t) / f(t - 1), cap)
        found.append(product)
    return np.array(found)


@pytest.mark.parametrize("timesteps", LENGTHS)
@pytest.mark.parametrize("name, oracle", [("linear", ho_alpha_bar), ("cosine", nichol_alpha_bar)])
def test_levels_are_the_papers(name, oracle, timesteps):
    schedule = make(name, timesteps)
    alpha_bar = oracle(timesteps)
    some = sorted({0, 1, timesteps // 3, timesteps // 2, timesteps - 2, timesteps - 1} & set(range(timesteps)))
    for t in some:
        level = schedule.level(t)
        assert level.t == t
        assert level.alpha**2 == pytest.approx(alpha_bar[t], rel=1e-11)
        # 1 - alpha_bar loses digits to cancellation in the oracle, near t = 0
        assert level.sigma**2 == pytest.approx(1 - alpha_bar[t], rel=1e-11, abs=1e-15)


def test_cosine_is_equation_17_away_from_the_cap():
    """Without the detour through betas: alpha_bar = f(t) / f(0)."""
    schedule = Cosine(timesteps=1000)
    for t in (0, 1, 10, 250, 500, 750, 990):
        f = [math.cos((u / 1000 + 0.008) / 1.008 * math.pi / 2) for u in (t + 1, 0)]
        assert schedule.level(t).alpha == pytest.approx(f[0] / f[1], rel=1e-11)


def test_cosine_caps_its_last_beta():
    betas = Cosine(timesteps=1000).betas()
    assert betas[-1] == 0.999 and (betas[:-1] < 0.999).all()
    assert Cosine(timesteps=1000, max_beta=0.5).betas().max() == 0.5


def test_known_numbers():
    """Ho et al. 2020, section 4: 1e-4 to 0.02. The sum of log(1 - beta) is from Python's exact fractions and math.fsum
    over the 1000 betas, without numpy: -10.117713542413105, so alpha_bar ends at 4.0358e-5."""
    betas = Linear().betas()
    assert betas[0] == 1e-4 and betas[-1] == 0.02 and len(betas) == 1000
    assert math.fsum(math.log1p(-b) for b in betas) == pytest.approx(-10.117713542413105, rel=1e-13)
    assert Linear().level(999).alpha**2 == pytest.approx(4.0358297653756794e-05, rel=1e-12)


@pytest.mark.parametrize("timesteps", LENGTHS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_variance_is_preserved_and_log_snr_falls(name, timesteps):
    schedule = make(name, timesteps)
    at = np.unique(np.concatenate([np.linspace(0, timesteps - 1, 97), [0, timesteps - 1]]))
    levels = [schedule.level(float(t)) for t in at]
    for level in levels:
        assert level.alpha**2 + level.sigma**2 == pytest.approx(1, abs=4e-16)
        assert 0 < level.alpha < 1 and 0 < level.sigma <= 1
    assert (np.diff([level.log_snr for level in levels]) < 0).all()
    assert (np.diff(schedule._log_snr) < 0).all()


@pytest.mark.parametrize("timesteps", LENGTHS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_timestep_is_the_inverse_of_level(name, timesteps):
    schedule = make(name, timesteps)
    for share in (0, 1e-3, 0.1234567, 1 / 3, 0.5, 0.777, 0.999, 1):
        t = share * (timesteps - 1)
        assert schedule.timestep(schedule.level(t).log_snr) == pytest.approx(t, abs=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_timestep_is_held_at_the_ends(name):
    schedule = make(name, 50)
    assert schedule.timestep(math.inf) == schedule.timestep(1e6) == schedule.timestep(CLEAN.log_snr) == 0
    assert schedule.timestep(-math.inf) == schedule.timestep(-1e6) == 49


def test_fractional_levels_lie_between_their_neighbours_in_log_snr():
    schedule = Linear()
    low, between, high = (schedule.level(t).log_snr for t in (10, 10.25, 11))
    assert between == pytest.approx(0.75 * low + 0.25 * high, rel=1e-12)


@pytest.mark.parametrize("t", [-1, -1e-9, 999.0001, 1000, math.nan, math.inf])
def test_t_outside_the_schedule(t):
    with pytest.raises(OptionError, match=rf"t must be from 0 to 999 on this schedule, got {t}\."):
        Linear().level(t)


@pytest.mark.parametrize("cls, options, message", [
    (Linear, {"timesteps": 0}, "Linear.timesteps must be a whole number from 1 to 100000, got 0"),
    (Linear, {"timesteps": 10.5}, r"got 10\.5"),
    (Cosine, {"timesteps": 100_001}, "Cosine.timesteps must be a whole number from 1 to 100000"),
    (Linear, {"beta_start": 0}, "Linear.beta_start must be a finite number from 1e-08 to 0.999, got 0"),
    (Linear, {"beta_end": 1.0}, "Linear.beta_end .* got 1.0"),
    (Cosine, {"offset": -0.1}, r"Cosine.offset must be a finite number from 0 to 1, got -0\.1"),
    (Cosine, {"max_beta": 1}, "Cosine.max_beta .* got 1"),
])
def test_bad_options(cls, options, message):
    with pytest.raises(OptionError, match=message):
        cls(**options)


def test_schedules_compare_by_their_options_even_after_use():
    used, fresh = Linear(), Linear()
    used.level(3)
    assert used == fresh and hash(used) == hash(fresh)
    assert used != Linear(beta_end=0.03) and Linear() != Cosine()


def test_log_snr_of_levels():
    assert NoiseLevel(0, 1.0, 1.0).log_snr == 0
    assert NoiseLevel(0, 0.6, 0.8).log_snr == pytest.approx(math.log(0.36 / 0.64))
    assert CLEAN.log_snr == math.inf and NoiseLevel(1, 0.0, 1.0).log_snr == -math.inf
