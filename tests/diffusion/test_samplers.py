"""Samplers against theory. Data of N(mu, s^2) per pixel have a closed-form denoiser and a closed-form ODE solution.

x = alpha x0 + sigma eps has variance alpha^2 s^2 + sigma^2, so
    E[x0 | x] = mu + alpha s^2 / (alpha^2 s^2 + sigma^2) (x - alpha mu),
and along the probability-flow ODE (x - alpha mu) / sqrt(alpha^2 s^2 + sigma^2) stays what it is.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import GeneratorType

import numpy as np
import pytest
import torch
from closed_forms import by_hand

from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_eps, from_x0
from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.samplers import DDIM, DDPM, SAMPLERS, Step
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import CLEAN, Cosine, Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError

F64 = torch.float64

# Deterministic settings whose order holds on every path below, down to the clean end (all the others: see
# test_solver_order.py), and the stochastic ones. test_every_sampler_is_measured looks that none is left out.
ORDERS = {"ddim": (DDIM(eta=0.0), 1), "euler": (s.Euler(), 1), "heun": (s.Heun(), 2)}
STOCHASTIC = {"ddpm small": DDPM("small"), "ddpm large": DDPM("large"), "ddpm interpolated": DDPM("interpolated"),
              "ddim eta=1": DDIM(eta=1.0), "ddim eta=0.5": DDIM(eta=0.5), "euler_ancestral": s.EulerAncestral(),
              "dpmpp_2s eta=1": s.DPMPP2S(eta=1.0), "dpmpp_2m_sde": s.DPMPP2MSDE(),
              "dpmpp_2m_sde heun eta=0.5": s.DPMPP2MSDE(eta=0.5, correction="heun"),
              "euler churn": s.Euler(churn=10.0), "heun churn": s.Heun(churn=10.0)}


@dataclass(frozen=True)
class GaussianData:
    mu: float
    s: float

    def spread(self, level: NoiseLevel) -> float:
        return math.sqrt((level.alpha * self.s) ** 2 + level.sigma**2)

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        gain = level.alpha * self.s**2 / self.spread(level) ** 2
        return from_x0(self.mu + gain * (x - level.alpha * self.mu), x, level.alpha, level.sigma)

    def flow(self, x: torch.Tensor, start: NoiseLevel, end: NoiseLevel) -> torch.Tensor:
        """The probability-flow ODE's exact solution."""
        return end.alpha * self.mu + (x - start.alpha * self.mu) / self.spread(start) * self.spread(end)


def rotation(n: int) -> list[NoiseLevel]:
    """A smooth variance-preserving path: alpha = cos, sigma = sin of an evenly falling angle, down to the clean end."""
    angles = np.linspace(1.5, 0, n + 1)[:-1]
    return [*(NoiseLevel(float(k), math.cos(a), math.sin(a)) for k, a in enumerate(angles)), CLEAN]


def exploding(n: int) -> list[NoiseLevel]:
    """A variance-exploding path, alpha = 1, with EDM's rho = 3 from sigma = 10 to 0."""
    return [*(NoiseLevel(float(k), 1.0, 10 * float(u) ** 3) for k, u in enumerate(np.linspace(1, 0, n + 1)[:-1])), CLEAN]


def straight(n: int) -> list[NoiseLevel]:
    """A flow-matching path: alpha = 1 - t, sigma = t."""
    return [*(NoiseLevel(float(t), 1 - float(t), float(t)) for t in np.linspace(0.98, 0, n + 1)[:-1]), CLEAN]


def scheduled(n: int) -> list[NoiseLevel]:
    """Fractional timesteps of the linear schedule, from its noisiest to its least noisy."""
    schedule = Linear()
    return [schedule.level(float(t)) for t in np.linspace(999, 0, n + 1)]


PATHS = {"rotation": rotation, "exploding": exploding, "straight": straight, "scheduled": scheduled}


def column(*values: float) -> torch.Tensor:
    """One picture of one pixel for each value."""
    return torch.tensor(values, dtype=F64).view(-1, 1, 1, 1)


