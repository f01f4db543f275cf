"""Edited runs: pictures come back from noise, known pixels stay, branches begin where their parents were."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion_studio import journey
from diffusion_studio.branch import Branch
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.samplers import DDIM, DDPM, DPMPP2M, DPMPP2S, SAMPLERS, Euler, EulerAncestral, Heun, UniPC
from diffusion_studio.diffusion.schedule import CLEAN, NoiseLevel
from diffusion_studio.edit import FromPicture, Inpaint, Interpolate, Invert, Morph
from diffusion_studio.errors import OptionError
from diffusion_studio.generate import plan, stream
from diffusion_studio.picture import Picture
from diffusion_studio.recipe import Recipe
from diffusion_studio.states import States

F64 = torch.float64
RANDOM = np.random.default_rng(0)
PICTURE, OTHER = (Picture(RANDOM.integers(0, 256, (8, 8, 1), dtype=np.uint8)) for _ in range(2))
MASK = Picture(np.where(RANDOM.random((8, 8)) < 0.5, 255, 0).astype(np.uint8))
BASE = Recipe(model="tiny", label="Cat", seeds=(0, 5), steps=6, guidance=1.5)


def states(model, recipe: Recipe) -> list[torch.Tensor]:
    legs = journey.journey(recipe, lambda one, strength: plan(model, one, strength=strength))
    return [x for _, x in journey.walk(legs, sum(leg.steps for leg in legs))]


def frames(model, recipe: Recipe, kept: States | None = None) -> list:
    return list(stream(model, recipe, states=kept))


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("x", "x0")) and \
        replace(one, x=0, x0=0) == replace(other, x=0, x0=0)


# --- a Gaussian whose denoiser and whose way between noise and picture are known

SPREAD = 0.5


def exact(x, level):
    """The mean of x0 ~ N(0, SPREAD^2) given x."""
    return from_x0(level.alpha * SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2) * x, x, level.alpha, level.sigma)


def width(level: NoiseLevel) -> float:
    return math.hypot(level.alpha * SPREAD, level.sigma)


def on_the_gaussian(recipe: Recipe, steps: int) -> tuple[list, list[torch.Tensor]]:
    """Frames and states of a recipe with this denoiser, on steps even in log-SNR (-8 to 6) without a clean end."""
    half = [math.exp(z / 2) for z in np.linspace(-8, 6, steps + 1)]
    levels = Levels(NoiseLevel(k, h / math.hypot(1, h), 1 / math.hypot(1, h)) for k, h in enumerate(half))
    made = journey.Plan(exact, levels, Noise(recipe.seeds, (1, 8, 8), dtype=F64))
    legs = journey.journey(recipe, lambda one, strength: replace(made, levels=journey.reached(levels, strength)))
    return list(zip(*journey.walk(legs, sum(leg.steps for leg in legs))))


@pytest.mark.parametrize("sampler, order", [(DDIM(), 1), (Euler(), 1), (Heun(), 3), (DPMPP2S(), 3), (DPMPP2M(), 2),
                                            (UniPC(), 3)],
                         ids=str)
def test_inversion_and_sampling_return_the_picture_at_the_solvers_order(sampler, order):
    """Of even-order one-step methods the leading errors of the ways up and down cancel: one order more than theirs."""
    recipe = Recipe(model="m", sampler=sampler, edit=Invert(PICTURE))

    def error(steps: int) -> float:
        _, x = on_the_gaussian(recipe, steps)
        assert len(x) == 2 * steps + 1
        return (x[-1] - x[0]).abs().max().item()

    errors = [error(n) for n in (60, 120, 240)]
    assert all(abs(math.log2(a / b) - order) < 0.15 for a, b in zip(errors, errors[1:])), errors


def test_inversion_arrives_at_the_noise_that_the_exact_flow_leads_to():
    """The probability-flow ODE of a Gaussian only scales: the state at every level is the picture times the widths'
    ratio."""
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
    assert [frame.index for frame in shown] == list(range(steps + 1)) and {frame.total for frame in shown} == {steps}


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
    assert np.array_equal(shown[-1].x[kept], whole[kept]) and not np.array_equal(shown[-1].x[~kept], whole[~kept])
    assert len(shown) == 7 + 2 * 3 and [frame.index for frame in shown] == list(range(13))


def test_a_grey_mask_mixes_and_strength_starts_below(tiny_model):
    mask = Picture(np.full((8, 8), 128, np.uint8))
    half, whole = (frames(tiny_model(), replace(BASE, edit=Inpaint(PICTURE, mask, strength=s))) for s in (0.5, 1.0))
    assert len(half) == 4 and len(whole) == 7
    assert not np.array_equal(half[-1].x, PICTURE.pixels[None].repeat(2, 0))


# --- inversion


def test_the_way_into_noise_is_shown_and_then_the_way_back(tiny_model):
    shown = frames(tiny_model(), Recipe(model="tiny", label="Dog", steps=6, edit=Invert(PICTURE, source_label="Cat")))
    assert [frame.index for frame in shown] == list(range(12)) and {frame.total for frame in shown} == {11}
    assert [frame.part for frame in shown] == [journey.INTO_NOISE] * 5 + [""] * 7
    sigmas = [frame.level.sigma for frame in shown]
    assert sigmas[:6] == sorted(sigmas[:6]) and sigmas[5:] == sorted(sigmas[5:], reverse=True) and shown[-1].level == CLEAN
    assert np.array_equal(shown[0].x[0], PICTURE.pixels)
    calls = [frame.calls for frame in shown]
    assert calls == sorted(calls) and calls[-1] == 11


def test_the_source_condition_counts_on_the_way_up_and_the_recipes_on_the_way_down(tiny_model):
    model = tiny_model()
    recipe = Recipe(model="tiny", label="Cat", steps=6, guidance=2.0, edit=Invert(PICTURE, source_label="Cat"))
    one, other = states(model, recipe), states(model, replace(recipe, label="Dog", guidance=3.0))
    assert all(torch.equal(a, b) for a, b in zip(one[:6], other[:6])) and not torch.equal(one[6], other[6])
    assert not torch.equal(one[1], states(model, replace(recipe, edit=Invert(PICTURE)))[1])


@pytest.mark.parametrize("sampler", [DDIM(eta=0.1), DDPM(), Heun(churn=5), EulerAncestral(), SAMPLERS["dpmpp_2m_sde"](),
                                     SAMPLERS["consistency"]()], ids=str)
def test_inversion_with_a_stochastic_sampler(tiny_model, sampler):
    with pytest.raises(OptionError, match=f"{type(sampler).__name__} as it is set adds fresh noise.*Choose a deterministic "
                                          "sampler"):
        stream(tiny_model(), Recipe(model="tiny", sampler=sampler, steps=5, edit=Invert(PICTURE)))


@pytest.mark.parametrize("sampler", [Heun(churn=5, s_tmin=1e8), EulerAncestral(eta=0), DDIM()], ids=str)
def test_what_is_set_to_be_deterministic_can_invert(tiny_model, sampler):
    assert len(frames(tiny_model(), Recipe(model="tiny", sampler=sampler, steps=5, edit=Invert(PICTURE)))) == 10


# --- films


def test_a_film_goes_from_seed_to_seed(tiny_model):
    """Its ends are the seeds' own runs; in between, noise of the same spread."""
    model, recipe = tiny_model(), replace(BASE, seeds=(3, 9, 4), edit=Interpolate(5))
    film, own = states(model, recipe), states(model, replace(recipe, edit=None))
    for place, seed in ((0, 0), (2, 1), (4, 2)):
        assert (film[-1][place] - own[-1][seed]).abs().max() < 1e-12
    assert film[0].shape == (5, 1, 8, 8) and recipe.pictures == 5
    big = Noise((1, 2), (1, 100, 100), dtype=F64)
    spread = journey.Between(big, 9, False)(0).std(dim=(1, 2, 3))
    assert (spread - 1).abs().max() < 0.03


