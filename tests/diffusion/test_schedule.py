"""Noise schedules against the papers' formulas, and level <-> timestep."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from schedule_cases import CONTINUOUS, EVERY, LENGTHS, brief, ho_alpha_bar, make, places

from diffusion_studio import options
from diffusion_studio.diffusion.schedule import (
    CLEAN,
    SCHEDULES,
    TABLES,
    Constant,
    Cosine,
    FlowMatching,
    Linear,
    NoiseLevel,
    Table,
    VarianceExploding,
)
from diffusion_studio.errors import OptionError


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
    some = sorted(
        {0, 1, timesteps // 3, timesteps // 2, timesteps - 2, timesteps - 1} & set(range(timesteps))
    )
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
    """Ho et al. 2020, section 4: 1e-4 to 0.02. The sum of log(1 - beta) is from Python's exact fractions
    and math.fsum over the 1000 betas, without numpy: -10.117713542413105, so alpha_bar ends at 4.0358e-5.
    """
    betas = Linear().betas()
    assert betas[0] == 1e-4 and betas[-1] == 0.02 and len(betas) == 1000
    assert math.fsum(math.log1p(-b) for b in betas) == pytest.approx(-10.117713542413105, rel=1e-13)
    assert Linear().level(999).alpha ** 2 == pytest.approx(4.0358297653756794e-05, rel=1e-12)


def test_every_schedule_is_among_those_tested():
    assert {type(one) for one in EVERY} == set(SCHEDULES.values())
    assert set(TABLES) == {name for name, cls in SCHEDULES.items() if cls.discrete} - {"table"}


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_noise_rises_strictly_with_t(schedule):
    levels = [
        schedule.level(t)
        for t in np.unique([*places(schedule), *np.linspace(schedule.t_min, schedule.t_max, 97)])
    ]
    assert (np.diff([level.log_snr for level in levels]) < 0).all()
    for level in levels:
        assert type(level.t) is type(level.alpha) is type(level.sigma) is float and level.sigma > 0
        assert level.alpha > 0 or level.t == schedule.t_max
        if isinstance(schedule, VarianceExploding):
            assert level.alpha == 1
        elif isinstance(schedule, FlowMatching):
            assert level.alpha + level.sigma == pytest.approx(1, abs=2e-16)
        else:
            assert level.alpha**2 + level.sigma**2 == pytest.approx(1, abs=5e-16)


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_timestep_is_the_inverse_of_level(schedule):
    for t in places(schedule):
        assert schedule.timestep(schedule.level(t).log_snr) == pytest.approx(t, rel=0, abs=1e-9)


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_level_is_the_inverse_of_timestep(schedule):
    """In the levels' own terms, as the labels of a schedule of scale 1 are all within 1."""
    ends = [schedule.level(t).log_snr for t in (schedule.t_max, schedule.t_min)]
    for log_snr in np.linspace(*np.clip(ends, -12, 40), 23)[1:-1] if ends[0] < ends[1] else ():
        assert schedule.level(schedule.timestep(log_snr)).log_snr == pytest.approx(
            log_snr, rel=1e-9, abs=1e-9
        )


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_timestep_is_held_at_the_ends(schedule):
    for much in (math.inf, 1e6, 800.0, CLEAN.log_snr):
        assert schedule.timestep(much) == pytest.approx(schedule.t_min, abs=1e-12)
    for little in (-math.inf, -1e6, -2000.0):
        assert schedule.timestep(little) == pytest.approx(schedule.t_max, abs=1e-12)
    for log_snr in (math.inf, -math.inf, -800.0, 800.0):
        schedule.level(schedule.timestep(log_snr))  # inside, whatever the rounding


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_json_round_trip(schedule):
    given = json.loads(json.dumps(options.to_json(SCHEDULES, schedule)))
    back = options.from_json(SCHEDULES, "noise schedule", given)
    assert back == schedule and hash(back) == hash(schedule)