def no_noise(index: int) -> torch.Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def last_of(sampler, denoise, x, levels, noise) -> torch.Tensor:
    *_, last = sample(sampler, denoise, x, levels, noise)
    return last.x


def strange(x: torch.Tensor, level: NoiseLevel) -> Prediction:
    """A denoiser that is right for no data at all: nonlinear, mixing pixels, dependent on t."""
    return from_x0(torch.tanh(x.flip(-1) * 1.3) + 0.1 * math.sin(level.t) + 0.3 * x.cos(), x, level.alpha, level.sigma)


# --- deterministic: the order of convergence


def test_every_sampler_is_measured():
    from test_solver_order import ORDERS as others

    measured = {type(sampler) for sampler, _ in (*ORDERS.values(), *others.values())}
    measured |= {type(sampler) for sampler in STOCHASTIC.values()} | {s.Consistency}    # in test_stochastic_samplers.py
    assert measured == set(SAMPLERS.values())


@pytest.mark.parametrize("data", [GaussianData(0.3, 0.5), GaussianData(-0.5, 1.5)], ids=str)
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
    steps = list(sample(DDIM(), lambda x, level: from_eps(column(eps), x, level.alpha, level.sigma), column(x), [now, to],
                        no_noise))
    assert steps[-1].x.item() == pytest.approx(wanted, abs=1e-15)
    assert steps[-1].level == to and steps[-1].index == 1


def test_ddim_with_eta_one_step_by_hand():
    """Eq. 12 and eq. 16 of the same paper, with eta = 0.6."""
    a_now, a_to, x, eps, z = 0.3, 0.8, 0.9, -0.4, 1.7
    deviation = 0.6 * math.sqrt((1 - a_to) / (1 - a_now)) * math.sqrt(1 - a_now / a_to)
    x0 = (x - math.sqrt(1 - a_now) * eps) / math.sqrt(a_now)
    wanted = math.sqrt(a_to) * x0 + math.sqrt(1 - a_to - deviation**2) * eps + deviation * z
    levels = [NoiseLevel(5, math.sqrt(a_now), math.sqrt(1 - a_now)), NoiseLevel(2, math.sqrt(a_to), math.sqrt(1 - a_to))]
    found = last_of(DDIM(eta=0.6), lambda x, level: from_eps(column(eps), x, level.alpha, level.sigma), column(x), levels,
                    lambda index: column(z))
    assert found.item() == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_one_step_by_hand(variance):
    """Ho et al. 2020, Algorithm 2 line 4 in the paper's beta, with both of section 3.2's variances, on neighbouring t."""
    schedule, t = Linear(), 400
    betas = np.linspace(1e-4, 0.02, 1000)
    bar = np.cumprod(1 - betas)
    x, eps, z = 0.9, -0.4, 1.7
    mean = (x - betas[t] / math.sqrt(1 - bar[t]) * eps) / math.sqrt(1 - betas[t])
    square = betas[t] if variance == "large" else betas[t] * (1 - bar[t - 1]) / (1 - bar[t])
    found = last_of(DDPM(variance), lambda x, level: from_eps(column(eps), x, level.alpha, level.sigma), column(x),
                    [schedule.level(t), schedule.level(t - 1)], lambda index: column(z))
    assert found.item() == pytest.approx(mean + math.sqrt(square) * z, abs=1e-12)


# --- stochastic: the moments. For a linear denoiser the result is x = A x_start + B + sum_i C_i z_i. One batch reads all
# of these off exactly: its first picture starts from 0 and meets no noise, its second starts from 1, each other meets one z.


def moments(sampler, data: GaussianData, levels) -> tuple[float, float]:
    """(mean, standard deviation) that the sampler gives to the last level, started from the exact marginal."""
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