def test_a_looping_film_closes_without_showing_its_beginning_twice():
    ends = Noise((1, 2), (1, 8, 8), dtype=F64)
    film = journey.Between(ends, 8, True)(0)
    assert torch.equal(film[0], ends(0)[0]) and torch.equal(film[4], ends(0)[1])
    assert torch.allclose(film[1:4], film[5:].flip(0)) and not torch.allclose(film[1], film[2])


def test_a_stochastic_film_is_continuous_too(tiny_model):
    model, recipe = tiny_model(), replace(BASE, sampler=DDPM(), edit=Interpolate(64))
    last = states(model, recipe)[-1]
    near = (last[1:] - last[:-1]).flatten(1).norm(dim=1).max()
    assert near < 0.2 * (last[0] - last[-1]).norm()


def test_a_film_between_pictures_ends_in_their_own_inversions(tiny_model):
    model, recipe = tiny_model(), Recipe(model="tiny", steps=6, edit=Morph(PICTURE, OTHER, film=4))
    film = frames(model, recipe)
    assert film[0].x.shape == (4, 8, 8, 1) and [frame.part for frame in film] == [journey.INTO_NOISE] * 5 + [""] * 7
    assert np.array_equal(film[0].x, np.stack([PICTURE.pixels] * 2 + [OTHER.pixels] * 2))
    for place, picture in ((0, PICTURE), (3, OTHER)):
        own = frames(model, Recipe(model="tiny", steps=6, edit=Invert(picture)))
        assert np.abs(film[-1].x[place].astype(int) - own[-1].x[0]).max() <= 1


