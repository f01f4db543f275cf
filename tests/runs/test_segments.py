"""Segments of edited runs: pictures come back from noise, and known pixels stay exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_cases import BASE, MASK, OTHER, PICTURE, frames, states

from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.samplers import (
    DDIM,
    DDPM,
    DPMPP2M,
    DPMPP2S,
    SAMPLERS,
    Euler,
    EulerAncestral,
    Heun,
    UniPC,
)
from diffusion_studio.diffusion.schedule import CLEAN, NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.options import fields_of
from diffusion_studio.runs import segments
from diffusion_studio.runs.branch import Branch
from diffusion_studio.runs.edits import FromPicture, Inpaint, Interpolate, Invert, Morph
from diffusion_studio.runs.generate import plan, stream
from diffusion_studio.runs.recipe import Recipe

F64 = torch.float64


# --- a Gaussian whose denoiser and whose way between noise and picture are known

SPREAD = 0.5


def exact(x, level):
    """The mean of x0 ~ N(0, SPREAD^2) given x."""
    return from_x0(
        level.alpha * SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2) * x,
        x,
        level.alpha,
        level.sigma,
    )


def width(level: NoiseLevel) -> float:
    return math.hypot(level.alpha * SPREAD, level.sigma)


def on_the_gaussian(recipe: Recipe, steps: int) -> tuple[list, list[torch.Tensor]]:
    """Frames and states of a recipe with this denoiser, on steps even in log-SNR (-8 to 6) without a clean
    end.
    """
    half = [math.exp(z / 2) for z in np.linspace(-8, 6, steps + 1)]
    levels = Levels(NoiseLevel(k, h / math.hypot(1, h), 1 / math.hypot(1, h)) for k, h in enumerate(half))
    made = segments.Plan(exact, levels, Noise(recipe.seeds, (1, 8, 8), dtype=F64))
    parts = segments.segments_of(
        recipe, lambda one, strength: replace(made, levels=segments.last_levels(levels, strength))
    )
    return list(zip(*segments.run_segments(parts, sum(segment.steps for segment in parts))))


@pytest.mark.parametrize(
    "sampler, order",
    [(DDIM(), 1), (Euler(), 1), (Heun(), 3), (DPMPP2S(), 3), (DPMPP2M(), 2), (UniPC(), 3)],
    ids=str,
)
def test_inversion_and_sampling_return_the_picture_at_the_solvers_order(sampler, order):
    """Of even-order one-step methods the leading errors of the ways up and down cancel: one order more
    than theirs.
    """
    recipe = Recipe(model="m", sampler=sampler, edit=Invert(PICTURE))

    def error(steps: int) -> float:
        _, x = on_the_gaussian(recipe, steps)
        assert len(x) == 2 * steps + 1
        return (x[-1] - x[0]).abs().max().item()

    errors = [error(n) for n in (60, 120, 240)]
    assert all(abs(math.log2(a / b) - order) < 0.15 for a, b in zip(errors, errors[1:])), errors


def test_inversion_arrives_at_the_noise_that_the_exact_flow_leads_to():
    """The probability-flow ODE of a Gaussian only scales: the state at every level is the picture times
    the widths' ratio.
    """
    shown, x = on_the_gaussian(Recipe(model="m", sampler=UniPC(order=3), edit=Invert(PICTURE)), 400)
    for frame, state in zip(shown[::50], x[::50]):
        assert (state - x[0] * width(frame.level) / width(shown[0].level)).abs().max() < 1e-5


# --- starting from a picture


def test_a_run_from_a_picture_begins_with_it_noised(tiny_model):
    model = tiny_model()
    recipe = replace(BASE, steps=10, edit=FromPicture(PICTURE, strength=0.4))
    made = plan(model, recipe, strength=0.4)
    whole = plan(model, replace(recipe, edit=None))
    assert made.levels == whole.levels[-5:]
    x = states(model, recipe)
    assert len(x) == 5
    clean = torch.from_numpy(PICTURE.pixels[..., 0].astype(np.float64)) / 127.5 - 1
    assert (x[0] - made.levels[0].alpha * clean - made.levels[0].sigma * made.noise(0)).abs().max() < 1e-6


@pytest.mark.parametrize("strength, steps", [(0.01, 1), (0.5, 5), (0.649, 6), (1.0, 10)])
def test_strength_is_the_share_of_the_steps(tiny_model, strength, steps):
    shown = frames(tiny_model(), replace(BASE, steps=10, edit=FromPicture(PICTURE, strength)))
    assert [frame.index for frame in shown] == list(range(steps + 1)) and {
        frame.total for frame in shown
    } == {steps}


def test_less_strength_keeps_more_of_the_picture(tiny_model):
    def off(strength: float) -> float:
        last = frames(tiny_model(), replace(BASE, edit=FromPicture(PICTURE, strength)))[-1]
        return np.abs(last.x - PICTURE.pixels.astype(float)).mean()

    assert off(0.1) < off(0.5) < off(1.0)


# --- in-painting


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_in_painting_leaves_known_pixels_exact_with_every_sampler(tiny_model, sampler):
    recipe = replace(BASE, sampler=SAMPLERS[sampler](), edit=Inpaint(PICTURE, MASK, jump_length=2, jumps=2))
    shown = frames(tiny_model(), recipe)
    kept = np.broadcast_to(MASK.pixels == 0, shown[-1].x.shape)
    whole = np.broadcast_to(PICTURE.pixels, kept.shape)
    assert np.array_equal(shown[-1].x[kept], whole[kept]) and not np.array_equal(
        shown[-1].x[~kept], whole[~kept]
    )
    assert len(shown) == 7 + 2 * 3 and [frame.index for frame in shown] == list(range(13))


def test_a_grey_mask_mixes_and_strength_starts_below(tiny_model):
    mask = Picture(np.full((8, 8), 128, np.uint8))
    half, whole = (
        frames(tiny_model(), replace(BASE, edit=Inpaint(PICTURE, mask, strength=s))) for s in (0.5, 1.0)
    )
    assert len(half) == 4 and len(whole) == 7
    assert not np.array_equal(half[-1].x, PICTURE.pixels[None].repeat(2, 0))


# --- inversion


def test_the_way_into_noise_is_shown_and_then_the_way_back(tiny_model):
    shown = frames(
        tiny_model(), Recipe(model="tiny", label="Dog", steps=6, edit=Invert(PICTURE, source_label="Cat"))
    )
    assert [frame.index for frame in shown] == list(range(12)) and {frame.total for frame in shown} == {11}
    assert [frame.part for frame in shown] == [segments.INTO_NOISE] * 5 + [""] * 7
    sigmas = [frame.level.sigma for frame in shown]
    assert (
        sigmas[:6] == sorted(sigmas[:6])
        and sigmas[5:] == sorted(sigmas[5:], reverse=True)
        and shown[-1].level == CLEAN
    )
    assert np.array_equal(shown[0].x[0], PICTURE.pixels)
    calls = [frame.calls for frame in shown]
    assert calls == sorted(calls) and calls[-1] == 11


def test_the_source_condition_counts_on_the_way_up_and_the_recipes_on_the_way_down(tiny_model):
    model = tiny_model()
    recipe = Recipe(
        model="tiny", label="Cat", steps=6, guidance=2.0, edit=Invert(PICTURE, source_label="Cat")
    )
    one, other = states(model, recipe), states(model, replace(recipe, label="Dog", guidance=3.0))
    assert all(torch.equal(a, b) for a, b in zip(one[:6], other[:6])) and not torch.equal(one[6], other[6])
    assert not torch.equal(one[1], states(model, replace(recipe, edit=Invert(PICTURE)))[1])


@pytest.mark.parametrize(
    "sampler",
    [
        DDIM(eta=0.1),
        DDPM(),
        Heun(churn=5),
        EulerAncestral(),
        SAMPLERS["dpmpp_2m_sde"](),
        SAMPLERS["consistency"](),
    ],
    ids=str,
)
def test_inversion_with_a_stochastic_sampler(tiny_model, sampler):
    with pytest.raises(
        OptionError,
        match=f"{type(sampler).__name__} as it is set adds fresh noise.*Choose a deterministic sampler",
    ):
        stream(tiny_model(), Recipe(model="tiny", sampler=sampler, steps=5, edit=Invert(PICTURE)))


def test_a_model_that_enlarges_is_given_its_small_picture_on_both_ways(tiny_model):
    model = tiny_model(network={"in_channels": 2}, channels=1, low_res=4)
    recipe = Recipe(
        model="tiny", label="Dog", steps=5, low_res=Picture(PICTURE.pixels[::2, ::2]), edit=Invert(PICTURE)
    )
    assert len(frames(model, recipe)) == 10 and len(frames(model, recipe.continued(3, label="Cat"))) > 4


@pytest.mark.parametrize("sampler", [Heun(churn=0), EulerAncestral(eta=0), DDIM()], ids=str)
def test_what_is_set_to_be_deterministic_can_invert(tiny_model, sampler):
    assert (
        len(frames(tiny_model(), Recipe(model="tiny", sampler=sampler, steps=5, edit=Invert(PICTURE)))) == 10
    )


# --- the same alone and in company, twice, and what cannot be


@pytest.mark.parametrize(
    "edit", [FromPicture(PICTURE), Inpaint(PICTURE, MASK, jumps=2, jump_length=3), None], ids=str
)
@pytest.mark.parametrize("sampler", [DDIM(), DDPM(), UniPC()], ids=str)
def test_a_picture_is_the_same_alone_and_in_any_batch(tiny_model, sampler, edit):
    model = tiny_model()

    def last(seeds):
        recipe = replace(BASE, sampler=sampler, seeds=seeds, edit=edit)
        return states(model, recipe if edit is not None else recipe.continued(3, label="Dog"))[-1]

    five = last((1, 2, 3, 4, 5))
    assert (torch.cat([last((1, 2)), last((3, 4, 5))]) - five).abs().max() < 1e-10
    assert all((last((k + 1,))[0] - five[k]).abs().max() < 1e-10 for k in range(5))


@pytest.mark.parametrize(
    "edit", [FromPicture(PICTURE), Inpaint(PICTURE, MASK), Interpolate(3), None], ids=str
)
def test_a_run_is_equal_twice(tiny_model, edit):
    model, recipe = tiny_model(torch.float32), replace(BASE, sampler=DDPM(), edit=edit)
    recipe = recipe if edit is not None else recipe.continued(2, guidance=4.0)
    assert all(torch.equal(a, b) for a, b in zip(states(model, recipe), states(model, recipe), strict=True))


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: replace(BASE, edit=FromPicture(Picture(np.zeros((9, 8), np.uint8)))),
            "The picture is 8x9 grey, and the model draws 8x8 grey",
        ),
        (
            lambda: replace(BASE, edit=FromPicture(Picture(np.zeros((8, 8, 3), np.uint8)))),
            "The picture is 8x8 RGB, .*picture.fitted\\(8, 1\\)",
        ),
        (
            lambda: BASE.continued(6),
            "states 0 to 6, and the last of them is finished; got 6. Branch from a state between 0 and 5",
        ),
        (lambda: BASE.continued(600), "got 600"),
        (
            lambda: Recipe(model="tiny", steps=5, edit=Morph(PICTURE, OTHER, film=3)).continued(2),
            "Branch from state 4 on",
        ),
        (lambda: replace(BASE, edit=FromPicture(PICTURE), label="Cow"), "There is no label of tiny 'Cow'"),
        (
            lambda: Recipe(model="tiny", edit=Invert(PICTURE, source_label="Cow"), steps=3),
            "There is no label of tiny 'Cow'",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_said_before_the_first_frame(tiny_model, make, message):
    with pytest.raises(OptionError, match=message):
        stream(tiny_model(), make())


def test_too_many_jumps(tiny_model):
    recipe = replace(BASE, steps=1000, edit=Inpaint(PICTURE, MASK, jump_length=1, jumps=20))
    from diffusion_studio.diffusion.schedule import Linear

    with pytest.raises(OptionError, match="about 38,963 states; the most is 10,000"):
        stream(tiny_model(schedule=Linear(timesteps=1000)), recipe)


@pytest.mark.parametrize(
    "steps, strength, sentence",
    [
        (
            10,
            1.0,
            "A run of 10 steps has no room for jumps of 10: .* Make the jump length at most 9, or take more "
            "steps",
        ),
        (20, 0.4, "A run of 8 steps has no room .* at most 7"),
        (1, 1.0, "A run of 1 step has no room .* Take more steps"),
    ],
)
def test_a_run_too_short_for_its_jumps(steps, strength, sentence):
    with pytest.raises(OptionError, match=sentence):
        replace(BASE, steps=steps, edit=Inpaint(PICTURE, MASK, strength=strength, jumps=2))


def test_an_eps_network_at_pure_noise(tiny_model):
    from diffusion_studio.diffusion.schedule import Linear

    model = tiny_model(schedule=Linear(timesteps=100, zero_snr=True))
    for edit in (FromPicture(PICTURE, 1.0), Invert(PICTURE), Inpaint(PICTURE, MASK)):
        with pytest.raises(OptionError, match="tiny predicts eps.*alpha = 0"):
            stream(model, Recipe(model="tiny", edit=edit, steps=5))
    for edit in (FromPicture(PICTURE, 0.5), Invert(PICTURE, 0.5), Inpaint(PICTURE, MASK, 0.5)):
        assert all(torch.isfinite(x).all() for x in states(model, Recipe(model="tiny", edit=edit, steps=5)))


def draws_noise(sampler) -> bool:
    """Whether a run of it on a single number asks for noise."""
    asked = []

    def noise(index):
        asked.append(index)
        return torch.ones(1, 1, 1, 1, dtype=torch.float64)

    def nothing(x, level):
        return Prediction(torch.zeros_like(x), x / level.sigma, torch.full_like(x, 0.5))

    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    levels = Levels([NoiseLevel(1, 0.1, 0.9), NoiseLevel(0.5, 0.5, 0.5), NoiseLevel(0, 0.9, 0.1), CLEAN])
    for _ in sampler(nothing, x, levels, noise):
        pass
    return bool(asked)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("more", [{}, {"eta": 0.0}, {"eta": 0.3}, {"churn": 2.0}], ids=str)
def test_a_sampler_says_whether_it_is_deterministic(name, more):
    if not more.keys() <= {one.name for one in fields_of(SAMPLERS[name])}:
        return
    sampler = SAMPLERS[name](**more)
    assert sampler.deterministic == (not draws_noise(sampler))


@pytest.mark.parametrize("sampler", [name for name, cls in SAMPLERS.items() if cls().deterministic])
def test_a_v_network_stops_below_pure_noise(tiny_model, sampler):
    from diffusion_studio.diffusion.schedule import Linear

    model = tiny_model(schedule=Linear(timesteps=100, zero_snr=True), parametrization="v")
    x = states(model, Recipe(model="tiny", steps=7, sampler=SAMPLERS[sampler](), edit=Invert(PICTURE)))
    assert len(x) == 12
    assert all(torch.isfinite(one).all() for one in x)


def test_a_branch_is_a_recipe_and_a_state():
    assert BASE.continued(3).branch == Branch(BASE, 3)


def test_a_picture_is_edited_as_the_network_has_black(tiny_model):
    pixels = np.full((8, 8, 1), 200, np.uint8)
    pixels[:3] = 0
    edit = FromPicture(Picture(pixels), strength=0.5)
    for margin in (0.0, 0.25):
        made = plan(tiny_model(black_margin=margin), Recipe("tiny", "Cat", steps=4, edit=edit), strength=0.5)
        (segment,) = segments.segments_of(
            Recipe("tiny", "Cat", steps=4, edit=edit), lambda one, strength, made=made: made
        )
        level = made.levels[0]
        x0 = (segment.begin(None) - level.sigma * made.noise(0)) / level.alpha
        assert (x0[:, :, :3] + 1 + margin).abs().max() < 1e-9 and (
            x0[:, :, 3:] - (200 / 127.5 - 1)
        ).abs().max() < 1e-6
