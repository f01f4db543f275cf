"""Samplers against theory: orders of convergence, steps by hand, moments, and the learned variance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_forms import F64, column, last_of
from sampler_cases import ORDERS, PATHS, STOCHASTIC, GaussianData, no_noise, rotation, strange

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_eps, from_x0
from diffusion_studio.diffusion.samplers import DDIM, DDPM, SAMPLERS, sampler_label
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Cosine, Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError


def test_every_sampler_has_a_name_for_people():
    assert all(cls.label for cls in SAMPLERS.values())
    assert len({sampler_label(name) for name in SAMPLERS}) == len(SAMPLERS)


# --- deterministic: the order of convergence


def test_every_sampler_is_measured():
    from test_solver_order import ORDERS as others

    measured = {type(sampler) for sampler, _ in (*ORDERS.values(), *others.values())}
    measured |= {type(sampler) for sampler in STOCHASTIC.values()} | {
        s.Consistency
    }  # in test_stochastic_samplers.py
    assert measured == set(SAMPLERS.values())


@pytest.mark.parametrize(
    "data",
    [GaussianData(0.3, 0.5), pytest.param(GaussianData(-0.5, 1.5), marks=pytest.mark.slow)],
    ids=str,
)
@pytest.mark.parametrize("road", PATHS)
@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name, road, data):
    """log2 of the error's ratio when the steps double, at the finest pair and fitted over all."""
    sampler, order = ORDERS[name]
    counts = [128, 256, 512, 1024]
    errors = []
    for n in counts:
        levels = PATHS[road](n)
        x = column(-2.0, -0.7, 0.1, 1.9) * levels[0].sigma
        found = last_of(sampler, data, x, levels, no_noise)
        errors.append((found - data.flow(x, levels[0], levels[-1])).abs().max().item())
    slope = -np.polyfit(np.log2(counts), np.log2(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.15), errors
    assert errors[-1] < 0.05


def test_ddim_one_step_by_hand():
    """Song et al. 2020, eq. 12 with sigma_t = 0, in the paper's alpha_bar."""
    now, to = NoiseLevel(5, math.sqrt(0.3), math.sqrt(0.7)), NoiseLevel(2, math.sqrt(0.8), math.sqrt(0.2))
    x, eps = 0.9, -0.4
    wanted = math.sqrt(0.8) * (x - math.sqrt(0.7) * eps) / math.sqrt(0.3) + math.sqrt(0.2) * eps
    steps = list(
        sample(
            DDIM(),
            lambda x, level: from_eps(column(eps), x, level.alpha, level.sigma),
            column(x),
            [now, to],
            no_noise,
        )
    )
    assert steps[-1].x.item() == pytest.approx(wanted, abs=1e-15)
    assert steps[-1].level == to and steps[-1].index == 1


def test_ddim_with_eta_one_step_by_hand():
    """Eq. 12 and eq. 16 of the same paper, with eta = 0.6."""
    a_now, a_to, x, eps, z = 0.3, 0.8, 0.9, -0.4, 1.7
    deviation = 0.6 * math.sqrt((1 - a_to) / (1 - a_now)) * math.sqrt(1 - a_now / a_to)
    x0 = (x - math.sqrt(1 - a_now) * eps) / math.sqrt(a_now)
    wanted = math.sqrt(a_to) * x0 + math.sqrt(1 - a_to - deviation**2) * eps + deviation * z
    levels = [
        NoiseLevel(5, math.sqrt(a_now), math.sqrt(1 - a_now)),
        NoiseLevel(2, math.sqrt(a_to), math.sqrt(1 - a_to)),
    ]
    found = last_of(
        DDIM(eta=0.6),
        lambda x, level: from_eps(column(eps), x, level.alpha, level.sigma),
        column(x),
        levels,
        lambda index: column(z),
    )
    assert found.item() == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_one_step_by_hand(variance):
    """Ho et al. 2020, Algorithm 2 line 4 in the paper's beta, with both of section 3.2's variances, on
    neighbouring t.
    """
    schedule, t = Linear(), 400
    betas = np.linspace(1e-4, 0.02, 1000)
    bar = np.cumprod(1 - betas)
    x, eps, z = 0.9, -0.4, 1.7
    mean = (x - betas[t] / math.sqrt(1 - bar[t]) * eps) / math.sqrt(1 - betas[t])
    square = betas[t] if variance == "large" else betas[t] * (1 - bar[t - 1]) / (1 - bar[t])
    found = last_of(
        DDPM(variance),
        lambda x, level: from_eps(column(eps), x, level.alpha, level.sigma),
        column(x),
        [schedule.level(t), schedule.level(t - 1)],
        lambda index: column(z),
    )
    assert found.item() == pytest.approx(mean + math.sqrt(square) * z, abs=1e-12)


# --- stochastic: the moments. For a linear denoiser the result is x = A x_start + B + sum_i C_i z_i. One
# batch reads all of these off exactly: its first picture starts from 0 and meets no noise, its second starts
# from 1, each other meets one z.


def moments(sampler, data: GaussianData, levels) -> tuple[float, float]:
    """(mean, standard deviation) that the sampler gives to the last level, started from the exact
    marginal.
    """
    n = len(levels) - 1
    x = torch.zeros(n + 2, 1, 1, 1, dtype=F64)
    x[1] = 1

    def noise(index: int) -> torch.Tensor:
        z = torch.zeros_like(x)
        z[1 + index] = 1
        return z

    found = last_of(sampler, data, x, levels, noise).flatten()
    scale, shifts = (found[1] - found[0]).item(), (found[2:] - found[0]).numpy()
    mean = scale * levels[0].alpha * data.mu + found[0].item()
    return mean, math.sqrt((scale * data.spread(levels[0])) ** 2 + (shifts**2).sum())


# The size of a Langevin step comes from the lengths of whole pictures: no linear map, and nothing for a
# single pixel. It is measured in test_stochastic_samplers.py.
LINEAR = [name for name in STOCHASTIC if name != "predictor_corrector"]


@pytest.mark.parametrize("road", ["rotation", "exploding", "straight"])
@pytest.mark.parametrize("name", LINEAR)
def test_mean_and_spread_become_the_datas(name, road):
    """Exactly computed, no chance in it: close at 500 steps, and the error falls with the steps at first
    order.
    """
    data = GaussianData(0.3, 0.5)
    errors = []
    for n in (125, 250, 500):
        mean, spread = moments(STOCHASTIC[name], data, PATHS[road](n))
        errors.append(max(abs(mean - data.mu), abs(spread - data.s)))
    assert errors[-1] < 0.02, errors
    assert math.log2(errors[0] / errors[-1]) / 2 > 0.5, errors


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_large_variance_is_exact_for_unit_gaussian_data(n):
    """Ho et al. 2020, section 3.2: beta is optimal for x0 ~ N(0, I). Exact with any steps, up to the one
    to the clean end.
    """
    mean, spread = moments(DDPM("large"), GaussianData(0.0, 1.0), rotation(n + 1)[:-1])
    assert abs(mean) < 1e-14 and spread == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("road", ["rotation", "exploding", "straight"])
@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("sampler", [DDPM("small"), DDIM(1.0), DDIM(0.5), DDIM(0.0)], ids=str)
def test_small_variance_is_exact_for_a_single_picture(sampler, n, road):
    """Section 3.2: the posterior's variance is optimal where the data is one point. Mean and spread on the
    way are those of alpha x0 + sigma eps at every level.
    """
    data = GaussianData(0.3, 0.0)
    levels = PATHS[road](n + 1)
    for end in range(2, n + 2):
        mean, spread = moments(sampler, data, levels[:end])
        assert mean == pytest.approx(levels[end - 1].alpha * 0.3, abs=1e-13)
        assert spread == pytest.approx(levels[end - 1].sigma, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("name", [*STOCHASTIC, *ORDERS])
def test_a_data_set_of_one_picture_is_met_exactly(name, steps):
    picture = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    sampler = STOCHASTIC.get(name) or ORDERS[name][0]
    noise = Noise((1, 2), (3, 4, 4), dtype=F64)
    found = last_of(
        sampler,
        lambda x, level: from_x0(picture.expand_as(x), x, level.alpha, level.sigma),
        noise(0),
        path(Linear(timesteps=100), steps),
        noise,
    )
    assert (found - picture).abs().max() < 1e-12


@pytest.mark.parametrize("name", [name for name in LINEAR if "sde" not in name])  # drawn in the next file
def test_drawn_pictures_have_the_datas_mean_and_spread(name):
    """With real noise, 300 steps, M = 16384 pixels, seeded. Tolerances: 5 standard errors (s / sqrt(M), s
    / sqrt(2M)) and what 300 steps are off, computed exactly by `moments`.
    """
    data, levels, pixels = GaussianData(0.3, 0.5), rotation(300), 4 * 64 * 64
    noise = Noise((0, 1, 2, 3), (1, 64, 64), dtype=F64)
    start = levels[0].alpha * data.mu + data.spread(levels[0]) * noise(0)
    found = last_of(STOCHASTIC[name], data, start, levels, noise)
    mean, spread = moments(STOCHASTIC[name], data, levels)
    assert abs(mean - data.mu) < 0.02 and abs(spread - data.s) < 0.05
    assert abs(found.mean().item() - mean) < 5 * spread / math.sqrt(pixels)
    assert abs(found.std().item() - spread) < 5 * spread / math.sqrt(2 * pixels)


@pytest.mark.parametrize("road", PATHS)
@pytest.mark.parametrize("n", [1, 2, 13, 50])
def test_ddim_with_eta_1_is_ddpm_with_the_small_variance(n, road):
    """Song et al. 2020, section 4.1; step by step, on a denoiser without any structure to hide behind."""
    levels = PATHS[road](n)
    noise = Noise((5, 6, 7), (1, 3, 2), dtype=F64)
    runs = [
        list(sample(sampler, strange, 0.5 * noise(0), levels, noise))
        for sampler in (DDIM(eta=1.0), DDPM("small"))
    ]
    for a, b in zip(*runs, strict=True):
        assert (a.x - b.x).abs().max() <= 1e-12 * max(1, a.x.abs().max())


# --- learned variance


def with_variance(value: float | None):
    def denoise(x, level):
        p = strange(x, level)
        return Prediction(p.x0, p.eps, None if value is None else torch.full_like(x, value))

    return denoise


@pytest.mark.parametrize("value, fixed", [(0.0, "small"), (1.0, "large")])
def test_learned_variance_ends_at_the_fixed_ones(value, fixed):
    levels, noise = path(Cosine(timesteps=50), 9), Noise((1, 2), (1, 2, 2), dtype=F64)
    learned = last_of(DDPM("learned"), with_variance(value), noise(0), levels, noise)
    wanted = last_of(DDPM(fixed), with_variance(None), noise(0), levels, noise)
    assert (learned - wanted).abs().max() < 1e-12 * wanted.abs().max()


def test_learned_variance_interpolates_the_logarithm():
    """Nichol & Dhariwal 2021, eq. 15: exp(v log beta + (1 - v) log small), per pixel."""
    levels = [NoiseLevel(5, 0.6, 0.8), NoiseLevel(2, 0.8, 0.6)]
    beta = 0.64 - (0.6 / 0.8 * 0.6) ** 2
    small = beta * 0.36 / 0.64
    v = column(0.0, 0.25, 1.0)

    def denoise(x, level):
        return Prediction(torch.zeros_like(x), x / level.sigma, v)

    without, with_z = (
        last_of(DDPM("learned"), denoise, column(0, 0, 0), levels, lambda i, z=z: column(z, z, z))
        for z in (0.0, 1.0)
    )
    for found, share in zip((with_z - without).flatten().tolist(), v.flatten().tolist()):
        assert found**2 == pytest.approx(
            math.exp(share * math.log(beta) + (1 - share) * math.log(small)), rel=1e-12
        )


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_interpolated_variance_is_the_learned_ones_with_one_share_for_all(share):
    levels, noise = path(Cosine(timesteps=50), 9), Noise((1, 2), (1, 2, 2), dtype=F64)
    ours = last_of(DDPM("interpolated", share), with_variance(None), noise(0), levels, noise)
    wanted = last_of(DDPM("learned"), with_variance(share), noise(0), levels, noise)
    assert (ours - wanted).abs().max() < 1e-12 * wanted.abs().max()


def test_learned_variance_above_a_level_goes_on_below_it_with_the_small_one():
    levels, noise = path(Cosine(timesteps=50), 9), Noise((1, 2), (1, 2, 2), dtype=F64)
    turn = next(k for k, level in enumerate(levels) if level.sigma < level.alpha)
    assert 1 < turn < 8
    above = list(sample(DDPM("learned"), with_variance(0.7), noise(0), levels, noise))[turn].x
    wanted = last_of(
        DDPM("small"), with_variance(0.7), above, levels[turn:], lambda index: noise(index + turn)
    )
    mixed = last_of(DDPM("learned", learned_above=1.0), with_variance(0.7), noise(0), levels, noise)
    assert (mixed - wanted).abs().max() < 1e-12 * wanted.abs().max()
    whole = last_of(DDPM("learned"), with_variance(0.7), noise(0), levels, noise)
    assert (mixed - whole).abs().max() > 1e-3


def test_learned_variance_needs_a_model_that_learned_it():
    noise = Noise((0,), (1, 2, 2), dtype=F64)
    with pytest.raises(
        OptionError, match="variance 'learned' needs a model that predicts its variance.*'small' or 'large'"
    ):
        list(sample(DDPM("learned"), strange, noise(0), path(Linear(), 3), noise))