@pytest.mark.parametrize("road", ["rotation", "exploding", "straight"])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_mean_and_spread_become_the_datas(name, road):
    """Exactly computed, no chance in it: close at 500 steps, and the error falls with the steps at first order."""
    data = GaussianData(0.3, 0.5)
    errors = []
    for n in (125, 250, 500):
        mean, spread = moments(STOCHASTIC[name], data, PATHS[road](n))
        errors.append(max(abs(mean - data.mu), abs(spread - data.s)))
    assert errors[-1] < 0.02, errors
    assert math.log2(errors[0] / errors[-1]) / 2 > 0.5, errors


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_large_variance_is_exact_for_unit_gaussian_data(n):
    """Ho et al. 2020, section 3.2: beta is optimal for x0 ~ N(0, I). Exact with any steps, up to the one to the clean end."""
    mean, spread = moments(DDPM("large"), GaussianData(0.0, 1.0), rotation(n + 1)[:-1])
    assert abs(mean) < 1e-14 and spread == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("road", ["rotation", "exploding", "straight"])
@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("sampler", [DDPM("small"), DDIM(1.0), DDIM(0.5), DDIM(0.0)], ids=str)
def test_small_variance_is_exact_for_a_single_picture(sampler, n, road):
    """Section 3.2: the posterior's variance is optimal where the data is one point. Mean and spread on the way are those
    of alpha x0 + sigma eps at every level."""
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
    found = last_of(sampler, lambda x, level: from_x0(picture.expand_as(x), x, level.alpha, level.sigma), noise(0),
                    path(Linear(timesteps=100), steps), noise)
    assert (found - picture).abs().max() < 1e-12


