"""The flow's likelihood against that of Gaussian data, which is known in closed form."""

from __future__ import annotations

import itertools
import math

import pytest
import scipy.stats
import torch

from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.schedule import (
    Cosine,
    FlowMatching,
    Linear,
    VarianceExploding,
    VariancePreserving,
)
from diffusion_studio.errors import OptionError
from diffusion_studio.metrics.bound import STEP
from diffusion_studio.metrics.flow import bits, dequantize, ends, log_likelihood

SHAPE = (1, 1, 3)
MEAN = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
BASIS = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 3], [1, 0, 1]], dtype=torch.float64))[0]
SPREAD = torch.tensor([0.5, 0.05, 0.2], dtype=torch.float64)  # variances along BASIS


def denoise(x, level):
    """E[x0 | x] of data N(MEAN, BASIS diag(SPREAD) BASIS^T)."""
    gain = level.alpha * SPREAD / (level.alpha**2 * SPREAD + level.sigma**2)
    apart = (x.flatten(1) - level.alpha * MEAN) @ BASIS
    return from_x0((MEAN + (gain * apart) @ BASIS.T).view_as(x), x, level.alpha, level.sigma)


def points() -> torch.Tensor:
    return torch.tensor([[0.1, -0.4, 0.3], [0.9, 0.0, -0.5]], dtype=torch.float64).view(2, *SHAPE)


def exact(x0, schedule):
    """The prior's density at the end of each point's path, which is straight in the basis, and the stretch
    on the way.
    """
    first, last = ends(schedule)
    low, high = (first.sigma / first.alpha) ** 2, (last.sigma / last.alpha) ** 2
    stretch = ((SPREAD + high) / (SPREAD + low)).sqrt()
    end = MEAN @ BASIS + (x0.flatten(1) / first.alpha - MEAN) @ BASIS * stretch
    prior = scipy.stats.norm(scale=math.sqrt(1 + high)).logpdf(end.numpy()).sum(1)
    return torch.from_numpy(prior) + stretch.log().sum() - 3 * math.log(first.alpha)


@pytest.mark.parametrize(
    "schedule, steps",
    [
        (Linear(), 20),
        (Cosine(), 20),
        (VarianceExploding(), 25),
        (VariancePreserving(), 25),
        (FlowMatching(), 30),
        (Linear(zero_snr=True), 25),
    ],
    ids=str,
)
def test_it_is_the_known_density_and_of_fourth_order(schedule, steps):
    wanted = exact(points(), schedule)
    errors = [
        (log_likelihood(denoise, points(), schedule, n, None) - wanted).abs().max().item()
        for n in (steps, 2 * steps)
    ]
    assert errors[1] < 0.02
    assert math.log2(errors[0] / errors[1]) > 3.4


def test_the_density_is_nearly_that_of_the_data():
    """What is left is the noise of the first level and the signal that the last level keeps."""
    covariance = BASIS * (SPREAD + 1e-4) @ BASIS.T
    wanted = scipy.stats.multivariate_normal(MEAN.numpy(), covariance.numpy()).logpdf(
        points().flatten(1).numpy()
    )
    found = log_likelihood(denoise, points(), Linear(), 60, None)
    assert (found - torch.from_numpy(wanted)).abs().max() < 2e-3


def test_probes_have_no_bias():
    """Over all 8 patterns of signs the mean of v.J.v is the trace exactly; a single pattern is not."""
    patterns = [
        torch.tensor(signs, dtype=torch.float64).view(SHAPE).expand(2, *SHAPE)
        for signs in itertools.product((-1, 1), repeat=3)
    ]
    with_trace = log_likelihood(denoise, points(), Linear(), 12, None)
    torch.testing.assert_close(
        log_likelihood(denoise, points(), Linear(), 12, patterns), with_trace, rtol=1e-12, atol=1e-12
    )
    one = log_likelihood(denoise, points(), Linear(), 12, patterns[:1])
    assert (one - with_trace).abs().max() > 1e-2


def test_bits_of_dequantised_values():
    """A density that is even over a range of n bins costs log2(n) bits for each value."""
    assert bits(torch.tensor([4 * -math.log(16 * STEP)]), 4).item() == pytest.approx(4)
    x0 = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    moved = torch.stack([dequantize(x0, torch.tensor(u)) for u in (0.0, 0.5, 1.0)])
    assert torch.allclose(moved - x0, torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64) / 255)


def test_progress_and_mistakes():
    seen = []
    log_likelihood(denoise, points(), Linear(), 3, None, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(OptionError, match="at least one step"):
        log_likelihood(denoise, points(), Linear(), 0, None)
    with pytest.raises(OptionError, match="at most 256; these have 300"):
        log_likelihood(denoise, torch.zeros(1, 3, 10, 10), Linear(), 5, None)
