"""Generation: from a recipe to frames, in float64 on a tiny random network."""

from __future__ import annotations

import math
from dataclasses import replace
from types import GeneratorType

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.samplers import DDIM, DDPM, SAMPLERS
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import (
    CLEAN,
    Cosine,
    FlowMatching,
    JensenShannon,
    Linear,
    VarianceExploding,
    VariancePreserving,
)
from diffusion_studio.diffusion.spacing import SPACINGS, Sections, Timesteps
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.arrays import to_uint8
from diffusion_studio.runs import generate
from diffusion_studio.runs.recipe import Recipe

F64 = torch.float64


def states(model, recipe):
    made = generate.plan(model, recipe)
    return list(sample(recipe.sampler, made.denoise, made.start(), made.levels, made.noise))


@pytest.mark.parametrize("steps", [1, 2, 7, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sampler", [cls() for cls in SAMPLERS.values()], ids=str)
def test_n_steps_give_n_plus_1_frames(tiny_model, sampler, steps):
    """n = 1, 2, 7 (which does not divide T) and T."""
    recipe = Recipe(model="tiny", label="Cat", seeds=(0, 5, 9), steps=steps, sampler=sampler)
    frames = generate.stream(tiny_model(torch.float32, schedule=Linear(timesteps=30, beta_end=0.2)), recipe)
    assert isinstance(frames, GeneratorType)
    frames = list(frames)
    assert [frame.index for frame in frames] == list(range(steps + 1))
    for frame in frames:
        assert frame.total == steps and frame.x.shape == frame.x0.shape == (3, 8, 8, 1)
        assert frame.x.dtype == frame.x0.dtype == np.uint8 and frame.nbytes == 2 * 3 * 64
    assert frames[-1].level == CLEAN and frames[-1].x0 is frames[-1].x
    if type(sampler).__name__ not in ("PLMS", "PNDM", "LMS"):  # these combine past eps to the very end
        np.testing.assert_array_equal(frames[-2].x0, frames[-1].x)  # the last step arrives at the last x0


def test_stretching_changes_what_is_shown_and_not_the_run(tiny_model):
    recipe = Recipe(model="tiny", label="Cat", seeds=(0, 1), steps=4, clip=False)
    plain, shown = (
        list(generate.stream(tiny_model(F64), one)) for one in (recipe, replace(recipe, stretch=True))
    )
    for a, b in zip(plain, shown):
        assert not np.array_equal(a.x, b.x) and a.level == b.level
        for k in range(2):
            assert b.x[k].min() == 0 and b.x[k].max() == 255 and b.x0[k].min() == 0 and b.x0[k].max() == 255
            inside = (a.x[k] > 0) & (a.x[k] < 255)  # not cut off: the same order of shades
            order = np.argsort(a.x[k][inside], kind="stable")
            assert (np.diff(b.x[k][inside][order].astype(int)) >= -1).all()


def test_frames_show_the_states(tiny_model):
    model, recipe = tiny_model(), Recipe(label="Cat", seeds=(0, 1), steps=5)
    for frame, state in zip(generate.stream(model, recipe), states(model, recipe), strict=True):
        np.testing.assert_array_equal(frame.x, to_uint8(state.x))
        np.testing.assert_array_equal(frame.x0, to_uint8(state.prediction.x0))
        assert frame.level == state.level


def test_exploding_states_are_shown_at_the_scale_of_pictures(tiny_model):
    model = tiny_model(parametrization="edm", schedule=VarianceExploding())
    recipe = Recipe(label="Cat", seeds=(0, 1), steps=5, sampler="heun", spacing="karras")
    frames = list(generate.stream(model, recipe))
    for frame, state in zip(frames, states(model, recipe), strict=True):
        spread = math.hypot(1, state.level.sigma) if state.level.sigma else 1
        np.testing.assert_array_equal(frame.x, to_uint8(state.x / spread))
    assert 0.1 < ((frames[0].x > 0) & (frames[0].x < 255)).mean()  # shades, and not only black and white


@pytest.mark.parametrize(
    "spacing",
    [
        *(name for name, cls in SPACINGS.items() if cls().count is None),
        Timesteps(timesteps="80,40,1"),
        Sections(sections="2,1"),
    ],
    ids=str,
)
def test_the_start_is_noise_with_the_spread_of_its_level(tiny_model, spacing):
    """Variance preserving: exactly the noise of index 0, also where the first level is not the noisiest."""
    model, recipe = tiny_model(), Recipe(label="Cat", seeds=(3, 4), steps=3, spacing=spacing)
    made = generate.plan(model, recipe)
    assert math.hypot(made.levels[0].alpha, made.levels[0].sigma) == pytest.approx(1, abs=1e-15)
    assert (made.start() - Noise((3, 4), (1, 8, 8), dtype=F64)(0)).abs().max() < 1e-14


@pytest.mark.parametrize(
    "schedule", [JensenShannon(timesteps=50), Linear(timesteps=50, zero_snr=True), FlowMatching()], ids=str
)
def test_eps_says_nothing_at_pure_noise(tiny_model, schedule):
    """Said before the first frame, and by the bare denoiser; v starts there, and eps below it."""
    model, recipe = tiny_model(schedule=schedule), Recipe(label="Cat", steps=3)
    with pytest.raises(
        OptionError,
        match=r"tiny predicts eps, .* \(alpha = 0\), .* Choose a spacing that starts at less noise",
    ):
        generate.stream(model, recipe)
    with pytest.raises(OptionError, match="tiny predicts eps"):
        model.denoiser("Cat")(torch.randn(1, 1, 8, 8, dtype=F64), schedule.level(schedule.t_max))
    v = tiny_model(schedule=schedule, parametrization="v")
    for able in (states(model, replace(recipe, spacing="leading")), states(v, recipe)):
        assert all(torch.isfinite(one.x).all() and torch.isfinite(one.prediction.x0).all() for one in able)


@pytest.mark.parametrize(
    "schedule", [VarianceExploding(), VariancePreserving(), FlowMatching(scale=1.0)], ids=str
)
def test_continuous_time_runs_through(tiny_model, schedule):
    """Every spacing, from noise with the spread of the first level."""
    model = tiny_model(schedule=schedule, parametrization="v")
    for spacing in ("trailing", "leading", "linspace", "karras", "log-snr", "follow"):
        run = states(model, Recipe(label="Cat", steps=4, spacing=spacing))
        first = run[0].level
        assert (
            run[0].x - math.hypot(first.alpha, first.sigma) * Noise((0,), (1, 8, 8), dtype=F64)(0)
        ).abs().max() < 1e-9
        assert len(run) == 5 and all(torch.isfinite(one.x).all() for one in run)


@pytest.mark.parametrize("sampler", [DDIM(), DDIM(eta=1.0), DDPM()], ids=str)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_picture_alone_is_the_picture_in_a_batch(tiny_model, sampler, guidance):
    model = tiny_model()
    common = {"label": "Dog", "steps": 6, "sampler": sampler, "guidance": guidance}
    batch = states(model, Recipe(seeds=(10, 20, 30), **common))
    alone = states(model, Recipe(seeds=(20,), **common))
    for many, one in zip(batch, alone, strict=True):
        assert (many.x[1:2] - one.x).abs().max() < 1e-12 and (
            many.prediction.x0[1:2] - one.prediction.x0
        ).abs().max() < 1e-12
    assert (batch[-1].x[0] - batch[-1].x[1]).abs().max() > 1e-2


def test_the_same_recipe_gives_the_same_bits(tiny_model):
    model, recipe = (
        tiny_model(torch.float32),
        Recipe(label="Dog", seeds=(1, 2), steps=6, sampler=DDPM(), guidance=2.0),
    )
    for a, b in zip(states(model, recipe), states(model, recipe), strict=True):
        assert torch.equal(a.x, b.x) and torch.equal(a.prediction.x0, b.prediction.x0)


def test_guidance_1_is_off_bit_for_bit_and_costs_no_calls(tiny_model):
    model = tiny_model(torch.float32)
    sizes: list[int] = []
    model.network.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    made = generate.plan(model, Recipe(label="Dog", seeds=(1, 2), steps=4, clip=False))
    guided = states(model, Recipe(label="Dog", seeds=(1, 2), steps=4, guidance=1.0, clip=False))
    assert sizes == [2] * 4
    bare = list(sample(DDIM(), model.denoiser("Dog"), made.start(), made.levels, made.noise))
    assert all(torch.equal(a.x, b.x) for a, b in zip(guided, bare, strict=True))
    sizes.clear()
    states(model, Recipe(label="Dog", seeds=(1, 2), steps=4, guidance=2.0))
    assert sizes == [4] * 4


def test_guidance_0_ignores_the_label_and_no_label_ignores_guidance(tiny_model):
    model = tiny_model()
    runs = [
        states(model, Recipe(label=label, seeds=(1,), steps=4, guidance=guidance))[-1].x
        for label, guidance in (("Dog", 0.0), ("Cat", 0.0), (None, 1.0), (None, 5.0))
    ]
    assert all(torch.equal(run, runs[0]) for run in runs)
    assert (states(model, Recipe(label="Dog", seeds=(1,), steps=4))[-1].x - runs[0]).abs().max() > 1e-3


def test_clip_keeps_every_prediction_in_range(tiny_model):
    model = tiny_model()
    clipped = states(model, Recipe(label="Dog", seeds=(1,), steps=5, guidance=8.0))
    free = states(model, Recipe(label="Dog", seeds=(1,), steps=5, guidance=8.0, clip=False))
    assert max(state.prediction.x0.abs().max() for state in clipped) <= 1
    assert max(state.prediction.x0.abs().max() for state in free) > 1
    for state in clipped[:-1]:
        assert (
            state.level.alpha * state.prediction.x0 + state.level.sigma * state.prediction.eps - state.x
        ).abs().max() < 1e-12


@pytest.mark.parametrize(
    "changes, recipe, message",
    [
        ({}, {"steps": 101}, "steps must be a whole number from 1 to 100, the timesteps .* got 101"),
        ({}, {"label": "Bag"}, "There is no label of tiny 'Bag'"),
        ({"network": {"null_class": False}}, {}, "tiny was always trained with a label"),
        (
            {"network": {"null_class": False}},
            {"label": "Cat", "guidance": 2.0},
            "tiny was always trained with a label",
        ),
        ({"network": {"classes": None, "null_class": False}}, {"label": "Cat"}, "takes no label"),
    ],
)
def test_a_recipe_that_does_not_fit_fails_before_the_first_frame(tiny_model, changes, recipe, message):
    with pytest.raises(OptionError, match=message):
        generate.stream(tiny_model(**changes), Recipe(**recipe))  # not advanced


def test_learned_variance_on_a_model_without_it_fails_in_the_run(tiny_model):
    with pytest.raises(OptionError, match="The learned variance needs a model that predicts"):
        list(generate.stream(tiny_model(), Recipe(label="Cat", steps=3, sampler=DDPM("learned"))))


def test_learned_variance_runs_on_a_model_with_it(tiny_model):
    model = tiny_model(network={"out_channels": 2}, learned_variance=True, schedule=Cosine(timesteps=100))
    runs = {
        v: states(model, Recipe(label="Cat", seeds=(0,), steps=5, sampler=DDPM(v), guidance=2.0))[-1].x
        for v in ("small", "large", "learned")
    }
    assert runs["learned"].isfinite().all()
    assert not torch.equal(runs["learned"], runs["small"]) and not torch.equal(runs["learned"], runs["large"])


# --- guidance as recipes say it


def finished(studio, **changes):
    recipe = ds.Recipe(model="tiny", label="Cat", seeds=(1, 2), steps=4, guidance=4.0, **changes)
    return studio.run(recipe).images.astype(int)


def test_every_guidance_setting_changes_the_pictures_and_its_off_does_not(tiny_checkpoint):
    studio = ds.Studio(tiny_checkpoint.parents[1], "cpu", "fp64")
    plain = finished(studio)
    for off in (
        {"guidance_shape": "constant"},
        {"guidance_rescale": 0.0},
        {"threshold": 1.0},
        {"negative_label": None},
    ):
        np.testing.assert_array_equal(finished(studio, **off), plain)
    for on in (
        {"guidance_shape": "linear"},
        {"guidance_rescale": 0.7},
        {"threshold": 0.9},
        {"negative_label": "Dog"},
    ):
        assert (finished(studio, **on) != plain).any(), on


def test_the_label_that_is_kept_away_from_must_exist(tiny_checkpoint):
    with pytest.raises(OptionError, match="There is no label of tiny 'Elk'"):
        finished(ds.Studio(tiny_checkpoint.parents[1]), negative_label="Elk")


def test_a_negative_label_is_the_papers_formula_with_that_label_for_any(tiny_checkpoint):
    from diffusion_studio.runs.generate import plan

    model = ds.load(tiny_checkpoint, "cpu", "fp64")
    recipe = ds.Recipe(model="tiny", label="Cat", negative_label="Dog", guidance=3.0, clip=False, steps=2)
    x, level = torch.randn(1, *model.shape, dtype=torch.float64), model.schedule.level(5)
    cat, dog = (model.denoiser(label)(x, level).eps for label in ("Cat", "Dog"))
    with torch.no_grad():
        assert torch.allclose(plan(model, recipe).denoise(x, level).eps, dog + 3 * (cat - dog), atol=1e-12)
