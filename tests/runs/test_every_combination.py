"""Every sampler with every spacing and parametrization, and the same seeds however they are batched."""

from __future__ import annotations

import math

import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import PARAMETRIZATIONS, reading
from diffusion_studio.diffusion.samplers import SAMPLERS, Adaptive
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import FlowMatching, Linear, VarianceExploding
from diffusion_studio.diffusion.spacing import SPACINGS, Sections, Timesteps, path
from diffusion_studio.runs import generate

pytestmark = pytest.mark.slow

T = 12
LENGTHS = (1, 2, 7, T)
LINEAR = Linear(timesteps=T, beta_end=0.5)
SCHEDULES = {"edm": VarianceExploding(timesteps=T), "flow": FlowMatching(timesteps=T)}


def spacings(schedule, steps: int):
    for name, cls in SPACINGS.items():
        if name == "timesteps":
            gap = (schedule.t_max - schedule.t_min) / steps
            yield Timesteps(timesteps=",".join(repr(schedule.t_max - k * gap) for k in range(steps)))
        else:
            yield Sections(sections=str(steps)) if name == "sections" else cls()


def sampler_of(name: str):
    return Adaptive(tolerance=0.5) if name == "adaptive" else SAMPLERS[name]()


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_it_is_finite_and_of_the_right_length(name, parametrization):
    """n = 1, 2, 7, T on every path, each parametrization on the process that it is at home in."""
    schedule = SCHEDULES.get(parametrization, LINEAR)

    def denoise(x, level):
        said = reading(parametrization, level, schedule)
        x0 = torch.tanh(said.input(x).flip(-1) / math.hypot(level.alpha, level.sigma) / said.scale + 0.2)
        return said.read(said.target(x0, (x - level.alpha * x0) / level.sigma), x)

    for steps in LENGTHS:
        noise = Noise((0, 1), (1, 2, 2))
        drawn = {index: noise(index) for index in range(steps + 1)}
        for spacing in spacings(schedule, steps):
            levels = Levels(path(schedule, steps, spacing), schedule)
            start = math.hypot(levels[0].alpha, levels[0].sigma) * noise(0)
            states = list(sample(sampler_of(name), denoise, start, levels, drawn.__getitem__))
            assert [state.level for state in states] == list(levels) and len(states) == steps + 1
            assert all(
                one.isfinite().all()
                for state in states
                for one in (state.x, state.prediction.x0, state.prediction.eps)
            ), (
                spacing,
                steps,
            )


@pytest.fixture(scope="module")
def single(tiny_model):
    return tiny_model(torch.float32)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_is_the_same_picture_alone_in_five_and_in_two_and_three(single, name):
    """The noise bit for bit; the picture within 1e-4, as a network sums otherwise in another batch."""

    def finished(*seeds: int) -> torch.Tensor:
        recipe = ds.Recipe(
            model="tiny", label="Cat", seeds=seeds, steps=7, guidance=2.0, sampler=sampler_of(name)
        )
        made = generate.plan(single, recipe)
        *_, last = sample(recipe.sampler, made.denoise, made.start(), made.levels, made.noise)
        return last.x

    five = finished(11, 12, 13, 14, 15)
    assert torch.equal(five, finished(11, 12, 13, 14, 15))
    assert (five - torch.cat([finished(11, 12), finished(13, 14, 15)])).abs().max() < 1e-4
    assert (five[3:4] - finished(14)).abs().max() < 1e-4
    whole = Noise((11, 12, 13, 14, 15), (1, 8, 8))
    for index in (0, 3):
        assert torch.equal(
            whole(index),
            torch.cat([Noise((11, 12), (1, 8, 8))(index), Noise((13, 14, 15), (1, 8, 8))(index)]),
        )
        assert torch.equal(whole(index)[3:4], Noise((14,), (1, 8, 8))(index))
