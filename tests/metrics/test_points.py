"""Figures for models of points: against closed forms, and a network trained for seconds against the exact
answer.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from diffusion_studio.data import points
from diffusion_studio.data.point_sets import MIXTURE, POINT_SETS
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.schedule import Cosine
from diffusion_studio.errors import OptionError
from diffusion_studio.metrics.flow import log_likelihood
from diffusion_studio.metrics.points import draw_points, energy_distance, log_density, two_samples
from diffusion_studio.training.live import watched

F64 = torch.float64


def exact(x, level):
    """The closed form of E[x0 | x] for `MIXTURE`: each Gaussian's own posterior mean, weighed by its
    density at x.
    """
    top, total = torch.zeros_like(x), torch.zeros_like(x[..., :1])
    for weight, mean, spread in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.spreads):
        mean, variance = torch.tensor(mean, dtype=x.dtype), (level.alpha * spread) ** 2 + level.sigma**2
        off = x - level.alpha * mean
        density = weight / variance * torch.exp(-(off**2).sum(-1, keepdim=True) / (2 * variance))
        top += density * (mean + level.alpha * spread**2 / variance * off)
        total += density
    return from_x0(top / total, x, level.alpha, level.sigma)


def log_density_of_mixture(x: np.ndarray) -> np.ndarray:
    return np.log(
        sum(
            w / (2 * math.pi * s**2) * np.exp(-((x - m) ** 2).sum(axis=1) / (2 * s**2))
            for w, m, s in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.spreads)
        )
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that saw the two Gaussians for 700 steps of 256 points."""
    *_, last = watched("two-gaussians", tmp_path_factory.mktemp("run"), 700, "two-gaussians", max_seconds=1e9)
    assert last.frame.index == 700 and last.model is not None
    return last.model


def test_the_energy_distance_of_two_normal_lines():
    """In one dimension 2 E|X-Y| - E|X-X'| - E|Y-Y'| of N(0, 1) and N(m, 1), by E|N(m, s)| in closed form."""
    random, m, n = np.random.default_rng(0), 1.5, 2000
    even = ndtri((np.arange(n) + random.random((3, n))) / n)[..., None]  # stratified: little noise
    x, y = even[0], m + even[1]
    absolute = 2 / math.sqrt(math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)
    expected = 2 * absolute - 4 / math.sqrt(math.pi)
    assert energy_distance(x, y) == pytest.approx(expected, rel=0.005)
    assert abs(energy_distance(x, even[2])) < 0.002


def test_the_energy_distance_has_no_bias_and_no_preference():
    random = np.random.default_rng(1)
    found = [energy_distance(random.normal(size=(8, 2)), random.normal(size=(12, 2))) for _ in range(800)]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(800)
    x, y = random.normal(size=(700, 2)), random.normal(size=(30, 2))
    assert energy_distance(x, y) == pytest.approx(energy_distance(y, x), abs=1e-12)
    assert two_samples(x, y, 3).distance == pytest.approx(energy_distance(x, y), abs=1e-10)
    with pytest.raises(OptionError, match=r"at least 2 points; got \(1, 2\) and \(30, 2\)"):
        energy_distance(x[:1], y)


def test_the_test_tells_shapes_apart_and_not_two_draws_of_one():
    moons = POINT_SETS["moons"]
    same = [two_samples(moons(150, 2 * k), moons(150, 2 * k + 1), 60).p_value for k in range(12)]
    assert min(same) > 1 / 61 and 0.2 < np.mean(same) < 0.8
    assert two_samples(moons(150, 0), POINT_SETS["rings"](150, 0), 60).p_value == 1 / 61


def test_the_closed_form_gives_the_density_through_the_flow():
    """The same flow with the exact denoiser: what `log_density` is worth where the network is perfect."""
    x = POINT_SETS["two-gaussians"](60, 4).astype(np.float64)
    found = log_likelihood(exact, torch.from_numpy(x), Cosine(), 80, None).numpy()
    np.testing.assert_allclose(found, log_density_of_mixture(x), atol=0.02)


@pytest.mark.slow
def test_a_network_of_seconds_comes_near_the_closed_form(trained):
    """Its eps against the exact one, as a share of the variance that knowing nothing (eps = sigma x)
    leaves.
    """
    x0 = torch.from_numpy(POINT_SETS["two-gaussians"](4000, 9))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    for t in (150, 400, 650):
        level = trained.schedule.level(t)
        x = level.alpha * x0 + level.sigma * noise
        truth = exact(x.double(), level).eps
        with torch.no_grad():
            error = (trained.denoiser()(x, level).eps - truth).square().mean()
        assert error < 0.15 * (truth - level.sigma * x).square().mean(), t


@pytest.mark.slow
def test_its_clouds_and_its_likelihood_come_near_those_of_the_data(trained):
    """Energy distance at most a tenth of that to plain noise; at most 0.15 nats a point above the entropy."""
    true = points.load("two-gaussians", "test", 1500).points.astype(np.float64)
    made = draw_points(trained, 1500, seed=3)
    noise = np.random.default_rng(0).standard_normal((1500, 2))
    assert energy_distance(made, true) < 0.1 * energy_distance(noise, true)
    assert np.array_equal(made, draw_points(trained, 1500, seed=3))
    some = true[:300]
    assert 0 < log_density_of_mixture(some).mean() - log_density(trained, some, steps=30).mean() + 0.05 < 0.2