@pytest.mark.parametrize("name", [name for name in STOCHASTIC if "sde" not in name])    # drawn in the next file
def test_drawn_pictures_have_the_datas_mean_and_spread(name):
    """With real noise, 300 steps, M = 16384 pixels, seeded. Tolerances: 5 standard errors (s / sqrt(M), s / sqrt(2M)) and
    what 300 steps are off, computed exactly by `moments`."""
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
    runs = [list(sample(sampler, strange, 0.5 * noise(0), levels, noise)) for sampler in (DDIM(eta=1.0), DDPM("small"))]
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

    without, with_z = (last_of(DDPM("learned"), denoise, column(0, 0, 0), levels, lambda i, z=z: column(z, z, z))
                       for z in (0.0, 1.0))
    for found, share in zip((with_z - without).flatten().tolist(), v.flatten().tolist()):
        assert found**2 == pytest.approx(math.exp(share * math.log(beta) + (1 - share) * math.log(small)), rel=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_interpolated_variance_is_the_learned_ones_with_one_share_for_all(share):
    levels, noise = path(Cosine(timesteps=50), 9), Noise((1, 2), (1, 2, 2), dtype=F64)
    ours = last_of(DDPM("interpolated", share), with_variance(None), noise(0), levels, noise)
    wanted = last_of(DDPM("learned"), with_variance(share), noise(0), levels, noise)
    assert (ours - wanted).abs().max() < 1e-12 * wanted.abs().max()


def test_learned_variance_needs_a_model_that_learned_it():
    noise = Noise((0,), (1, 2, 2), dtype=F64)
    with pytest.raises(OptionError, match="variance 'learned' needs a model that predicts its variance.*'small' or 'large'"):
        list(sample(DDPM("learned"), strange, noise(0), path(Linear(), 3), noise))


# --- the contract, for every sampler


SETTINGS = {**{name: cls() for name, cls in SAMPLERS.items()}, **STOCHASTIC}


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("name", SETTINGS)
def test_n_steps_give_n_plus_1_states(name, steps):
    levels, noise = path(Linear(timesteps=20), steps), Noise((0, 1, 2), (1, 4, 2), dtype=F64)
    start = noise(0)
    states = list(sample(SETTINGS[name], GaussianData(0.0, 0.5), start, levels, noise))
    assert [state.index for state in states] == list(range(steps + 1))
    assert [state.level for state in states] == list(levels)
    assert states[0].x is start
    for state in states[:-1]:
        level = state.level
        assert state.x.shape == state.x0.shape == state.eps.shape == start.shape
        assert (level.alpha * state.x0 + level.sigma * state.eps - state.x).abs().max() < 1e-12
    last = states[-1]
    assert isinstance(last, Step) and last.level == CLEAN and last.x0 is last.x and not last.eps.any()
    if not isinstance(SETTINGS[name], (s.PLMS, s.PNDM, s.LMS)):            # these combine past eps to the very end
        assert torch.equal(last.x, states[-2].x0) or (last.x - states[-2].x0).abs().max() < 1e-12


ROADS = {"linear": lambda n: path(Linear(timesteps=20), n), "cosine": lambda n: path(Cosine(timesteps=20), n),
         "exploding": lambda n: by_hand("ve", n), "flow": lambda n: by_hand("flow", n)}


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_length_is_finite_on_every_process(name, road, steps):
    """In the precision of the app too, from a network's rough reading; the flow starts without any signal."""
    levels, noise = ROADS[road](steps), Noise((0, 1), (1, 2, 2))
    start = math.hypot(levels[0].alpha, levels[0].sigma) * noise(0)

    def denoise(x, level):
        x0 = torch.tanh(x.flip(-1) / math.hypot(level.alpha, level.sigma) + 0.2)
        return from_x0(x0, x, level.alpha, level.sigma)

    states = list(sample(SETTINGS[name], denoise, start, levels, noise))
    assert [state.level for state in states] == list(levels)
    assert all(state.x.isfinite().all() and state.x.dtype == torch.float32 for state in states)
    if not isinstance(SETTINGS[name], (s.PLMS, s.PNDM)):    # combinations for even steps overshoot far in two big ones
        assert states[-1].x.abs().max() < 5


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_levels_leave_x_where_it_is(name):
    """A path may dwell: no division by a step of nothing."""
    levels = path(Linear(timesteps=20), 4)
    levels = [levels[0], levels[1], levels[1], *levels[2:]]
    states = list(sample(SETTINGS[name], GaussianData(0.0, 0.5), column(0.7, -0.4), levels, lambda index: column(0, 0)))
    assert all(state.x.isfinite().all() for state in states)
    if "churn" not in name and name != "consistency":          # which add noise there
        assert (states[2].x - states[1].x).abs().max() < (1e-12 if name != "unipc" else 0.1)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_samplers_own_generator_returns_the_finished_x(name):
    levels, noise = path(Linear(timesteps=20), 5), Noise((0,), (1, 2, 2), dtype=F64)
    run = SETTINGS[name](GaussianData(0.0, 0.5), noise(0), levels, noise)
    states = []
    while True:
        try:
            states.append(next(run))
        except StopIteration as end:
            finished = end.value
            break
    assert len(states) == 5
    assert torch.equal(finished, last_of(SETTINGS[name], GaussianData(0.0, 0.5), noise(0), levels, noise))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_is_repeatable_and_leaves_its_inputs_alone(name):
    levels, noise = path(Linear(timesteps=20), 7), Noise((0, 1), (1, 2, 2), dtype=F64)
    start = noise(0)
    kept = start.clone()
    runs = [[(s.x.clone(), s.x0.clone()) for s in sample(SETTINGS[name], strange, start, levels, noise)] for _ in range(2)]
    assert torch.equal(start, kept)
    assert all(torch.equal(a, b) for first, second in zip(*runs) for a, b in zip(first, second))


@pytest.mark.parametrize("name", SETTINGS)
def test_handed_out_states_do_not_change_afterwards(name):
    levels, noise = path(Linear(timesteps=20), 7), Noise((0,), (1, 2, 2), dtype=F64)
    states, copies = [], []
    for state in sample(SETTINGS[name], strange, noise(0), levels, noise):
        states.append(state)
        copies.append(state.x.clone())
    assert all(torch.equal(state.x, copy) for state, copy in zip(states, copies))


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_lazy_and_can_be_closed(name):
    asked: list[float] = []

    def counting(x, level):
        asked.append(level.t)
        return strange(x, level)

    levels, noise = path(Linear(timesteps=20), 10), Noise((0,), (1, 2, 2), dtype=F64)
    run = sample(SETTINGS[name], counting, noise(0), levels, noise)
    assert isinstance(run, GeneratorType) and asked == []
    next(run)
    assert len(asked) == 1
    next(run)
    third = next(run)
    assert len(asked) == third.calls
    if "churn" not in name:                                     # which asks at noisier levels
        assert asked[0] == levels[0].t and asked[-1] == levels[2].t
    run.close()
    with pytest.raises(StopIteration):
        next(run)
    assert len(asked) == third.calls


@pytest.mark.parametrize("name", SETTINGS)
def test_no_gradient_is_recorded_on_any_thread(name):
    """Gradio advances a generator from different threads, and grad mode belongs to a thread."""
    weight = torch.ones((), dtype=F64, requires_grad=True)

    def denoise(x, level):
        assert not torch.is_grad_enabled()
        p = strange(x * weight, level)
        return Prediction(p.x0, p.eps)

    levels, noise = path(Linear(timesteps=20), 6), Noise((0,), (1, 2, 2), dtype=F64)
    run = sample(SETTINGS[name], denoise, noise(0), levels, noise)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        for k in range(7):
            thread = (one, two)[k % 2]
            state = thread.submit(next, run).result()
            assert not state.x.requires_grad and not state.x0.requires_grad
            assert thread.submit(torch.is_grad_enabled).result() and torch.is_grad_enabled()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_picture_does_not_depend_on_its_batch(name):
    levels = path(Linear(timesteps=20), 6)
    together, alone = Noise((3, 4, 5), (1, 2, 2), dtype=F64), Noise((4,), (1, 2, 2), dtype=F64)
    batch = last_of(SETTINGS[name], strange, together(0), levels, together)
    single = last_of(SETTINGS[name], strange, alone(0), levels, alone)
    assert (batch[1:2] - single).abs().max() < 1e-12


def test_noise_of_index_i_arrives_at_level_i():
    """So that a run branched at step k meets the noise that it would have met; the last arrival meets none."""
    for name, sampler in STOCHASTIC.items():
        asked: list[int] = []
        levels, noise = path(Linear(timesteps=20), 5), Noise((0,), (1, 2, 2), dtype=F64)
        last_of(sampler, strange, noise(0), levels, lambda index: asked.append(index) or noise(index))
        assert asked == [1, 2, 3, 4] + [5] * ("churn" in name), name      # churn is added before a step


@pytest.mark.parametrize("name", SETTINGS)
def test_starting_from_pure_noise_without_signal_works(name):
    """Zero terminal SNR (alpha = 0, as flow models start): nothing divides by alpha, no root of a rounding error."""
    levels = [NoiseLevel(1.0, 0.0, 1.0), NoiseLevel(0.7, 0.3, 0.7), NoiseLevel(0.3, 0.7, 0.3), CLEAN]
    for sigma in (1.0, 0.1, 0.7):
        levels[0] = NoiseLevel(1.0, 0.0, sigma)
        for middle in np.linspace(0.5, 1.5, 50):
            levels[1] = NoiseLevel(0.7, math.cos(middle), math.sin(middle))
            found = last_of(SETTINGS[name], GaussianData(0.3, 0.0), column(0.5), levels, lambda index: column(0.2))
            assert found.item() == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize("cls, options, message", [
    (DDIM, {"eta": -0.1}, r"DDIM.eta must be a finite number from 0 to 1, got -0\.1"),
    (DDIM, {"eta": 1.01}, r"from 0 to 1, got 1\.01"),
    (DDIM, {"eta": float("nan")}, "got nan"),
    (s.UniPC, {"order": 4}, "UniPC.order must be a whole number from 1 to 3, got 4"),
    (s.UniPC, {"solver": "bh3"}, "There is no UniPC.solver 'bh3'. Choose one of: bh1, bh2"),
    (s.LMS, {"order": 2.5}, r"LMS.order must be a whole number from 1 to 4, got 2\.5"),
    (s.Adaptive, {"tolerance": 0}, "Adaptive.tolerance must be a finite number from 1e-05 to 1, got 0"),
    (s.Heun, {"churn": -1}, "Heun.churn must be a finite number from 0 to 100, got -1"),
    (DDPM, {"interpolation": 1.5}, r"DDPM.interpolation must be a finite number from 0 to 1, got 1\.5"),
    (DDPM, {"variance": "medium"}, "There is no DDPM.variance 'medium'. Choose one of: small, large, learned, interpolated")])
def test_bad_options(cls, options, message):
    with pytest.raises(OptionError, match=message):
        cls(**options)
