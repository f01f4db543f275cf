"""Classifier guidance: a Gaussian picture, seen through a Gaussian observation, has everything in closed
form.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from guidance_cases import LEVELS, SCHEDULE, VARIED, X, conditional, slope

from diffusion_studio.diffusion import guidance as g
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.samplers import DDPM
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.diffusion.spacing import path

SPREAD, BLUR, SEEN = 0.7, 0.4, 1.3  # x0 ~ N(0, SPREAD^2); y = x0 + N(0, BLUR^2) was SEEN


def _variance_share(sampler):
    """Where the variance of a sampler's steps lies, as guidance asks for it."""
    return lambda level, p: sampler.variance_share(level, p.variance)


def prior(x, level):
    gain = level.alpha * SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2)
    return from_x0(gain * x, x, level.alpha, level.sigma)


def posterior(x, level):
    """E[x0 | x, y]: precision-weighted mean of prior, state and observation."""
    precision = 1 / SPREAD**2 + (level.alpha / level.sigma) ** 2 + 1 / BLUR**2
    return (level.alpha / level.sigma**2 * x + SEEN / BLUR**2) / precision


def log_likelihood(x, level):
    """log p(y | x): y given x is Gaussian about E[x0 | x]."""
    variance = SPREAD**2 * level.sigma**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2)
    return -((SEEN - prior(x, level).x0) ** 2 / (2 * (variance + BLUR**2))).flatten(1).sum(1)


@pytest.mark.parametrize("level", VARIED, ids=str)
def test_a_perfect_classifier_at_scale_1_gives_the_conditional_distribution(level):
    p = g.classifier_guided(prior, g.gradient_of(log_likelihood), 1.0)(X, level)
    assert torch.allclose(p.x0, posterior(X, level), rtol=1e-12, atol=1e-12)


def test_the_gradient_is_there_where_sampling_switches_gradients_off():
    with torch.no_grad():
        found = g.gradient_of(log_likelihood)(X, VARIED[0])
    assert not found.requires_grad and found.abs().min() > 0


@pytest.mark.parametrize("k", [0, 4, 8])
def test_the_mean_form_moves_an_ancestral_step_by_variance_times_gradient(k):
    """Dhariwal & Nichol 2021, algorithm 1: mu + s * Sigma * gradient, with the posterior variance."""
    now, to = LEVELS[k], LEVELS[k + 1]
    kept = now.alpha / to.alpha
    beta = now.sigma**2 - kept**2 * to.sigma**2
    variance = to.sigma**2 * beta / now.sigma**2
    guided = g.classifier_guided(conditional, slope, 2.0, g.AncestralSteps(LEVELS))

    def silent(index):
        return torch.zeros_like(X)

    def arrival(denoise):
        return list(sample(DDPM(), denoise, X, (now, to), silent))[-1].x

    moved = arrival(guided) - arrival(conditional)
    assert torch.allclose(moved, 2.0 * variance * slope(X, now), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", ["small", "large", "learned", "interpolated"])
@pytest.mark.parametrize("k", [0, 4, 9])
def test_the_mean_form_takes_the_variance_of_the_sampler(kind, k):
    """guided-diffusion's condition_mean moves the mean by p_mean_var["variance"] * gradient (commit 22e0df8).

    The variances are those of its p_mean_variance, from the betas of the respaced process: at t = 0 the
    posterior's log variance is clipped to its neighbour's, and so is the fixed large one.
    """
    bars = np.array([level.alpha**2 for level in LEVELS])  # of t = 9, 8, ..., 0 and before
    betas, before = 1 - bars[:-1] / bars[1:], bars[1:]
    posterior = betas * (1 - before) / (1 - bars[:-1])
    clipped = np.append(posterior[:-1], posterior[-2])
    share = torch.linspace(0, 1, X.numel(), dtype=X.dtype).view(X.shape)
    now = LEVELS[k]
    wanted = {
        "small": torch.tensor(posterior[k]),
        "large": torch.tensor(betas[k] if k < 9 else posterior[-2]),
        "learned": (share * np.log(betas[k]) + (1 - share) * np.log(clipped[k])).exp(),
        "interpolated": torch.tensor(clipped[k] ** 0.5 * betas[k] ** 0.5 if k < 9 else posterior[-2]),
    }[kind]

    def learning(x, level):
        return replace(conditional(x, level), variance=share)

    guided_ = g.classifier_guided(learning, slope, 2.0, g.AncestralSteps(LEVELS, _variance_share(DDPM(kind))))
    of_x0 = LEVELS[k + 1].alpha * betas[k] / (1 - bars[k])  # eq. 7
    moved = of_x0 * (guided_(X, now).x0 - conditional(X, now).x0)
    assert torch.allclose(moved, 2.0 * wanted * slope(X, now), rtol=1e-9, atol=1e-14)


def test_below_its_bound_the_learned_variance_does_not_count():
    sampler = DDPM("learned", learned_above=1.0)
    p = replace(conditional(X, LEVELS[5]), variance=torch.ones_like(X))
    high, low = LEVELS[1], LEVELS[-2]
    assert (
        torch.equal(_variance_share(sampler)(high, p), p.variance) and _variance_share(sampler)(low, p) == 0.0
    )


def test_both_forms_agree_as_steps_become_small():
    def apart(steps):
        levels = path(SCHEDULE, steps)
        at = levels[steps // 2]
        one, other = (
            g.classifier_guided(conditional, slope, 2.0, mean_of)(X, at)
            for mean_of in (None, g.AncestralSteps(levels))
        )
        return (one.x0 - other.x0).abs().max().item()

    assert apart(100) < apart(10) / 5 and apart(1000) < apart(100) / 5


def test_classifier_guidance_off_is_the_denoiser_itself():
    assert g.classifier_guided(conditional, slope, 0) is conditional


def test_where_there_is_no_signal_a_classifier_moves_nothing():
    """There eps is x / sigma, whatever is asked for, and the shift of x0 would be without bound."""
    pure = NoiseLevel(1.0, 0.0, 1.0)

    def still(x, level):
        return Prediction(torch.zeros_like(x), x / level.sigma)

    assert torch.equal(g.classifier_guided(still, slope, 2.0)(X, pure).x0, torch.zeros_like(X))