# --- branches


@pytest.mark.parametrize("sampler", [DDIM(), DDPM(), DPMPP2M(), EulerAncestral()], ids=str)
@pytest.mark.parametrize("at", [0, 1, 4, 5])
def test_a_branch_has_its_parents_states_up_to_where_it_begins(tiny_model, sampler, at):
    model, parent = tiny_model(), replace(BASE, sampler=sampler)
    branch = parent.continued(at, label="Dog", guidance=3.0)
    before, after = frames(model, parent), frames(model, branch)
    assert len(after) == 7 and all(np.array_equal(a.x, b.x) for a, b in zip(before[:at + 1], after))
    assert [frame.part for frame in after] == [journey.BEFORE] * at + [""] * (7 - at)
    one, other = states(model, parent), states(model, branch)
    assert all(torch.equal(a, b) for a, b in zip(one[:at + 1], other)) and not torch.equal(one[at + 1], other[at + 1])


@pytest.mark.parametrize("sampler", [DDIM(), DDPM(), Euler(churn=3), Heun(), EulerAncestral(), DPMPP2S()], ids=str)
def test_a_branch_that_changes_nothing_ends_as_its_parent(tiny_model, sampler):
    """Fresh noise too is that of the place in the whole run. Methods of several steps begin anew, and differ."""
    model, parent = tiny_model(), replace(BASE, sampler=sampler)
    for at in (2, 5):
        assert torch.equal(states(model, parent)[-1], states(model, parent.continued(at))[-1])


def test_kept_states_give_the_same_frames_as_a_replay(tiny_model):
    model, kept = tiny_model(torch.float32), States()
    parent = replace(BASE, sampler=DDPM())
    for branch in (parent.continued(3, label="Dog"), parent.continued(0, guidance=2.0),
                   parent.continued(2, label="Dog").continued(4, steps=20)):
        parents = frames(model, branch.branch.recipe, kept)
        replayed, quick = frames(model, branch), frames(model, branch, kept)
        assert len(parents) == 7 and all(same(a, b) for a, b in zip(replayed, quick, strict=True))


def test_kept_states_spare_the_network_calls(tiny_model):
    model, kept = tiny_model(torch.float32), States()
    asked = []
    model.network.register_forward_hook(lambda *_: asked.append(1))
    frames(model, BASE, kept)
    asked.clear()
    frames(model, BASE.continued(4, label="Dog"), kept)
    assert len(asked) == 2
    assert kept.before(BASE, tiny_model(), 3) is None and kept.before(BASE, model, 7) is None
    assert States(max_bytes=1000).before(BASE, model, 0) is None


