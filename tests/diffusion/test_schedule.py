"""Noise schedules against the papers' formulas, and level <-> timestep."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from diffusion_studio import options
from diffusion_studio.diffusion.schedule import (CLEAN, SCHEDULES, TABLES, Constant, Cosine, FlowMatching, JensenShannon,
                                                 Laplace, Linear, NoiseLevel, NoiseSchedule, Quadratic, ScaledLinear,
                                                 Sigmoid, Table, VarianceExploding, VariancePreserving)
from diffusion_studio.errors import OptionError

LENGTHS = (1, 2, 1000, 4000)


SHARES = (0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1234567, 1 / 3, 0.5, 0.777, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12, 1)


def make(name: str, timesteps: int, **changes) -> NoiseSchedule:
    if name == "table":
        return Table(values=tuple(0.02 + 0.01 * np.sin(np.arange(timesteps))), **changes)
    return SCHEDULES[name](timesteps=timesteps, **changes)


CONTINUOUS = [VarianceExploding(), VarianceExploding(label="sigma"), VarianceExploding(sigma_min=1e-5, sigma_max=1e4),
              VariancePreserving(), VariancePreserving(scale=1.0, time_min=1e-7),
              VariancePreserving(beta_min=20, beta_max=0.1), VariancePreserving(beta_min=3, beta_max=3),
              FlowMatching(), FlowMatching(scale=1.0, time_min=1e-7)]
DISCRETE = [make(name, timesteps, zero_snr=zero) for name in (*TABLES, "table") for timesteps in LENGTHS
            for zero in (False, True)]
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


def test_every_schedule_is_among_those_tested():
    assert {type(one) for one in EVERY} == set(SCHEDULES.values())
    assert set(TABLES) == {name for name, cls in SCHEDULES.items() if cls.discrete} - {"table"}


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_noise_rises_strictly_with_t(schedule):
    levels = [schedule.level(t) for t in np.unique([*places(schedule), *np.linspace(schedule.t_min, schedule.t_max, 97)])]
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
        assert schedule.level(schedule.timestep(log_snr)).log_snr == pytest.approx(log_snr, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_timestep_is_held_at_the_ends(schedule):
    for much in (math.inf, 1e6, 800.0, CLEAN.log_snr):
        assert schedule.timestep(much) == pytest.approx(schedule.t_min, abs=1e-12)
    for little in (-math.inf, -1e6, -2000.0):
        assert schedule.timestep(little) == pytest.approx(schedule.t_max, abs=1e-12)
    for log_snr in (math.inf, -math.inf, -800.0, 800.0):
        schedule.level(schedule.timestep(log_snr))                      # inside, whatever the rounding


@pytest.mark.parametrize("schedule", EVERY, ids=brief)
def test_json_round_trip(schedule):
    given = json.loads(json.dumps(options.to_json(SCHEDULES, schedule)))
    back = options.from_json(SCHEDULES, "noise schedule", given)
    assert back == schedule and hash(back) == hash(schedule)


def test_a_header_of_the_first_version_is_still_read():
    given = {"name": "linear", "timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02}
    assert options.from_json(SCHEDULES, "noise schedule", given) == Linear()


# --- the other tables, by their papers' formulas


@pytest.mark.parametrize("schedule", DISCRETE, ids=brief)
def test_levels_are_the_product_of_the_betas(schedule):
    betas = schedule.betas()
    assert betas.shape == (schedule.timesteps,) and (betas > 0).all() and (betas[:-1] < 1).all() and betas[-1] <= 1
    alpha_bar = np.cumprod(1 - betas)
    found = np.array([schedule.level(t).alpha ** 2 for t in range(schedule.timesteps)])
    np.testing.assert_allclose(found, alpha_bar, rtol=1e-9, atol=1e-13)


# float32 numbers of diffusers 0.42.1 at labels 0, 1, 500, 998, 999: `DDPMScheduler(beta_schedule=...).betas`. Over all 1000
# the largest difference is 2e-9 for linear, scaled-linear, quadratic and sigmoid, 2e-8 for cosine. Its own "laplace" is left
# out: it takes the root of the paper's alpha_bar.
DIFFUSERS = {
    Linear(): (9.99999975e-05, 1.19919918e-04, 1.00599593e-02, 1.99800804e-02, 1.99999996e-02),
    Cosine(): (4.12842237e-05, 4.61417512e-05, 3.15569155e-03, 7.49999404e-01, 9.99000013e-01),
    ScaledLinear(): (0.00085, 0.0008547, 0.00481495, 0.01198237, 0.012),
    Quadratic(): (9.99999975e-05, 1.02648366e-04, 5.74207259e-03, 1.99628118e-02, 2.00000014e-02),
    Sigmoid(): (0.00014921, 0.0001498, 0.01007988, 0.0199502, 0.0199508),
}
# `alphas_cumprod` with rescale_betas_zero_snr=True. Over all 1000 the largest difference is 4.2e-7, of its float32.
DIFFUSERS_ZERO = {
    Linear(zero_snr=True): (0.9998999834060669, 0.9997793436050415, 0.07524619996547699, 4.213273285813557e-09, 0.0),
    ScaledLinear(zero_snr=True): (0.9991499781608582, 0.9982334971427917, 0.2410186380147934, 1.9679633567193378e-07, 0.0),
}


@pytest.mark.parametrize("schedule, golden", DIFFUSERS.items(), ids=brief)
def test_betas_are_those_of_diffusers(schedule, golden):
    np.testing.assert_allclose(schedule.betas()[[0, 1, 500, 998, 999]], golden, rtol=0, atol=2.5e-8)


@pytest.mark.parametrize("schedule, golden", DIFFUSERS_ZERO.items(), ids=brief)
def test_rescaled_tables_are_those_of_diffusers(schedule, golden):
    found = [schedule.level(t).alpha ** 2 for t in (0, 1, 500, 998, 999)]
    np.testing.assert_allclose(found, golden, rtol=0, atol=5e-7)
    assert found[3] == pytest.approx(golden[3], rel=1e-4)


def test_zero_terminal_snr_is_algorithm_1():
    """Lin et al. 2023: sqrt(alpha_bar) is shifted to end at 0 and scaled to begin where it did."""
    before = np.sqrt(ho_alpha_bar(1000))
    after = np.array([Linear(zero_snr=True).level(t).alpha for t in range(1000)])
    assert after[-1] == 0 and after[0] == pytest.approx(before[0], rel=1e-12)
    slope = (after[0] - after[-1]) / (before[0] - before[-1])
    np.testing.assert_allclose(np.diff(after), slope * np.diff(before), rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("schedule", [Linear(zero_snr=True), Cosine(timesteps=50, zero_snr=True), FlowMatching(),
                                      JensenShannon(timesteps=10), JensenShannon(timesteps=1),
                                      Table(values=(0.5, 1.0))], ids=brief)
def test_pure_noise_at_the_end(schedule):
    last = schedule.level(schedule.t_max)
    assert (last.alpha, last.sigma, last.log_snr) == (0.0, 1.0, -math.inf)
    assert schedule.timestep(-math.inf) == schedule.t_max


def test_between_the_last_two_levels_alpha_is_interpolated_where_log_snr_cannot_be():
    schedule = JensenShannon(timesteps=4)
    assert [schedule.level(t).alpha for t in (2, 2.25, 2.5, 3)] == pytest.approx([0.5, 0.375, 0.25, 0.0], abs=1e-15)


@pytest.mark.parametrize("timesteps", LENGTHS)
def test_jensen_shannon_falls_linearly(timesteps):
    """Sohl-Dickstein et al. 2015, 2.4.1: the product of 1 - 1/(T-t+1) telescopes to 1 - t/T."""
    schedule = JensenShannon(timesteps=timesteps)
    for t in {0, timesteps // 2, timesteps - 1}:
        assert schedule.level(t).alpha ** 2 == pytest.approx(1 - (t + 1) / timesteps, rel=1e-10, abs=1e-15)


def test_constant_decays_exponentially():
    schedule = Constant(timesteps=100, beta=0.1)
    assert schedule.level(41).alpha ** 2 == pytest.approx(0.9**42, rel=1e-12)


def test_laplace_levels_are_the_quantiles_of_a_laplace_distribution():
    from scipy.stats import laplace

    schedule = Laplace(timesteps=1000, mean=-1.0, width=0.7)
    for t in (0, 3, 499, 500, 731, 999):
        assert schedule.level(t).log_snr == pytest.approx(laplace(-1.0, 0.7).ppf(1 - (t + 0.5) / 1000), abs=1e-9)


def test_a_table_is_its_values():
    assert Table(values=[0.1, 0.2]) == Table(2, values=(0.1, 0.2)) and Table(values=[0.1, 0.2]).timesteps == 2
    linear = Linear(timesteps=37)
    table = Table(values=tuple(linear.betas()))
    assert [table.level(t) for t in (0, 3.5, 36)] == [linear.level(t) for t in (0, 3.5, 36)]


# --- continuous time


def test_vp_is_the_integral_of_its_rate_and_edms_sigma():
    """Song et al. 2021, eq. 33, by quadrature; Karras et al. 2022, table 1: sigma(s) = sqrt(exp(19.9 s^2/2 + 0.1 s) - 1)."""
    from scipy.integrate import quad

    schedule = VariancePreserving()
    for s in (1e-3, 0.2, 0.77, 1.0):
        level = schedule.level(999 * s)
        assert 2 * math.log(level.alpha) == pytest.approx(-quad(lambda u: 0.1 + 19.9 * u, 0, s)[0], rel=1e-10)
        assert level.sigma / level.alpha == pytest.approx(math.sqrt(math.expm1(19.9 / 2 * s**2 + 0.1 * s)), rel=1e-10)


def test_vp_is_what_linear_tends_to():
    """beta_t = beta(t/T)/T: T = 100,000 of those steps against the limit."""
    steps = 100_000
    fine, limit = Linear(timesteps=steps, beta_start=0.1 / steps, beta_end=20 / steps), VariancePreserving(scale=1.0)
    for s in (0.01, 0.3, 0.9, 1.0):
        assert fine.level(s * steps - 1).log_snr == pytest.approx(limit.level(s).log_snr, abs=2e-3)


@pytest.mark.parametrize("sigma", [0.002, 0.1, 1.0, 80.0])
def test_ve_labels(sigma):
    """EDM's preconditioning: c_noise = ln(sigma) / 4."""
    log_snr = -2 * math.log(sigma)
    assert VarianceExploding().timestep(log_snr) == pytest.approx(math.log(sigma) / 4, abs=1e-15)
    assert VarianceExploding(label="sigma").timestep(log_snr) == pytest.approx(sigma, rel=1e-14)
    assert VarianceExploding().level(math.log(sigma) / 4).sigma == pytest.approx(sigma, rel=1e-14)


