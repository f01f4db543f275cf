"""eps <-> x0 <-> v, on variance-preserving, variance-exploding and flow levels."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_studio.diffusion.prediction import PARAMETRIZATIONS, from_eps, from_v, from_x0

LEVELS = {
    "vp clean": (math.cos(0.01), math.sin(0.01)), "vp middle": (0.6, 0.8), "vp noisy": (math.cos(1.56), math.sin(1.56)),
    "ve clean": (1.0, 0.002), "ve middle": (1.0, 1.0), "ve noisy": (1.0, 80.0),
    "flow clean": (0.99, 0.01), "flow middle": (0.5, 0.5), "flow noisy": (0.02, 0.98),
}
TRUTH = torch.Generator().manual_seed(0)
X0, EPS = torch.randn(2, 3, 2, 4, 5, generator=TRUTH, dtype=torch.float64)


def close(found, wanted, level):
    """To 1e-12 of what the division by alpha or sigma makes of one rounding."""
    alpha, sigma = level
    return (found - wanted).abs().max().item() < 1e-14 * 100 * max(1, sigma / alpha, alpha / sigma)


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_reading_the_target_gives_the_truth(name, level):
    """The target is built from the true x0 and eps; reading it must give both back."""
    alpha, sigma = level
    x = alpha * X0 + sigma * EPS
    p = PARAMETRIZATIONS[name].read(PARAMETRIZATIONS[name].target(X0, EPS, alpha, sigma), x, alpha, sigma)
    assert close(p.x0, X0, level) and close(p.eps, EPS, level)
    assert p.variance is None


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_any_output_keeps_the_invariant(name, level):
    """Also for an output that has nothing to do with x."""
    alpha, sigma = level
    x = alpha * X0 + sigma * EPS
    output = torch.randn(X0.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = PARAMETRIZATIONS[name].read(output, x, alpha, sigma)
    assert close(alpha * p.x0 + sigma * p.eps, x, level)


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_round_trip_between_all_three(level):
    alpha, sigma = level
    x = alpha * X0 + sigma * EPS
    eps = torch.randn(X0.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    there = from_eps(eps, x, alpha, sigma)
    v = alpha * there.eps - sigma * there.x0
    back = from_x0(from_v(v, x, alpha, sigma).x0, x, alpha, sigma)
    worst = 1e-14 * 100 * max(1, sigma / alpha, alpha / sigma) ** 2
    assert (back.eps - eps).abs().max() < worst and (back.x0 - there.x0).abs().max() < worst


def test_targets_are_what_their_names_say():
    alpha, sigma = 0.6, 0.8
    targets = {name: p.target(X0, EPS, alpha, sigma) for name, p in PARAMETRIZATIONS.items()}
    assert targets["eps"] is EPS and targets["x0"] is X0
    torch.testing.assert_close(targets["v"], 0.6 * EPS - 0.8 * X0, rtol=0, atol=0)


def test_a_level_per_picture_broadcasts():
    alpha = torch.tensor([1.0, 0.6, 0.1], dtype=torch.float64).view(3, 1, 1, 1)
    sigma = torch.tensor([0.1, 0.8, 1.0], dtype=torch.float64).view(3, 1, 1, 1)
    x = alpha * X0 + sigma * EPS
    for name, p in PARAMETRIZATIONS.items():
        found = p.read(p.target(X0, EPS, alpha, sigma), x, alpha, sigma)
        assert (found.x0 - X0).abs().max() < 1e-12, name
        assert (found.eps - EPS).abs().max() < 1e-12, name


def test_from_x0_passes_the_variance_on_and_nothing_is_changed_in_place():
    x, variance = 0.6 * X0 + 0.8 * EPS, torch.rand(X0.shape, dtype=torch.float64)
    kept = x.clone(), X0.clone(), variance.clone()
    assert from_x0(X0, x, 0.6, 0.8, variance).variance is variance
    from_eps(EPS, x, 0.6, 0.8), from_v(EPS, x, 0.6, 0.8)
    assert all(torch.equal(a, b) for a, b in zip((x, X0, variance), kept))
