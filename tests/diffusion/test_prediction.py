"""Every parametrization on variance-preserving, variance-exploding and flow levels: inverses, and the
papers' formulas.
"""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_studio.diffusion.posterior import Posterior
from diffusion_studio.diffusion.prediction import PARAMETRIZATIONS, Reading, from_eps, from_x0, reading
from diffusion_studio.diffusion.schedule import (
    CLEAN,
    Cosine,
    FlowMatching,
    JensenShannon,
    Linear,
    NoiseLevel,
    VarianceExploding,
    VariancePreserving,
)
from diffusion_studio.errors import OptionError

LEVELS = {
    "vp clean": (math.cos(0.01), math.sin(0.01)),
    "vp middle": (0.6, 0.8),
    "vp noisy": (math.cos(1.56), math.sin(1.56)),
    "ve clean": (1.0, 0.002),
    "ve middle": (1.0, 1.0),
    "ve noisy": (1.0, 80.0),
    "flow clean": (0.99, 0.01),
    "flow middle": (0.5, 0.5),
    "flow noisy": (0.02, 0.98),
}
TRUTH = torch.Generator().manual_seed(0)
X0, EPS = torch.randn(2, 3, 2, 4, 5, generator=TRUTH, dtype=torch.float64)
SCHEDULES = [
    Linear(timesteps=1000),
    Cosine(timesteps=20),
    VarianceExploding(),
    VarianceExploding(label="sigma"),
    VariancePreserving(),
    FlowMatching(),
    FlowMatching(scale=1.0),
    JensenShannon(timesteps=50),
    Linear(timesteps=1000, zero_snr=True),
]


def at_level(name: str, alpha: float, sigma: float) -> Reading:
    """The reading at a level by itself; for the mean the level below has half the noise."""
    below = NoiseLevel(0.0, math.sqrt(1 - sigma**2 / 4) if alpha**2 + sigma**2 < 1.1 else 1.0, sigma / 2)
    return PARAMETRIZATIONS[name](NoiseLevel(1.0, alpha, sigma), below, 0.5)


