"""The variational bound against an independent computation from the betas, and against a likelihood that
is known.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import Normal, kl_divergence

from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.schedule import SCHEDULES, TABLES, Cosine, Linear
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.metrics.bound import bound_terms, discretised_log_likelihood

GRID = torch.arange(256, dtype=torch.float64) / 127.5 - 1


@pytest.mark.parametrize("deviation", [1e-4, 0.003, 0.05, 2.0])
@pytest.mark.parametrize("mean", [-1.3, -1.0, -0.1234, 0.0, 0.7, 0.999, 5.0])
def test_the_discretised_likelihood_sums_to_one(mean, deviation):
    log_p = discretised_log_likelihood(GRID, torch.tensor(mean, dtype=torch.float64), 2 * math.log(deviation))
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.isfinite(log_p).all()  # also a thousand deviations away


def test_the_discretised_likelihood_is_the_mass_of_the_bin():
    mean, deviation = 0.31, 0.2
    edges = np.concatenate([[-np.inf], GRID.numpy()[:-1] + 1 / 255, [np.inf]])
    wanted = np.diff(scipy.stats.norm.cdf(edges, mean, deviation))
    log_p = discretised_log_likelihood(
        GRID, torch.full_like(GRID, mean), torch.full_like(GRID, 2 * math.log(deviation))
    )
    np.testing.assert_allclose(log_p.exp().numpy(), wanted, rtol=1e-9)
    far = discretised_log_likelihood(GRID[-2:-1], torch.tensor(-1.0), 2 * math.log(0.01)).item()
    low = scipy.stats.norm.logsf((GRID[-2].item() + 1 - 1 / 255) / 0.01)
    assert far == pytest.approx(low, rel=1e-6)  # all of the mass beyond the near edge, e^-19000 of it


def pictures(count: int, seed: int = 0, size: int = 4) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return from_uint8(random.integers(0, 256, (count, size, size, 1), dtype=np.uint8))


def odd(x, level):
    """Not a good denoiser, but one that depends on everything; its x0 leaves the range now and then."""
    p = from_x0(1.2 * torch.tanh(x * level.alpha + 0.01 * level.t), x, level.alpha, level.sigma)
    return Prediction(p.x0, p.eps, torch.sigmoid(3 * x))


def reference(x0, betas, noise, variance, clip):
    """Improved DDPM's evaluation, from the betas and torch's distributions; bits per dimension, noisiest
    first.
    """
    x0, bar = x0.double(), np.cumprod(1 - betas)
    before = np.append(1.0, bar[:-1])
    posterior = betas * (1 - before) / (1 - bar)
    floor = np.append(posterior[1], posterior[1:])
    found = [
        kl_divergence(
            Normal(math.sqrt(bar[-1]) * x0, math.sqrt(1 - bar[-1])), Normal(torch.zeros_like(x0), 1.0)
        )
    ]
    for i, t in enumerate(range(len(betas) - 1, -1, -1)):
        x = math.sqrt(bar[t]) * x0 + math.sqrt(1 - bar[t]) * noise(i).double()
        level = type("Level", (), {"t": t, "alpha": math.sqrt(bar[t]), "sigma": math.sqrt(1 - bar[t])})
        p = odd(x, level)
        guess = p.x0.clamp(-1, 1) if clip else p.x0
        a, b = (
            math.sqrt(before[t]) * betas[t] / (1 - bar[t]),
            math.sqrt(1 - betas[t]) * (1 - before[t]) / (1 - bar[t]),
        )
        squared = {
            "small": torch.tensor(floor[t]),
            "large": torch.tensor(betas[t]),
            "learned": torch.exp(p.variance * math.log(betas[t]) + (1 - p.variance) * math.log(floor[t])),
        }[variance]
        model = Normal(a * guess + b * x, squared.sqrt())
        if t:
            found.append(kl_divergence(Normal(a * x0 + b * x, math.sqrt(posterior[t])), model))
        else:
            high = torch.where(x0 > 0.999, 1.0, model.cdf(x0 + 1 / 255))
            low = torch.where(x0 < -0.999, 0.0, model.cdf(x0 - 1 / 255))
            found.append(-(high - low).log())
    return torch.stack([one.flatten(1).mean(1) for one in found]) / math.log(2)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("variance", ["small", "large", "learned"])
@pytest.mark.parametrize(
    "schedule", [Linear(timesteps=30, beta_start=3e-3, beta_end=0.5), Cosine(timesteps=17)]
)
def test_every_term_equals_an_independent_computation(schedule, variance, clip):
    x0 = pictures(3)
    noise = Noise((5, 6, 7), x0.shape[1:])
    terms = list(bound_terms(odd, x0, path(schedule, schedule.timesteps), noise, variance, clip))
    assert [t for t, _ in terms] == list(range(schedule.timesteps, -1, -1))
    wanted = reference(x0, schedule.betas(), noise, variance, clip)
    torch.testing.assert_close(torch.stack([bits for _, bits in terms]), wanted, rtol=1e-7, atol=1e-9)


def gaussian(mean, deviation, levels):
    """The closed-form denoiser of values drawn from one Gaussian, with the variance that each backward
    step has.
    """

    def denoise(x, now):
        to = levels[levels.index(now) + 1]
        gain = now.alpha * deviation**2 / (now.alpha**2 * deviation**2 + now.sigma**2)
        p = from_x0(mean + gain * (x - now.alpha * mean), x, now.alpha, now.sigma)
        beta = now.sigma**2 - (now.alpha / to.alpha * to.sigma) ** 2
        small = beta * to.sigma**2 / now.sigma**2
        unknown = (to.alpha * beta / now.sigma**2) ** 2 * (1 - gain * now.alpha) * deviation**2  # Var[x0 | x]
        if not to.sigma:  # the papers' floor there is the step's before
            small = floor(levels)
            return Prediction(p.x0, p.eps, torch.tensor(math.log(unknown / small) / math.log(beta / small)))
        return Prediction(
            p.x0, p.eps, torch.tensor(math.log((small + unknown) / small) / math.log(beta / small))
        )

    return denoise


def floor(levels):
    now, to = levels[-3:-1]
    return (now.sigma**2 - (now.alpha / to.alpha * to.sigma) ** 2) * to.sigma**2 / now.sigma**2


@pytest.mark.parametrize("steps", [20, 60])
def test_with_the_right_mean_and_variance_the_bound_is_the_likelihood(steps):
    """Values drawn from a Gaussian and rounded: their bits are known, every backward step is a Gaussian
    too, so nothing is lost at any number of steps. With the small variance, which is right for data of a
    single point, much is.
    """
    mean, deviation = 0.1, 0.25
    drawn = mean + deviation * np.random.default_rng(0).standard_normal((24, 64, 64, 1))
    x0 = from_uint8(np.clip(np.round((drawn + 1) * 127.5), 0, 255).astype(np.uint8))
    exact = discretised_log_likelihood(x0, torch.tensor(mean, dtype=torch.float64), 2 * math.log(deviation))
    wanted = float(-exact.mean() / math.log(2))
    levels = path(Linear(), steps)
    right, total = gaussian(mean, deviation, levels), {}
    for variance in ("small", "learned"):
        terms = bound_terms(right, x0, levels, Noise(tuple(range(24)), x0.shape[1:]), variance, False)
        total[variance] = float(sum(bits for _, bits in terms).mean())
    assert total["learned"] == pytest.approx(wanted, abs=0.01)
    assert total["small"] > wanted + 0.1


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("name", TABLES)
def test_few_levels_give_few_finite_terms(name, steps):
    x0 = pictures(1, size=3)
    terms = list(bound_terms(odd, x0, path(SCHEDULES[name](timesteps=20), steps), Noise((0,), x0.shape[1:])))
    assert len(terms) == steps + 1
    assert all(torch.isfinite(bits).all() and (bits >= 0).all() for _, bits in terms)


def test_a_learned_variance_must_be_there():
    x0 = pictures(1)
    plain = lambda x, level: from_x0(x, x, level.alpha, level.sigma)
    with pytest.raises(OptionError, match="needs a model that predicts its variance"):
        list(bound_terms(plain, x0, path(Linear(10), 10), Noise((0,), x0.shape[1:]), "learned"))


def test_what_is_beyond_the_range_is_in_the_outermost_bin():
    """As black is of models that were trained with it beyond -1: the masses of all bytes still sum to 1."""
    mean, log_variance = torch.tensor([-1.08, 0.3], dtype=torch.float64), math.log(0.02**2)
    for beyond, edge in ((-1.1, -1.0), (1.4, 1.0)):
        here, there = (
            discretised_log_likelihood(torch.full((2,), v, dtype=torch.float64), mean, log_variance)
            for v in (beyond, edge)
        )
        assert torch.equal(here, there)
