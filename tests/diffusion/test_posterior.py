"""The posterior and the terms of the bound, against torch.distributions and scipy in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from diffusion_studio.diffusion.posterior import BIN, Posterior, discretised_log_likelihood, normal_kl
from diffusion_studio.diffusion.schedule import Cosine, Linear

SCHEDULES = [
    Linear(timesteps=1000),
    Linear(timesteps=7, beta_end=0.5),
    Cosine(timesteps=50),
    Linear(timesteps=1),
]
BYTES = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def f64(value) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    """(count, 1, 4, 5) bytes in [-1, 1], the extremes among them."""
    found = torch.randint(256, (count, 1, 4, 5), generator=torch.Generator().manual_seed(seed))
    found[:, 0, 0, 0], found[:, 0, 0, 1] = 0, 255
    return found.double() / 127.5 - 1


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.3, 0.0, 0.77, 1.0, 5.0])
@pytest.mark.parametrize("deviation", [1e-3, 0.01, 0.3, 2.0, 50.0])
def test_the_discretised_likelihood_sums_to_one(mean, deviation):
    log_p = discretised_log_likelihood(BYTES, f64(mean), f64(deviation).log())
    assert abs(log_p.exp().sum().item() - 1) < 1e-9


def test_the_discretised_likelihood_is_scipys():
    """Where the difference of two distribution functions still has digits."""
    for mean, deviation in [(-0.9, 0.05), (0.1, 0.4), (0.999, 0.02)]:
        z = [(BYTES.numpy() + side * BIN / 2 - mean) / deviation for side in (-1, 1)]
        wanted = stats.norm.cdf(z[1]) - stats.norm.cdf(z[0])
        wanted[0], wanted[-1] = stats.norm.cdf(z[1][0]), stats.norm.sf(z[0][-1])
        found = discretised_log_likelihood(BYTES, f64(mean), f64(deviation).log())
        np.testing.assert_allclose(found.exp().numpy(), wanted, rtol=1e-9, atol=1e-13)


def test_the_discretised_likelihood_far_in_the_tails_and_its_gradient():
    """40 deviations away both distribution functions are 1 in float64; scipy's log-differences are not."""
    mean = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    at = BYTES[[0, 10, 60, 128, 254, 255]]
    found = discretised_log_likelihood(at, mean, f64(0.02).log())
    z = [(at.numpy()[1:-1] + side * BIN / 2 - 0.9) / 0.02 for side in (-1, 1)]
    far = stats.norm.logcdf(z[1]) + np.log(-np.expm1(stats.norm.logcdf(z[0]) - stats.norm.logcdf(z[1])))
    np.testing.assert_allclose(found.detach().numpy()[1:4], far[:3], rtol=1e-9)
    found.sum().backward()
    assert math.isfinite(mean.grad.item()) and mean.grad.item() < 0  # most bytes lie below the mean
    wanted = (
        discretised_log_likelihood(at, f64(0.9 + 1e-6), f64(0.02).log()).sum()
        - discretised_log_likelihood(at, f64(0.9 - 1e-6), f64(0.02).log()).sum()
    ) / 2e-6
    assert mean.grad.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_in_float32_every_byte_has_a_finite_likelihood_and_gradient():
    for log_deviation in (-9.0, -4.6, 0.0, 5.0):
        mean = torch.linspace(-2, 2, 9).view(-1, 1).requires_grad_()
        found = discretised_log_likelihood(BYTES.float(), mean, torch.tensor(log_deviation))
        found.sum().backward()
        assert found.isfinite().all() and mean.grad.isfinite().all() and (found <= 1e-5).all()


