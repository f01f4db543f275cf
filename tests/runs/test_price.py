"""The price of a run, and a watch over its network calls: against runs that are really made."""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.diffusion.denoiser import RunEnded
from diffusion_studio.diffusion.samplers import SAMPLERS, Adaptive
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.runs import generate
from diffusion_studio.runs.edits import Inpaint
from diffusion_studio.runs.price import COUNTED_STEPS, network_calls
from diffusion_studio.runs.recipe import Recipe


def priced(model, recipe) -> int:
    return network_calls(generate.segments(model, recipe))


@pytest.mark.parametrize("steps", [1, 2, 7, pytest.param(COUNTED_STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sampler", [cls() for cls in SAMPLERS.values() if cls is not Adaptive], ids=str)
def test_the_price_is_the_number_of_calls(tiny_model, sampler, steps):
    model, recipe = tiny_model(), Recipe(label="Cat", seeds=(0,), steps=steps, sampler=sampler)
    *_, last = generate.stream(model, recipe)
    assert priced(model, recipe) == last.calls


@pytest.mark.parametrize("sampler", ["ddim", "heun", "pndm"])
def test_the_price_of_a_long_run_follows_from_its_beginning(tiny_model, sampler):
    model, recipe = tiny_model(), Recipe(label="Cat", seeds=(0,), steps=100, sampler=sampler)
    *_, last = generate.stream(model, recipe)
    assert priced(model, recipe) == pytest.approx(last.calls, rel=0.15)  # pndm starts with more calls a step


def test_an_adaptive_run_makes_at_least_its_price(tiny_model):
    recipe = Recipe(label="Cat", seeds=(0,), steps=5, sampler=Adaptive(tolerance=1e-4))
    *_, last = generate.stream(tiny_model(), recipe)
    assert 5 < priced(tiny_model(), recipe) <= last.calls


def test_jumps_and_a_branch_count(tiny_model):
    import numpy as np

    grey = Picture(np.full((8, 8, 1), 100, np.uint8))
    edit = Inpaint(picture=grey, mask=grey, jumps=5, jump_length=1)
    model, recipe = tiny_model(), Recipe(label="Cat", seeds=(0,), steps=20, edit=edit)
    *_, last = generate.stream(model, recipe)
    assert priced(model, recipe) == pytest.approx(last.calls, rel=0.1) and last.calls > 5 * 18
    branch = Recipe(label="Cat", seeds=(0,), steps=20).continued(15)
    *_, last = generate.stream(model, branch)
    assert priced(model, branch) == pytest.approx(last.calls, abs=1)


def asked_stream(model, recipe, ask):
    segments = generate.watched(generate.segments(model, recipe), ask)
    return generate.frames(model, recipe, segments)


def test_every_call_goes_through_the_watch_and_can_end_the_run(tiny_model):
    """Between two states of an adaptive run lie many calls; the run ends at the one that is refused."""
    model = tiny_model()
    recipe = Recipe(label="Cat", seeds=(0, 1), steps=3, sampler=Adaptive(tolerance=1e-3))
    plain, asked = list(generate.stream(model, recipe)), 0

    def counted(call):
        nonlocal asked
        asked += 1
        assert not torch.is_grad_enabled()
        return call()

    watched = list(asked_stream(model, recipe, counted))
    assert asked == plain[-1].calls > 20
    assert all((a.x == b.x).all() and (a.x0 == b.x0).all() for a, b in zip(plain, watched, strict=True))

    def refusing(call):
        nonlocal asked
        asked -= 1
        if asked == 0:
            raise RunEnded
        return call()

    asked = 10  # the second state needs more
    seen = asked_stream(model, recipe, refusing)
    assert next(seen).index == 0
    with pytest.raises(RunEnded):
        next(seen)
    assert asked == 0


def test_a_call_in_another_thread_keeps_the_grad_mode(tiny_model):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:

        def elsewhere(call):
            found = thread.submit(call).result()
            assert not found.x0.requires_grad
            return found

        frames = list(asked_stream(tiny_model(), Recipe(label="Cat", steps=2), elsewhere))
    assert len(frames) == 3