def test_a_stopped_run_can_be_continued_from_what_it_kept(tiny_model):
    model, kept = tiny_model(torch.float32), States()
    run = stream(model, BASE, states=kept)
    for _ in range(3):
        next(run)
    run.close()
    assert len(kept.before(BASE, model, 2)) == 3
    for at in (2, 4):
        assert all(same(a, b) for a, b in zip(frames(model, BASE.continued(at, label="Dog"), kept),
                                              frames(model, BASE.continued(at, label="Dog")), strict=True))


def test_states_are_bounded():
    frame = frames.__globals__["stream"]            # any object stands for a model: only its identity counts
    kept, x = States(max_bytes=20_000), torch.zeros(1, 1, 8, 8)
    for label in "abcdef":
        recipe = Recipe(label=label)
        run = kept.open(recipe, frame)
        for k in range(11):
            kept.keep(run, journey.Frame(k, 10, CLEAN, np.zeros((1, 8, 8, 1), np.uint8), np.zeros((1, 8, 8, 1), np.uint8)),
                      x)
    assert kept.before(recipe, frame, 10) is not None and kept.before(Recipe(label="a"), frame, 0) is None
    assert sum(run.nbytes for run in kept._runs.values()) <= 20_000


def test_one_beginning_and_several_endings(tiny_model):
    model, parent = tiny_model(), replace(BASE, seeds=(7,), sampler=DDPM())
    many, kept = parent.continued(3, seeds=(1, 2, 3)), States()
    frames(model, parent, kept)
    shown = frames(model, many)
    assert {frame.x.shape for frame in shown} == {(3, 8, 8, 1)} and many.pictures == 3
    assert np.array_equal(shown[3].x[0], shown[3].x[2]) and not np.array_equal(shown[-1].x[0], shown[-1].x[2])
    assert all(same(a, b) for a, b in zip(shown, frames(model, many, kept), strict=True))


def test_a_branch_walks_its_own_path_below(tiny_model):
    model = tiny_model()
    shown = frames(model, BASE.continued(3, steps=20))
    own = [level for level in plan(model, replace(BASE, steps=20)).levels if level.log_snr > shown[3].level.log_snr]
    assert [frame.level for frame in shown[4:]] == own and shown[-1].total == len(shown) - 1


def test_a_branch_of_an_inversion_begins_on_either_way(tiny_model):
    model, parent = tiny_model(), Recipe(model="tiny", steps=6, edit=Invert(PICTURE))
    whole = frames(model, parent)
    for at in (2, 5, 8):
        shown = frames(model, parent.continued(at, label="Dog"))
        assert all(np.array_equal(a.x, b.x) for a, b in zip(whole[:at + 1], shown))
        assert [frame.part for frame in shown[:at]] == ([journey.INTO_NOISE] * 5 + [journey.BEFORE] * 3)[:at]


def test_a_mask_from_a_branch_on(tiny_model):
    shown = frames(tiny_model(), BASE.continued(3, edit=Inpaint(PICTURE, MASK)))
    kept = np.broadcast_to(MASK.pixels == 0, shown[-1].x.shape)
    assert np.array_equal(shown[-1].x[kept], np.broadcast_to(PICTURE.pixels, kept.shape)[kept])
    assert np.array_equal(shown[3].x, frames(tiny_model(), BASE)[3].x)


# --- the same alone and in company, twice, and what cannot be


@pytest.mark.parametrize("edit", [FromPicture(PICTURE), Inpaint(PICTURE, MASK, jumps=2, jump_length=3), None], ids=str)
@pytest.mark.parametrize("sampler", [DDIM(), DDPM(), UniPC()], ids=str)
def test_a_picture_is_the_same_alone_and_in_any_batch(tiny_model, sampler, edit):
    model = tiny_model()

    def last(seeds):
        recipe = replace(BASE, sampler=sampler, seeds=seeds, edit=edit)
        return states(model, recipe if edit is not None else recipe.continued(3, label="Dog"))[-1]

    five = last((1, 2, 3, 4, 5))
    assert (torch.cat([last((1, 2)), last((3, 4, 5))]) - five).abs().max() < 1e-10
    assert all((last((k + 1,))[0] - five[k]).abs().max() < 1e-10 for k in range(5))