def test_the_divergence_is_that_of_torch():
    a, b, c, d = torch.randn(4, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, other = (torch.distributions.Normal(mean, (log / 2).exp()) for mean, log in ((a, b), (c, d)))
    wanted = torch.distributions.kl_divergence(one, other)
    torch.testing.assert_close(normal_kl(a, b, c, d), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_posterior_is_bayes_rule(schedule):
    """From q(x_t | x_{t-1}) and q(x_{t-1} | x0) as a product of two Gaussians, by betas alone."""
    posterior = Posterior(schedule, dtype=torch.float64)
    betas = schedule.betas()
    bar = np.cumprod(1 - betas)
    x0, x = (
        pictures(1),
        torch.randn(1, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    )
    for t in {0, 1, schedule.timesteps // 2, schedule.timesteps - 1}:
        if t >= schedule.timesteps:
            continue
        at = torch.tensor([t])
        if t == 0:
            torch.testing.assert_close(posterior.mean(x0, x, at), x0, rtol=0, atol=1e-9)
            continue
        prior_precision, likelihood_precision = 1 / (1 - bar[t - 1]), (1 - betas[t]) / betas[t]
        variance = 1 / (prior_precision + likelihood_precision)
        mean = variance * (
            prior_precision * math.sqrt(bar[t - 1]) * x0 + math.sqrt(1 - betas[t]) / betas[t] * x
        )
        torch.testing.assert_close(posterior.mean(x0, x, at), mean, rtol=1e-8, atol=1e-8)
        share = f64([0.0]).view(1, 1, 1, 1)
        assert posterior.log_variance(share, at).item() == pytest.approx(math.log(variance), rel=1e-8)
        assert posterior.log_variance(share + 1, at).item() == pytest.approx(math.log(betas[t]), rel=1e-8)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_bounds_terms_are_those_of_torch_distributions(schedule):
    posterior = Posterior(schedule, dtype=torch.float64)
    t = torch.tensor(sorted({0, schedule.timesteps // 3, schedule.timesteps - 1}))
    n = len(t)
    generator = torch.Generator().manual_seed(3)
    x0 = pictures(n)
    x, noise = torch.randn(2, *x0.shape, dtype=torch.float64, generator=generator)
    share = torch.rand(x0.shape, dtype=torch.float64, generator=generator) * 1.4 - 0.2
    mean, log_variance = posterior.mean(x0 + 0.05 * noise, x, t), posterior.log_variance(share, t)
    found = posterior.bound_term(x0, x, t, mean, log_variance)
    Normal = torch.distributions.Normal
    betas = torch.from_numpy(schedule.betas())
    bar = (1 - betas).cumprod(0)
    for k, step in enumerate(t.tolist()):
        small = betas[1] * (1 - bar[0]) / (1 - bar[1]) if step == 0 and len(betas) > 1 else betas[0]
        if step:
            small = betas[step] * (1 - bar[step - 1]) / (1 - bar[step])
        deviation = (0.5 * (share[k] * betas[step].log() + (1 - share[k]) * small.log())).exp()
        model = Normal(mean[k], deviation)
        if step:
            true = Normal(posterior.mean(x0[k : k + 1], x[k : k + 1], t[k : k + 1])[0], small.sqrt())
            terms = torch.distributions.kl_divergence(true, model)
        else:
            upper = torch.where(x0[k] > 0.999, 1.0, model.cdf(x0[k] + 1 / 255))
            lower = torch.where(x0[k] < -0.999, 0.0, model.cdf(x0[k] - 1 / 255))
            terms = torch.where(upper - lower > 1e-6, -(upper - lower).log(), math.nan)
            mine = -discretised_log_likelihood(x0[k], mean[k], deviation.log())
            known = ~terms.isnan()
            assert known.float().mean() > 0.5
            torch.testing.assert_close(mine[known], terms[known], rtol=1e-7, atol=1e-9)
            terms = mine
        assert found[k].item() == pytest.approx(terms.mean().item() / math.log(2), rel=1e-7)


def test_the_prior_term_is_the_divergence_from_noise():
    schedule = Linear(timesteps=30)  # far from noise at its end
    x0 = pictures(3)
    level = schedule.level(29)
    p = torch.distributions.Normal(level.alpha * x0, level.sigma)
    wanted = torch.distributions.kl_divergence(p, torch.distributions.Normal(0.0, 1.0)).mean(
        (1, 2, 3)
    ) / math.log(2)
    torch.testing.assert_close(
        Posterior(schedule, dtype=torch.float64).prior_term(x0), wanted, rtol=1e-10, atol=0
    )