def close(found, wanted, said):
    """To 1e-12 of what the division makes of one rounding."""
    worst = max(
        1.0,
        abs(said.of_eps / said.determinant),
        abs(said.sigma / said.determinant),
        abs(said.alpha / said.determinant),
        abs(said.of_x0 / said.determinant),
    )
    return (found - wanted).abs().max().item() < 1e-14 * 100 * worst * max(1, said.sigma)


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_reading_the_target_gives_the_truth(name, level):
    """The target is built from the true x0 and eps; reading it must give both back."""
    said = at_level(name, *level)
    p = said.read(said.target(X0, EPS), level[0] * X0 + level[1] * EPS)
    assert close(p.x0, X0, said) and close(p.eps, EPS, said)
    assert p.variance is None


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_any_output_keeps_the_invariant_and_is_the_target_of_its_reading(name, level):
    """Also for an output that has nothing to do with x."""
    alpha, sigma = level
    said = at_level(name, alpha, sigma)
    x = alpha * X0 + sigma * EPS
    output = torch.randn(X0.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = said.read(output, x)
    assert close(alpha * p.x0 + sigma * p.eps, x, said)
    assert close(said.target(p.x0, p.eps), output, said)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_one_parametrization_turns_into_another_and_back(name, schedule):
    """At the ends and in the middle of every schedule, pure noise included; where nothing can be read it
    says so.
    """
    if name == "mean" and not schedule.discrete:
        with pytest.raises(OptionError, match="needs a schedule with timesteps"):
            reading(name, schedule.level(schedule.t_max), schedule)
        return
    middle = (
        round((schedule.t_min + schedule.t_max) / 2)
        if schedule.discrete
        else (schedule.t_min + schedule.t_max) / 2
    )
    for t in (schedule.t_min, middle, schedule.t_max):
        level = schedule.level(t)
        said = reading(name, level, schedule)
        assert said.silent == (level.alpha == 0 and name == "eps")
        if said.silent:
            continue
        x = level.alpha * X0 + level.sigma * EPS
        p = said.read(said.target(X0, EPS), x)
        for other in set(PARAMETRIZATIONS) - {"mean"}:
            via = reading(other, level, schedule)
            if "consistency" in (name, other) and t == schedule.t_min:
                continue  # there f(x) = x whatever the network says (see below)
            if not via.silent:
                q = via.read(via.target(p.x0, p.eps), x)
                back = said.target(q.x0, q.eps)
                loss = max(1, level.sigma) * max(
                    abs(v / r.determinant) for r in (said, via) for v in (r.alpha, r.sigma, r.of_x0, r.of_eps)
                )
                assert (back - said.target(X0, EPS)).abs().max() < 1e-13 * max(loss, 1) * max(1, loss), (
                    t,
                    other,
                )


@pytest.mark.parametrize("sigma_data, least, most", [(0.5, 0.002, 80.0), (1.0, 0.1, 10.0)])
def test_consistency_is_equation_5_with_its_boundary(sigma_data, least, most):
    """f(x) = c_skip x + c_out F(c_in x), with the functions of appendix C, written here in the paper's
    form.
    """
    schedule = VarianceExploding(40, least, most, "1000 c_noise")
    for sigma in (least, 2 * least, 0.5, most):
        level = schedule.level(schedule.timestep(-2 * math.log(sigma)))
        assert level.t == pytest.approx(250 * math.log(sigma), abs=1e-9)
        said = reading("consistency", level, schedule, sigma_data)
        x = X0 + sigma * EPS
        skip = sigma_data**2 / ((sigma - least) ** 2 + sigma_data**2)
        out = sigma_data * (sigma - least) / math.sqrt(sigma_data**2 + sigma**2)
        assert (said.input(x) - x / math.hypot(sigma, sigma_data)).abs().max() < 1e-12
        assert (said.read(EPS, x).x0 - (skip * x + out * EPS)).abs().max() < 1e-9 * max(1, sigma)


@pytest.mark.parametrize("name", ["x0", "v", "mean", "edm", "flow", "consistency"])
def test_pure_noise_is_no_obstacle_but_to_eps(name):
    schedule = JensenShannon(timesteps=50)
    level = schedule.level(49)
    assert level.alpha == 0
    said = reading(name, level, schedule)
    p = said.read(said.target(X0, EPS), EPS)
    assert not said.silent and (p.x0 - X0).abs().max() < 1e-12 and (p.eps - EPS).abs().max() < 1e-12


def test_targets_are_what_their_names_say():
    targets = {name: at_level(name, 0.6, 0.8).target(X0, EPS) for name in PARAMETRIZATIONS}
    assert targets["eps"] is EPS and targets["x0"] is X0
    torch.testing.assert_close(targets["v"], 0.6 * EPS - 0.8 * X0, rtol=0, atol=0)
    torch.testing.assert_close(targets["flow"], EPS - X0, rtol=0, atol=0)


@pytest.mark.parametrize("sigma_data", [0.5, 1.0, 0.11])
@pytest.mark.parametrize("sigma", [0.002, 0.5, 1.7, 80.0])
def test_edm_is_equation_7_with_the_functions_of_table_1(sigma, sigma_data):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), and the training target of eq. 8."""
    schedule = VarianceExploding()
    level = schedule.level(schedule.timestep(-2 * math.log(sigma)))
    # c_noise is what the network is given
    assert level.t == pytest.approx(math.log(sigma) / 4, rel=1e-12)
    assert level.sigma == pytest.approx(sigma, rel=1e-12)
    said = reading("edm", level, schedule, sigma_data)
    c_skip = sigma_data**2 / (sigma**2 + sigma_data**2)
    c_out = sigma * sigma_data / math.sqrt(sigma_data**2 + sigma**2)
    c_in = 1 / math.sqrt(sigma**2 + sigma_data**2)
    x = X0 + level.sigma * EPS
    torch.testing.assert_close(said.input(x), c_in * x, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        said.read(EPS.flip(0), x).x0, c_skip * x + c_out * EPS.flip(0), rtol=1e-11, atol=1e-11
    )
    torch.testing.assert_close(said.target(X0, EPS), (X0 - c_skip * x) / c_out, rtol=1e-9, atol=1e-9)
    # so its plain error has lambda's weight
    assert said.slope == pytest.approx(1 / c_out, rel=1e-12)


@pytest.mark.parametrize("alpha, sigma", [(1.0, 0.3), (0.6, 0.8), (0.2, 0.8), (0.0, 1.0)])
def test_edm_keeps_its_requirements_on_any_process(alpha, sigma):
    """Unit variance of input and target for data of deviation sigma_data, and no correlation of the target
    with x.
    """
    said = PARAMETRIZATIONS["edm"](NoiseLevel(0.0, alpha, sigma), CLEAN, 0.4)
    of_data, of_noise = said.of_x0 * 0.4, said.of_eps  # in units of unit normal variables
    assert of_data**2 + of_noise**2 == pytest.approx(1, rel=1e-12)
    assert (said.scale * alpha * 0.4) ** 2 + (said.scale * sigma) ** 2 == pytest.approx(1, rel=1e-12)
    assert of_data * alpha * 0.4 + of_noise * sigma == pytest.approx(0, abs=1e-15)


def test_edm_with_unit_data_and_preserved_variance_is_minus_v():
    level = NoiseLevel(0.0, 0.28, 0.96)
    edm, v = PARAMETRIZATIONS["edm"](level, CLEAN, 1.0), PARAMETRIZATIONS["v"](level, CLEAN, 1.0)
    torch.testing.assert_close(edm.target(X0, EPS), -v.target(X0, EPS), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    "schedule", [Linear(timesteps=1000), Linear(timesteps=7, beta_end=0.5), Cosine(timesteps=50)], ids=str
)
def test_the_mean_is_the_posteriors(schedule):
    posterior = Posterior(schedule, dtype=torch.float64)
    for t in (0, 1, schedule.timesteps - 1):
        level = schedule.level(t)
        said = reading("mean", level, schedule)
        x = level.alpha * X0 + level.sigma * EPS
        wanted = posterior.mean(X0, x, torch.tensor([t, t, t]))
        torch.testing.assert_close(said.target(X0, EPS), wanted, rtol=1e-12, atol=1e-12)
        p = said.read(wanted, x)
        torch.testing.assert_close(p.x0, X0, rtol=0, atol=1e-6)  # at T - 1 the mean hardly holds x0
        torch.testing.assert_close(level.alpha * p.x0 + level.sigma * p.eps, x, rtol=0, atol=1e-12)
        assert said.slope == pytest.approx(posterior.tables["of_x0"][t], rel=1e-9)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_the_slope_is_the_targets_derivative_by_x0_at_fixed_x(name):
    said = at_level(name, 0.6, 0.8)
    x = 0.6 * X0 + 0.8 * EPS
    moved = X0 + 1e-3
    change = said.target(moved, (x - 0.6 * moved) / 0.8) - said.target(X0, EPS)
    assert (change / 1e-3 - said.slope).abs().max() < 1e-9


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_a_level_per_picture_broadcasts(name):
    schedule = Linear(timesteps=1000)
    levels = [schedule.level(t) for t in (3, 400, 999)]
    readings = [reading(name, level, schedule) for level in levels]
    stacked = Reading.stack(readings, X0)
    x = stacked.alpha * X0 + stacked.sigma * EPS
    target = stacked.target(X0, EPS)
    found = stacked.read(target, x)
    for k, one in enumerate(readings):
        assert (x[k] - (levels[k].alpha * X0[k] + levels[k].sigma * EPS[k])).abs().max() < 1e-14
        assert (target[k] - one.target(X0[k], EPS[k])).abs().max() < 1e-12
        assert (found.x0[k] - one.read(target[k], x[k]).x0).abs().max() < 1e-9
        assert (stacked.input(x)[k] - one.input(x[k])).abs().max() < 1e-12


def test_from_x0_passes_the_variance_on_and_nothing_is_changed_in_place():
    x, variance = 0.6 * X0 + 0.8 * EPS, torch.rand(X0.shape, dtype=torch.float64)
    kept = x.clone(), X0.clone(), EPS.clone(), variance.clone()
    assert from_x0(X0, x, 0.6, 0.8, variance).variance is variance
    assert at_level("v", 0.6, 0.8).read(EPS, x, variance).variance is variance
    there = from_eps(EPS, x, 0.6, 0.8)
    assert (from_x0(there.x0, x, 0.6, 0.8).eps - EPS).abs().max() < 1e-14
    for name in PARAMETRIZATIONS:
        said = at_level(name, 0.6, 0.8)
        said.input(x), said.target(X0, EPS), said.read(EPS, x)
    assert all(torch.equal(a, b) for a, b in zip((x, X0, EPS, variance), kept))
