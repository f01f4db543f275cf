"""Noise schedules by their papers' formulas, and against diffusers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from schedule_cases import DISCRETE, LENGTHS, brief, ho_alpha_bar

from diffusion_studio.diffusion.schedule import (
    Constant,
    Cosine,
    FlowMatching,
    JensenShannon,
    Laplace,
    Linear,
    NoiseLevel,
    Quadratic,
    ScaledLinear,
    Sigmoid,
    Table,
    VarianceExploding,
    VariancePreserving,
)


@pytest.mark.parametrize("schedule", DISCRETE, ids=brief)
def test_levels_are_the_product_of_the_betas(schedule):
    betas = schedule.betas()
    assert (
        betas.shape == (schedule.timesteps,)
        and (betas > 0).all()
        and (betas[:-1] < 1).all()
        and betas[-1] <= 1
    )
    alpha_bar = np.cumprod(1 - betas)
    found = np.array([schedule.level(t).alpha ** 2 for t in range(schedule.timesteps)])
    np.testing.assert_allclose(found, alpha_bar, rtol=1e-9, atol=1e-13)


# float32 numbers of diffusers 0.42.1 at labels 0, 1, 500, 998, 999: `DDPMScheduler(beta_schedule=...).betas`.
# Over all 1000 the largest difference is 2e-9 for linear, scaled-linear, quadratic and sigmoid, 2e-8 for
# cosine. Its own "laplace" is left out: it takes the root of the paper's alpha_bar.
DIFFUSERS = {
    Linear(): (9.99999975e-05, 1.19919918e-04, 1.00599593e-02, 1.99800804e-02, 1.99999996e-02),
    Cosine(): (4.12842237e-05, 4.61417512e-05, 3.15569155e-03, 7.49999404e-01, 9.99000013e-01),
    ScaledLinear(): (0.00085, 0.0008547, 0.00481495, 0.01198237, 0.012),
    Quadratic(): (9.99999975e-05, 1.02648366e-04, 5.74207259e-03, 1.99628118e-02, 2.00000014e-02),
    Sigmoid(): (0.00014921, 0.0001498, 0.01007988, 0.0199502, 0.0199508),
}
# `alphas_cumprod` with rescale_betas_zero_snr=True. Over all 1000 the largest difference is 4.2e-7, of its
# float32.
DIFFUSERS_ZERO = {
    Linear(zero_snr=True): (
        0.9998999834060669,
        0.9997793436050415,
        0.07524619996547699,
        4.213273285813557e-09,
        0.0,
    ),
    ScaledLinear(zero_snr=True): (
        0.9991499781608582,
        0.9982334971427917,
        0.2410186380147934,
        1.9679633567193378e-07,
        0.0,
    ),
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


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(zero_snr=True),
        Cosine(timesteps=50, zero_snr=True),
        FlowMatching(),
        JensenShannon(timesteps=10),
        JensenShannon(timesteps=1),
        Table(values=(0.5, 1.0)),
    ],
    ids=brief,
)
def test_pure_noise_at_the_end(schedule):
    last = schedule.level(schedule.t_max)
    assert (last.alpha, last.sigma, last.log_snr) == (0.0, 1.0, -math.inf)
    assert schedule.timestep(-math.inf) == schedule.t_max


def test_between_the_last_two_levels_alpha_is_interpolated_where_log_snr_cannot_be():
    schedule = JensenShannon(timesteps=4)
    assert [schedule.level(t).alpha for t in (2, 2.25, 2.5, 3)] == pytest.approx(
        [0.5, 0.375, 0.25, 0.0], abs=1e-15
    )


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
        assert schedule.level(t).log_snr == pytest.approx(
            laplace(-1.0, 0.7).ppf(1 - (t + 0.5) / 1000), abs=1e-9
        )


def test_a_table_is_its_values():
    assert Table(values=[0.1, 0.2]) == Table(2, values=(0.1, 0.2)) and Table(values=[0.1, 0.2]).timesteps == 2
    linear = Linear(timesteps=37)
    table = Table(values=tuple(linear.betas()))
    assert [table.level(t) for t in (0, 3.5, 36)] == [linear.level(t) for t in (0, 3.5, 36)]


# --- continuous time


def test_vp_is_the_integral_of_its_rate_and_edms_sigma():
    """Song et al. 2021, eq. 33, by quadrature; Karras et al. 2022, table 1: sigma(s) = sqrt(exp(19.9 s^2/2
    + 0.1 s) - 1).
    """
    from scipy.integrate import quad

    schedule = VariancePreserving()
    for s in (1e-3, 0.2, 0.77, 1.0):
        level = schedule.level(999 * s)
        assert 2 * math.log(level.alpha) == pytest.approx(-quad(lambda u: 0.1 + 19.9 * u, 0, s)[0], rel=1e-10)
        assert level.sigma / level.alpha == pytest.approx(
            math.sqrt(math.expm1(19.9 / 2 * s**2 + 0.1 * s)), rel=1e-10
        )


def test_vp_is_what_linear_tends_to():
    """beta_t = beta(t/T)/T: T = 100,000 of those steps against the limit."""
    steps = 100_000
    fine, limit = (
        Linear(timesteps=steps, beta_start=0.1 / steps, beta_end=20 / steps),
        VariancePreserving(scale=1.0),
    )
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