@pytest.mark.parametrize("edit", [FromPicture(PICTURE), Inpaint(PICTURE, MASK), Interpolate(3), None], ids=str)
def test_a_run_is_equal_twice(tiny_model, edit):
    model, recipe = tiny_model(torch.float32), replace(BASE, sampler=DDPM(), edit=edit)
    recipe = recipe if edit is not None else recipe.continued(2, guidance=4.0)
    assert all(torch.equal(a, b) for a, b in zip(states(model, recipe), states(model, recipe), strict=True))


@pytest.mark.parametrize("make, message", [
    (lambda: replace(BASE, edit=FromPicture(Picture(np.zeros((9, 8), np.uint8)))), "The picture is 8x9 grey, and the model "
                                                                                   "draws 8x8 grey"),
    (lambda: replace(BASE, edit=FromPicture(Picture(np.zeros((8, 8, 3), np.uint8)))), "The picture is 8x8 RGB, "
                                                                                      ".*picture.fitted\\(8, 1\\)"),
    (lambda: BASE.continued(6), "states 0 to 6, and the last of them is finished; got 6. Branch from a state between 0 and "
                                "5"),
    (lambda: BASE.continued(600), "got 600"),
    (lambda: Recipe(model="tiny", steps=5, edit=Morph(PICTURE, OTHER, film=3)).continued(2), "Branch from state 4 on"),
    (lambda: replace(BASE, edit=FromPicture(PICTURE), label="Cow"), "There is no label of tiny 'Cow'"),
    (lambda: Recipe(model="tiny", edit=Invert(PICTURE, source_label="Cow"), steps=3), "There is no label of tiny 'Cow'"),
])
def test_what_does_not_fit_the_model_is_said_before_the_first_frame(tiny_model, make, message):
    with pytest.raises(OptionError, match=message):
        stream(tiny_model(), make())


def test_too_many_jumps(tiny_model):
    recipe = replace(BASE, steps=1000, edit=Inpaint(PICTURE, MASK, jump_length=1, jumps=20))
    from diffusion_studio.diffusion.schedule import Linear
    with pytest.raises(OptionError, match="about 38,963 states; the most is 10,000"):
        stream(tiny_model(schedule=Linear(timesteps=1000)), recipe)


def test_an_eps_network_at_pure_noise(tiny_model):
    from diffusion_studio.diffusion.schedule import Linear
    model = tiny_model(schedule=Linear(timesteps=100, zero_snr=True))
    for edit in (FromPicture(PICTURE, 1.0), Invert(PICTURE), Inpaint(PICTURE, MASK)):
        with pytest.raises(OptionError, match="tiny predicts eps.*alpha = 0"):
            stream(model, Recipe(model="tiny", edit=edit, steps=5))
    for edit in (FromPicture(PICTURE, 0.5), Invert(PICTURE, 0.5), Inpaint(PICTURE, MASK, 0.5)):
        assert all(torch.isfinite(x).all() for x in states(model, Recipe(model="tiny", edit=edit, steps=5)))


@pytest.mark.parametrize("sampler", [name for name, cls in SAMPLERS.items() if not journey.draws_noise(
    cls(), [NoiseLevel(1, 0.1, 0.9), NoiseLevel(0, 0.9, 0.1), CLEAN])])
def test_a_v_network_stops_below_pure_noise(tiny_model, sampler):
    from diffusion_studio.diffusion.schedule import Linear
    model = tiny_model(schedule=Linear(timesteps=100, zero_snr=True), parametrization="v")
    x = states(model, Recipe(model="tiny", steps=7, sampler=SAMPLERS[sampler](), edit=Invert(PICTURE)))
    assert len(x) == 12
    assert all(torch.isfinite(one).all() for one in x)


def test_a_branch_is_a_recipe_and_a_state():
    assert BASE.continued(3).branch == Branch(BASE, 3)