def test_a_header_of_the_first_version_is_still_read():
    given = {"name": "linear", "timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02}
    assert options.from_json(SCHEDULES, "noise schedule", given) == Linear()


def test_fractional_levels_lie_between_their_neighbours_in_log_snr():
    schedule = Linear()
    low, between, high = (schedule.level(t).log_snr for t in (10, 10.25, 11))
    assert between == pytest.approx(0.75 * low + 0.25 * high, rel=1e-12)


@pytest.mark.parametrize("t", [-1, -1e-9, 999.0001, 1000, math.nan, math.inf])
def test_t_outside_the_schedule(t):
    with pytest.raises(OptionError, match=rf"t must be from 0 to 999 on this schedule, got {t}\."):
        Linear().level(t)


@pytest.mark.parametrize("schedule", CONTINUOUS, ids=brief)
def test_t_outside_continuous_time(schedule):
    for t in (schedule.t_min - 1e-6, schedule.t_max + 1e-6, math.nan):
        with pytest.raises(OptionError, match=r"t must be from .* to .* on this schedule, got"):
            schedule.level(t)


@pytest.mark.parametrize(
    "cls, options, message",
    [
        (Linear, {"timesteps": 0}, "schedule.timesteps must be a whole number from 1 to 100000, got 0"),
        (Linear, {"timesteps": 10.5}, r"got 10\.5"),
        (Cosine, {"timesteps": 100_001}, "schedule.timesteps must be a whole number from 1 to 100000"),
        (Linear, {"beta_start": 0}, "schedule.beta_start must be a finite number from 1e-08 to 0.999, got 0"),
        (Linear, {"beta_end": 1.0}, "schedule.beta_end .* got 1.0"),
        (Cosine, {"offset": -0.1}, r"schedule.offset must be a finite number from 0 to 1, got -0\.1"),
        (Cosine, {"max_beta": 1}, "schedule.max_beta .* got 1"),
        (Constant, {"zero_snr": 1}, "schedule.zero_snr must be true or false, got 1"),
        (
            VarianceExploding,
            {"sigma_max": 0.001},
            r"sigma_max must be above sigma_min, got 0\.001 and 0\.002",
        ),
        (
            VarianceExploding,
            {"label": "t"},
            "There is no schedule.label 't'. Choose one of: c_noise, sigma",
        ),
        (
            FlowMatching,
            {"time_min": 0},
            "schedule.time_min must be a finite number from 1e-08 to 0.5, got 0",
        ),
        (Table, {}, r"A table schedule needs values: one beta above 0 .*, got \(\). Give them, or choose"),
        (Table, {"values": (0.1, 0.0)}, "above 0 and below 1 for each timestep"),
        (Table, {"values": (1.0, 0.5)}, "above 0 and below 1 for each timestep"),
        (Table, {"values": (0.5, math.nan)}, "above 0 and below 1 for each timestep"),
        (Table, {"values": ("a",)}, "above 0 and below 1 for each timestep"),
        (Table, {"values": ((0.1, 0.2),)}, "above 0 and below 1 for each timestep"),
        (Table, {"values": 0.1}, "above 0 and below 1 for each timestep"),
        (
            Table,
            {"values": (0.1, 0.2), "timesteps": 3},
            "timesteps must be the number of values, 2, got 3. Leave timesteps out",
        ),
    ],
)
def test_bad_options(cls, options, message):
    with pytest.raises(OptionError, match=message):
        cls(**options)


def test_schedules_compare_by_their_options_even_after_use():
    used, fresh = Linear(), Linear()
    used.level(3)
    assert used == fresh and hash(used) == hash(fresh)
    assert used != Linear(beta_end=0.03) and Linear() != Cosine() and used != Linear(zero_snr=True)


def test_log_snr_of_levels():
    assert NoiseLevel(0, 1.0, 1.0).log_snr == 0
    assert NoiseLevel(0, 0.6, 0.8).log_snr == pytest.approx(math.log(0.36 / 0.64))
    assert CLEAN.log_snr == math.inf and NoiseLevel(1, 0.0, 1.0).log_snr == -math.inf
