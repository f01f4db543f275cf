"""Samplers that draw, against the distribution that they should draw from.

Data in two dimensions (two channels): a mixture of two Gaussians with full covariances, whose exact denoiser
is known. 10,000 samples are 10,000 positions of one picture. The two-sample test is Kolmogorov and Smirnov's
along eight directions, against as many draws from the data itself; with p = 0.01 shared among them by
Bonferroni.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_forms import by_hand, column, even, last_of
from scipy.stats import ks_2samp

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import CLEAN, Cosine, NoiseLevel
from diffusion_studio.diffusion.spacing import path

pytestmark = pytest.mark.slow

F64 = torch.float64
SHAPE = (2, 100, 100)
COUNT = SHAPE[1] * SHAPE[2]


class Plane:
    """0.4 N(m1, C1) + 0.6 N(m2, C2) over the two channels of each position."""

    weights = (0.4, 0.6)
    means = (torch.tensor([-0.8, 0.3], dtype=F64), torch.tensor([0.6, -0.1], dtype=F64))
    covariances = (
        torch.tensor([[0.20, 0.08], [0.08, 0.10]], dtype=F64),
        torch.tensor([[0.08, -0.05], [-0.05, 0.15]], dtype=F64),
    )

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        points = x.movedim(1, -1)
        x0, total = torch.zeros_like(points), torch.zeros_like(points[..., :1])
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances):
            spread = level.alpha**2 * covariance + level.sigma**2 * torch.eye(2, dtype=F64)
            off = points - level.alpha * mean
            pulled = off @ torch.linalg.inv(spread)
            density = (
                weight / torch.linalg.det(spread).sqrt() * (-(pulled * off).sum(-1, keepdim=True) / 2).exp()
            )
            x0 += density * (mean + level.alpha * pulled @ covariance)
            total += density
        return from_x0((x0 / total.clamp(min=1e-300)).movedim(-1, 1), x, level.alpha, level.sigma)

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        which = generator.random(COUNT) < self.weights[0]
        drawn = [
            generator.multivariate_normal(mean.numpy(), covariance.numpy(), COUNT)
            for mean, covariance in zip(self.means, self.covariances)
        ]
        return np.where(which[:, None], *drawn)

    def mean(self) -> np.ndarray:
        return sum(weight * mean for weight, mean in zip(self.weights, self.means)).numpy()

    def covariance(self) -> np.ndarray:
        second = sum(
            w * (c + torch.outer(m, m)) for w, m, c in zip(self.weights, self.means, self.covariances)
        ).numpy()
        return second - np.outer(self.mean(), self.mean())


def rejected(found: np.ndarray, data: np.ndarray) -> bool:
    """Whether the two-sample test tells (COUNT, 2) samples from the data's."""
    angles = np.arange(8) * math.pi / 8
    return any(
        ks_2samp(found @ way, data @ way).pvalue < 0.01 / 8
        for way in np.stack([np.cos(angles), np.sin(angles)], 1)
    )


def drawn_by(sampler, steps: int, seed: int, problem=None) -> np.ndarray:
    """Down the cosine schedule, evenly in log-SNR."""
    schedule = Cosine()
    ends = schedule.level(980).log_snr, schedule.level(0).log_snr
    levels = Levels(
        [*(schedule.level(schedule.timestep(at)) for at in np.linspace(*ends, steps)), CLEAN], schedule
    )
    noise = Noise((seed,), SHAPE, dtype=F64)
    return last_of(sampler, problem or Plane(), noise(0), levels, noise)[0].flatten(1).T.numpy()


DRAWING = {
    "ddpm small": (s.DDPM(), 250),
    "ddpm large": (s.DDPM("large"), 250),
    "ddpm interpolated": (s.DDPM("interpolated"), 250),
    "ddim eta=1": (s.DDIM(1.0), 250),
    "euler_ancestral": (s.EulerAncestral(), 250),
    "dpmpp_2s eta=1": (s.DPMPP2S(1.0), 100),
    "dpmpp_2m_sde": (s.DPMPP2MSDE(), 80),
    "dpmpp_2m_sde heun eta=0.5": (s.DPMPP2MSDE(0.5, correction="heun"), 80),
    "dpmpp_sde": (s.DPMPPSDE(), 100),
    "dpm_2 eta=1": (s.DPM2(1.0), 250),
    "predictor_corrector": (s.PredictorCorrector(snr=0.05), 250),
    "predictor alone": (s.PredictorCorrector(0), 250),
    "heun churn": (s.Heun(churn=10.0), 100),
    "euler churn": (s.Euler(churn=10.0), 250),
    # deterministic ones carry the start's distribution to the data's
    "heun": (s.Heun(), 50),
    "unipc": (s.UniPC(), 40),
    "dpmpp_3m": (s.DPMPP3M(), 60),
}


@pytest.mark.parametrize("name", DRAWING)
def test_ten_thousand_samples_are_not_told_from_the_data(name):
    sampler, steps = DRAWING[name]
    found, data = drawn_by(sampler, steps, seed=3), Plane().draw(np.random.default_rng(5))
    assert not rejected(found, data)
    # 4.5 standard errors: var / N for means, at most 2 var^2 / N for covariances of such short-tailed data
    scale = Plane().covariance().diagonal().max()
    assert np.abs(found.mean(0) - Plane().mean()).max() < 4.5 * math.sqrt(scale / COUNT)
    assert np.abs(np.cov(found.T) - Plane().covariance()).max() < 4.5 * scale * math.sqrt(2 / COUNT)


