"""Going on with a stopped run: it ends, bit for bit, as a run that was not stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion_studio.diffusion.samplers import DDIM, DDPM, DPMPP2M, SAMPLERS, Euler
from diffusion_studio.runs.generate import segments, stream, with_states
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.resume import resumable
from diffusion_studio.runs.trajectory_cache import TrajectoryCache

BASE = Recipe("tiny", "Cat", (3, 4), steps=6)
MEMORYLESS = [make() for make in SAMPLERS.values() if make.memoryless]


def made(model, recipe, states, resume=False, most=None):
    run = with_states(model, recipe, segments(model, recipe), states, resume)
    found = [next(run) for _ in range(most)] if most else list(run)
    run.close()
    return found


def same(one, other):
    a, b = one[0], other[0]
    told = (a.index, a.total, a.calls, a.level) == (b.index, b.total, b.calls, b.level)
    return told and np.array_equal(a.x, b.x) and np.array_equal(a.x0, b.x0) and torch.equal(one[1], other[1])


@pytest.mark.parametrize(
    "sampler", [*MEMORYLESS, DDIM(eta=0.7), DDIM(fixed_stride=True), Euler(churn=3)], ids=str
)
@pytest.mark.parametrize("stopped", [1, 2, 5, 6])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(tiny_model, sampler, stopped):
    model, kept = tiny_model(torch.float32), TrajectoryCache()
    recipe = replace(BASE, sampler=sampler, guidance=2.0, guidance_shape="linear")
    made(model, recipe, kept, most=stopped)
    asked = []
    model.network.register_forward_hook(lambda *_: asked.append(1))
    found = made(model, recipe, kept, resume=True)
    calls = len(asked)
    whole = made(model, recipe, TrajectoryCache())
    assert resumable(recipe) and len(found) == 7
    assert all(same(one, other) for one, other in zip(found, whole, strict=True))
    assert calls < len(asked) - calls or stopped == 1  # the steps before are not made again


def test_it_can_be_stopped_again_and_a_finished_one_is_made_whole(tiny_model):
    model, kept = tiny_model(torch.float32), TrajectoryCache()
    made(model, BASE, kept, most=2)
    made(model, BASE, kept, resume=True, most=4)
    assert len(kept.stopped(BASE, model)) == 4
    assert len(made(model, BASE, kept, resume=True)) == 7
    assert kept.stopped(BASE, model) == []
    assert kept.stopped(BASE, tiny_model()) == []  # of another model's states nothing is taken


@pytest.mark.parametrize(
    "changes", [{"sampler": DPMPP2M()}, {"reuse": 2}, {"branch": BASE.continued(2).branch}], ids=str
)
def test_what_builds_on_its_steps_is_made_again_whole(tiny_model, changes):
    model, kept, recipe = tiny_model(torch.float32), TrajectoryCache(), replace(BASE, **changes)
    assert not resumable(recipe)
    made(model, recipe, kept, most=3)
    found = made(model, recipe, kept, resume=True)
    assert all(
        same(one, other) for one, other in zip(found, made(model, recipe, TrajectoryCache()), strict=True)
    )


def test_without_the_wish_a_run_is_made_whole(tiny_model):
    model, kept, recipe = tiny_model(torch.float32), TrajectoryCache(), replace(BASE, sampler=DDPM())
    made(model, recipe, kept, most=3)
    asked = []
    model.network.register_forward_hook(lambda *_: asked.append(1))
    assert len(list(stream(model, recipe, states=kept))) == 7 and len(asked) == 6