def test_flow_is_a_straight_line():
    assert FlowMatching().level(250) == NoiseLevel(250.0, 0.75, 0.25)
    assert FlowMatching(scale=1.0).level(1.0) == NoiseLevel(1.0, 0.0, 1.0)


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


@pytest.mark.parametrize("cls, options, message", [
    (Linear, {"timesteps": 0}, "Linear.timesteps must be a whole number from 1 to 100000, got 0"),
    (Linear, {"timesteps": 10.5}, r"got 10\.5"),
    (Cosine, {"timesteps": 100_001}, "Cosine.timesteps must be a whole number from 1 to 100000"),
    (Linear, {"beta_start": 0}, "Linear.beta_start must be a finite number from 1e-08 to 0.999, got 0"),
    (Linear, {"beta_end": 1.0}, "Linear.beta_end .* got 1.0"),
    (Cosine, {"offset": -0.1}, r"Cosine.offset must be a finite number from 0 to 1, got -0\.1"),
    (Cosine, {"max_beta": 1}, "Cosine.max_beta .* got 1"),
    (Constant, {"zero_snr": 1}, "Constant.zero_snr must be true or false, got 1"),
    (VarianceExploding, {"sigma_max": 0.001}, r"sigma_max must be above sigma_min, got 0\.001 and 0\.002"),
    (VarianceExploding, {"label": "t"}, "There is no VarianceExploding.label 't'. Choose one of: c_noise, sigma"),
    (FlowMatching, {"time_min": 0}, "FlowMatching.time_min must be a finite number from 1e-08 to 0.5, got 0"),
    (Table, {}, r"A table schedule needs values: one beta above 0 .*, got \(\). Give them, or choose"),
    (Table, {"values": (0.1, 0.0)}, "above 0 and below 1 for each timestep"),
    (Table, {"values": (1.0, 0.5)}, "above 0 and below 1 for each timestep"),
    (Table, {"values": (0.5, math.nan)}, "above 0 and below 1 for each timestep"),
    (Table, {"values": ("a",)}, "above 0 and below 1 for each timestep"),
    (Table, {"values": ((0.1, 0.2),)}, "above 0 and below 1 for each timestep"),
    (Table, {"values": 0.1}, "above 0 and below 1 for each timestep"),
    (Table, {"values": (0.1, 0.2), "timesteps": 3}, "timesteps must be the number of values, 2, got 3. Leave timesteps out"),
])
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
