"""What every sampler keeps to, in every setting: lengths, laziness, batches, threads, noise by index."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from types import GeneratorType

import numpy as np
import pytest
import torch
from closed_forms import F64, by_hand, column, last_of
from sampler_cases import STOCHASTIC, GaussianData, strange

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.samplers import DDIM, DDPM, SAMPLERS, Step
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import CLEAN, Cosine, Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError

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
        assert state.x.shape == state.prediction.x0.shape == state.prediction.eps.shape == start.shape
        assert (
            level.alpha * state.prediction.x0 + level.sigma * state.prediction.eps - state.x
        ).abs().max() < 1e-12
    last = states[-1]
    assert (
        isinstance(last, Step)
        and last.level == CLEAN
        and last.prediction.x0 is last.x
        and not last.prediction.eps.any()
    )
    if not isinstance(SETTINGS[name], (s.PLMS, s.PNDM, s.LMS)):  # these combine past eps to the very end
        assert (
            torch.equal(last.x, states[-2].prediction.x0)
            or (last.x - states[-2].prediction.x0).abs().max() < 1e-12
        )


ROADS = {
    "linear": lambda n: path(Linear(timesteps=20), n),
    "cosine": lambda n: path(Cosine(timesteps=20), n),
    "exploding": lambda n: by_hand("ve", n),
    "flow": lambda n: by_hand("flow", n),
}


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
    if not isinstance(
        SETTINGS[name], (s.PLMS, s.PNDM)
    ):  # combinations for even steps overshoot far in two big ones
        assert states[-1].x.abs().max() < 5


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_levels_leave_x_where_it_is(name):
    """A path may dwell: no division by a step of nothing."""
    levels = path(Linear(timesteps=20), 4)
    levels = [levels[0], levels[1], levels[1], *levels[2:]]
    states = list(
        sample(SETTINGS[name], GaussianData(0.0, 0.5), column(0.7, -0.4), levels, lambda index: column(0, 0))
    )
    assert all(state.x.isfinite().all() for state in states)
    if "churn" not in name and name != "consistency":  # which add noise there
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
    runs = [
        [
            (s.x.clone(), s.prediction.x0.clone())
            for s in sample(SETTINGS[name], strange, start, levels, noise)
        ]
        for _ in range(2)
    ]
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
    if "churn" not in name:  # which asks at noisier levels
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
            assert not state.x.requires_grad and not state.prediction.x0.requires_grad
            assert thread.submit(torch.is_grad_enabled).result() and torch.is_grad_enabled()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_picture_does_not_depend_on_its_batch(name):
    levels = path(Linear(timesteps=20), 6)
    together, alone = Noise((3, 4, 5), (1, 2, 2), dtype=F64), Noise((4,), (1, 2, 2), dtype=F64)
    batch = last_of(SETTINGS[name], strange, together(0), levels, together)
    single = last_of(SETTINGS[name], strange, alone(0), levels, alone)
    assert (batch[1:2] - single).abs().max() < 1e-12


def test_noise_of_index_i_arrives_at_level_i():
    """So that a run branched at step k meets the noise that it would have met; the last arrival meets
    none.
    """
    for name, sampler in STOCHASTIC.items():
        asked: list[int] = []
        levels, noise = path(Linear(timesteps=20), 5), Noise((0,), (1, 2, 2), dtype=F64)
        last_of(sampler, strange, noise(0), levels, lambda index: asked.append(index) or noise(index))
        twice = name in (
            "dpmpp_sde",
            "predictor_corrector",
        )  # of noise without a path and without further draws
        # churn is added before a step, but not at the schedule's noisiest level, above which there is none
        wanted = [2, 3, 4, 5] if "churn" in name else sorted([1, 2, 3, 4] * (1 + twice))
        assert asked == wanted, name


@pytest.mark.parametrize("name", SETTINGS)
def test_starting_from_pure_noise_without_signal_works(name):
    """Zero terminal SNR (alpha = 0, as flow models start): nothing divides by alpha, no root of a rounding
    error.
    """
    levels = [NoiseLevel(1.0, 0.0, 1.0), NoiseLevel(0.7, 0.3, 0.7), NoiseLevel(0.3, 0.7, 0.3), CLEAN]
    for sigma in (1.0, 0.1, 0.7):
        levels[0] = NoiseLevel(1.0, 0.0, sigma)
        for middle in np.linspace(0.5, 1.5, 50):
            levels[1] = NoiseLevel(0.7, math.cos(middle), math.sin(middle))
            found = last_of(
                SETTINGS[name], GaussianData(0.3, 0.0), column(0.5), levels, lambda index: column(0.2)
            )
            assert found.item() == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize(
    "cls, options, message",
    [
        (DDIM, {"eta": -0.1}, r"sampler.eta must be a finite number from 0 to 1, got -0\.1"),
        (DDIM, {"eta": 1.01}, r"from 0 to 1, got 1\.01"),
        (DDIM, {"eta": float("nan")}, "got nan"),
        (s.UniPC, {"order": 4}, "sampler.order must be a whole number from 1 to 3, got 4"),
        (s.UniPC, {"solver": "bh3"}, "There is no sampler.solver 'bh3'. Choose one of: bh1, bh2"),
        (s.LMS, {"order": 2.5}, r"sampler.order must be a whole number from 1 to 4, got 2\.5"),
        (s.Adaptive, {"tolerance": 0}, "sampler.tolerance must be a finite number from 1e-05 to 1, got 0"),
        (s.Heun, {"churn": -1}, "sampler.churn must be a finite number from 0 to 100, got -1"),
        (
            DDPM,
            {"interpolation": 1.5},
            r"sampler.interpolation must be a finite number from 0 to 1, got 1\.5",
        ),
        (
            DDPM,
            {"variance": "medium"},
            "There is no sampler.variance 'medium'. Choose one of: small, large, learned, interpolated",
        ),
    ],
)
def test_bad_options(cls, options, message):
    with pytest.raises(OptionError, match=message):
        cls(**options)