def test_the_two_sample_test_rejects_what_it_should():
    """Too few steps, too little noise and another correlation are all told from the data."""
    data = Plane().draw(np.random.default_rng(5))
    assert not rejected(Plane().draw(np.random.default_rng(6)), data)
    assert rejected(drawn_by(s.DDPM(), 10, seed=3), data)
    assert rejected(drawn_by(s.EulerAncestral(s_noise=0.9), 400, seed=3), data)
    other = Plane()
    other.covariances = (Plane.covariances[0] * torch.tensor([[1, -1], [-1, 1]]), Plane.covariances[1])
    assert rejected(other.draw(np.random.default_rng(6)), data)


# --- the SDE solver's noise belongs to intervals


def test_step_counts_converge_to_one_picture():
    """Of the same Brownian path: the distance to a finer run falls at least at first order in the steps."""
    noise = Noise((0, 1), (1, 8, 8), dtype=F64)
    from closed_forms import Mixture

    ends = {
        n: last_of(s.DPMPP2MSDE(), Mixture(), noise(0), even("vp", n, -4, 2), noise)
        for n in (32, 64, 128, 512)
    }
    off = [(ends[n] - ends[512]).square().mean().sqrt().item() for n in (32, 64, 128)]
    assert off[0] / off[1] > 1.6 and off[1] / off[2] > 1.6 and off[2] < 0.03, off
    unrelated = last_of(
        s.DPMPP2MSDE(), Mixture(), noise(0), even("vp", 128, -4, 2), lambda index: noise(index)
    )
    assert (unrelated - ends[512]).square().mean().sqrt() > 10 * off[2]  # noise by index: another picture


# --- churn, against EDM's Algorithm 2 as the paper writes it, in sigma alone


@pytest.mark.parametrize("correct", [True, False])
def test_churn_is_edms(correct):
    churn, low, high, s_noise = 30.0, 0.05, 50.0, 1.003
    levels, noise = by_hand("ve", 18), Noise((0, 1), (1, 2, 2), dtype=F64)

    def clean(x, sigma):
        return torch.tanh(x.flip(-1) / math.hypot(1, sigma))

    x = 80.0 * noise(0)
    wanted, sigmas = [x], [level.sigma for level in levels]
    for i in range(18):
        gamma = min(churn / 18, math.sqrt(2) - 1) if low <= sigmas[i] <= high else 0.0
        hat = sigmas[i] * (1 + gamma)
        x_hat = x + math.sqrt(hat**2 - sigmas[i] ** 2) * s_noise * noise(i + 1)
        d = (x_hat - clean(x_hat, hat)) / hat
        x = x_hat + (sigmas[i + 1] - hat) * d
        if correct and sigmas[i + 1]:
            d2 = (x - clean(x, sigmas[i + 1])) / sigmas[i + 1]
            x = x_hat + (sigmas[i + 1] - hat) * (d + d2) / 2
        wanted.append(x)
    sampler = (s.Heun if correct else s.Euler)(churn, low, high, s_noise)
    states = list(
        sample(
            sampler,
            lambda x, level: from_x0(clean(x, level.sigma), x, 1.0, level.sigma),
            wanted[0],
            levels,
            noise,
        )
    )
    for state, x in zip(states, wanted, strict=True):
        assert (state.x - x).abs().max() < 1e-12 * max(1, x.abs().max())
        assert (
            state.level.alpha * state.prediction.x0 + state.level.sigma * state.prediction.eps - state.x
        ).abs().max() < 1e-12 * 80


def test_churn_goes_no_higher_than_the_schedule():
    """A network is never asked beyond what it was trained on."""
    asked: list[float] = []

    def denoise(x, level):
        asked.append(level.log_snr)
        return from_x0(0.5 * x, x, level.alpha, level.sigma)

    schedule = Cosine(timesteps=100)
    levels, noise = Levels(path(schedule, 10), schedule), Noise((0,), (1, 2, 2), dtype=F64)
    last_of(s.Euler(churn=4.0), denoise, noise(0), levels, noise)
    assert min(asked) == pytest.approx(levels[0].log_snr) and asked[3] < levels[3].log_snr - 0.1


# --- consistency models: a Gaussian's consistency function is the ODE's end


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_consistency_sampling_is_exact_with_the_exact_function(n, kind):
    """With any number of steps: mean and spread of linear maps, read off from one batch."""
    mu, spread = 0.3, 0.5

    def denoise(x, level):
        x0 = mu + spread * (x - level.alpha * mu) / math.hypot(level.alpha * spread, level.sigma)
        return from_x0(x0, x, level.alpha, level.sigma)

    levels = by_hand(kind, n)
    noise = Noise((0,), (1, 100, 100), dtype=F64)
    start = levels[0].alpha * mu + math.hypot(levels[0].alpha * spread, levels[0].sigma) * noise(0)
    states = list(sample(s.Consistency(), denoise, start, levels, noise))
    assert states[-1].calls == n
    z = noise(n - 1)  # only the last noise reaches the picture
    before = levels[-2]
    if n == 1:
        wanted = denoise(start, before).x0
    else:
        wanted = denoise(before.alpha * states[-3].prediction.x0 + before.sigma * z, before).x0
    assert torch.equal(states[-1].x, states[-2].prediction.x0) and (states[-1].x - wanted).abs().max() < 1e-12
    assert (
        abs(states[-1].x.mean() - mu) < 5 * spread / 100
        and abs(states[-1].x.std() - spread) < 5 * spread / 141
    )


def test_consistency_one_step_is_one_call():
    *_, last = sample(
        s.Consistency(),
        lambda x, level: from_x0(0.1 * x, x, level.alpha, level.sigma),
        column(0.5),
        by_hand("ve", 1),
        None,
    )
    assert last.calls == 1 and last.x.item() == pytest.approx(0.05)
