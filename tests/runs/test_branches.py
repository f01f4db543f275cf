"""Films between seeds and pictures, and runs that continue others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_cases import BASE, MASK, OTHER, PICTURE, frames, states

from diffusion_studio.diffusion.interpolation import interpolated_denoiser, interpolation_weights
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.samplers import DDIM, DDPM, DPMPP2M, DPMPP2S, Euler, EulerAncestral, Heun
from diffusion_studio.diffusion.schedule import CLEAN, NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.runs import segments
from diffusion_studio.runs.edits import FromPicture, Inpaint, Interpolate, Invert, Morph, Travel
from diffusion_studio.runs.generate import plan, stream
from diffusion_studio.runs.guidance_options import Change
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.trajectory_cache import TrajectoryCache

F64 = torch.float64


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("x", "x0")) and replace(
        one, x=0, x0=0
    ) == replace(other, x=0, x0=0)


# --- films


def test_a_film_goes_from_seed_to_seed(tiny_model):
    """Its ends are the seeds' own runs; in between, noise of the same spread."""
    model, recipe = tiny_model(), replace(BASE, seeds=(3, 9, 4), edit=Interpolate(5))
    film, own = states(model, recipe), states(model, replace(recipe, edit=None))
    for place, seed in ((0, 0), (2, 1), (4, 2)):
        assert (film[-1][place] - own[-1][seed]).abs().max() < 1e-12
    assert film[0].shape == (5, 1, 8, 8) and recipe.pictures == 5
    big = Noise((1, 2), (1, 100, 100), dtype=F64)
    spread = segments.InterpolatedNoise(big, interpolation_weights(2, 9, False))(0).std(dim=(1, 2, 3))
    assert (spread - 1).abs().max() < 0.03


def test_a_looping_film_closes_without_showing_its_beginning_twice():
    ends = Noise((1, 2), (1, 8, 8), dtype=F64)
    film = segments.InterpolatedNoise(ends, interpolation_weights(2, 8, True))(0)
    assert torch.equal(film[0], ends(0)[0]) and torch.equal(film[4], ends(0)[1])
    assert torch.allclose(film[1:4], film[5:].flip(0)) and not torch.allclose(film[1], film[2])


def test_a_stochastic_film_is_continuous_too(tiny_model):
    model, recipe = tiny_model(), replace(BASE, sampler=DDPM(), edit=Interpolate(64))
    last = states(model, recipe)[-1]
    near = (last[1:] - last[:-1]).flatten(1).norm(dim=1).max()
    assert near < 0.2 * (last[0] - last[-1]).norm()


def test_a_film_goes_through_labels(tiny_model):
    """At its stops it is each label's own run; in between it is near both, and any order of pictures is
    the same.
    """
    model, recipe = (
        tiny_model(),
        replace(BASE, label=None, seeds=(3,), guidance=2.0, edit=Travel("Cat | any | Dog", film=9)),
    )
    film = states(model, recipe)
    own = [states(model, replace(recipe, edit=None, label=label))[-1][0] for label in ("Cat", None, "Dog")]
    for place, one in zip((0, 4, 8), own):
        assert (film[-1][place] - one).abs().max() < 1e-12
    assert all(torch.equal(film[0][0], x) for x in film[0]) and recipe.pictures == 9
    way = [(film[-1][k + 1] - film[-1][k]).norm() for k in range(8)]
    assert max(way) < 0.6 * (own[0] - own[1]).norm() + 0.6 * (own[1] - own[2]).norm() and min(way) > 0
    whole = states(model, replace(recipe, edit=Travel("Cat | any | Dog", film=5)))
    assert (whole[-1] - film[-1][::2]).abs().max() < 1e-12


def test_a_film_through_labels_loops_and_draws_one_fresh_noise(tiny_model):
    model = tiny_model()
    recipe = replace(
        BASE, label=None, seeds=(3,), sampler=DDPM(), edit=Travel("Cat | Dog", film=4, loop=True)
    )
    last = states(model, recipe)[-1]
    assert torch.equal(last[1], last[3]) and not torch.equal(last[0], last[2])
    assert (last[2] - states(model, replace(recipe, edit=None, label="Dog"))[-1][0]).abs().max() < 1e-12


def test_mixed_predictions_still_read_one_x():
    level, x = NoiseLevel(3, 0.6, 0.8), torch.randn(4, 1, 5, 5, dtype=F64)
    stops = [
        lambda x, level, k=k: from_x0(torch.full_like(x, k), x, level.alpha, level.sigma) for k in range(3)
    ]
    p = interpolated_denoiser(stops, interpolation_weights(3, 4, False))(x, level)
    assert (level.alpha * p.x0 + level.sigma * p.eps - x).abs().max() < 1e-12 and p.variance is None
    assert torch.allclose(p.x0[:, 0, 0, 0], torch.tensor([0, 2 / 3, 4 / 3, 2], dtype=F64))


def test_an_unknown_stop_is_named(tiny_model):
    with pytest.raises(OptionError, match="no label of tiny 'Cow'"):
        frames(tiny_model(), replace(BASE, label=None, seeds=(3,), edit=Travel("Cat | Cow")))


def test_a_film_between_pictures_ends_in_their_own_inversions(tiny_model):
    model, recipe = tiny_model(), Recipe(model="tiny", steps=6, edit=Morph(PICTURE, OTHER, film=4))
    film = frames(model, recipe)
    assert (
        film[0].x.shape == (4, 8, 8, 1)
        and [frame.part for frame in film] == [segments.INTO_NOISE] * 5 + [""] * 7
    )
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
    assert len(after) == 7 and all(np.array_equal(a.x, b.x) for a, b in zip(before[: at + 1], after))
    assert [frame.part for frame in after] == [segments.BEFORE] * at + [""] * (7 - at)
    one, other = states(model, parent), states(model, branch)
    assert all(torch.equal(a, b) for a, b in zip(one[: at + 1], other)) and not torch.equal(
        one[at + 1], other[at + 1]
    )


@pytest.mark.parametrize(
    "sampler", [DDIM(), DDPM(), Euler(churn=3), Heun(), EulerAncestral(), DPMPP2S()], ids=str
)
def test_a_branch_that_changes_nothing_ends_as_its_parent(tiny_model, sampler):
    """Fresh noise too is that of the place in the whole run. Methods of several steps begin anew, and
    differ.
    """
    model, parent = tiny_model(), replace(BASE, sampler=sampler)
    for at in (2, 5):
        assert torch.equal(states(model, parent)[-1], states(model, parent.continued(at))[-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": Euler(churn=3)},
        {"sampler": Heun(churn=3)},
        {"guidance_shape": "linear"},
        {"guidance_scales": "8,1"},
        {"change": Change(7, label="Dog")},
        {"edit": FromPicture(PICTURE, strength=0.5), "guidance_scales": "8,1"},
        {"edit": FromPicture(PICTURE, strength=0.5), "change": Change(7, label="Dog")},
        {"edit": Inpaint(PICTURE, MASK, strength=0.5), "guidance_shape": "linear"},
        {"edit": Inpaint(PICTURE, MASK, jump_length=3, jumps=2), "sampler": DDPM()},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_counts_over_the_run_counts_on_in_a_branch(tiny_model, changes):
    """Churn over all steps, guidance by the steps that are made, jumps by the stretches that are left."""
    model, parent = tiny_model(), replace(BASE, **{"steps": 20, **changes})
    whole = states(model, parent)
    for at in (1, len(whole) - 3):
        assert torch.equal(whole[-1], states(model, parent.continued(at))[-1])


def test_kept_states_give_the_same_frames_as_a_replay(tiny_model):
    model, kept = tiny_model(torch.float32), TrajectoryCache()
    parent = replace(BASE, sampler=DDPM())
    for branch in (
        parent.continued(3, label="Dog"),
        parent.continued(0, guidance=2.0),
        parent.continued(2, label="Dog").continued(4, steps=20),
    ):
        parents = frames(model, branch.branch.recipe, kept)
        replayed, quick = frames(model, branch), frames(model, branch, kept)
        assert len(parents) == 7 and all(same(a, b) for a, b in zip(replayed, quick, strict=True))


def test_a_branch_is_shown_as_it_says_all_along(tiny_model):
    """Stretched or not, whether its parent's states were kept or are made again."""
    model, kept = tiny_model(), TrajectoryCache()
    parent = replace(BASE, steps=6, clip=False)
    frames(model, parent, kept)
    branch = parent.continued(3, stretch=True)
    found, replayed = frames(model, branch, kept), frames(model, branch)
    assert all(same(one, other) for one, other in zip(found, replayed, strict=True))
    assert all(frame.x[0].min() == 0 and frame.x[0].max() == 255 for frame in found)


def test_kept_states_spare_the_network_calls(tiny_model):
    model, kept = tiny_model(torch.float32), TrajectoryCache()
    asked = []
    model.network.register_forward_hook(lambda *_: asked.append(1))
    frames(model, BASE, kept)
    asked.clear()
    frames(model, BASE.continued(4, label="Dog"), kept)
    assert len(asked) == 2
    assert kept.before(BASE, tiny_model(), 3) is None and kept.before(BASE, model, 7) is None
    assert TrajectoryCache(max_bytes=1000).before(BASE, model, 0) is None


def test_a_stopped_run_can_be_continued_from_what_it_kept(tiny_model):
    model, kept = tiny_model(torch.float32), TrajectoryCache()
    run = stream(model, BASE, states=kept)
    for _ in range(3):
        next(run)
    run.close()
    assert len(kept.before(BASE, model, 2)) == 3
    for at in (2, 4):
        assert all(
            same(a, b)
            for a, b in zip(
                frames(model, BASE.continued(at, label="Dog"), kept),
                frames(model, BASE.continued(at, label="Dog")),
                strict=True,
            )
        )


def test_states_are_bounded():
    frame = frames.__globals__["stream"]  # any object stands for a model: only its identity counts
    kept, x = TrajectoryCache(max_bytes=20_000), torch.zeros(1, 1, 8, 8)
    for label in "abcdef":
        recipe = Recipe(label=label)
        run = kept.open(recipe, frame)
        for k in range(11):
            kept.keep(
                run,
                segments.Frame(
                    k, 10, CLEAN, np.zeros((1, 8, 8, 1), np.uint8), np.zeros((1, 8, 8, 1), np.uint8)
                ),
                x,
            )
    assert kept.before(recipe, frame, 10) is not None and kept.before(Recipe(label="a"), frame, 0) is None
    assert sum(run.nbytes for run in kept._runs.values()) <= 20_000


def test_one_beginning_and_several_endings(tiny_model):
    model, parent = tiny_model(), replace(BASE, seeds=(7,), sampler=DDPM())
    many, kept = parent.continued(3, seeds=(1, 2, 3)), TrajectoryCache()
    frames(model, parent, kept)
    shown = frames(model, many)
    assert {frame.x.shape for frame in shown} == {(3, 8, 8, 1)} and many.pictures == 3
    assert np.array_equal(shown[3].x[0], shown[3].x[2]) and not np.array_equal(shown[-1].x[0], shown[-1].x[2])
    assert all(same(a, b) for a, b in zip(shown, frames(model, many, kept), strict=True))


def test_a_branch_walks_its_own_path_below(tiny_model):
    model = tiny_model()
    shown = frames(model, BASE.continued(3, steps=20))
    own = [
        level
        for level in plan(model, replace(BASE, steps=20)).levels
        if level.log_snr > shown[3].level.log_snr
    ]
    assert [frame.level for frame in shown[4:]] == own and shown[-1].total == len(shown) - 1


def test_a_branch_of_an_inversion_begins_on_either_way(tiny_model):
    model, parent = tiny_model(), Recipe(model="tiny", steps=6, edit=Invert(PICTURE))
    whole = frames(model, parent)
    for at in (2, 5, 8):
        shown = frames(model, parent.continued(at, label="Dog"))
        assert all(np.array_equal(a.x, b.x) for a, b in zip(whole[: at + 1], shown))
        assert [frame.part for frame in shown[:at]] == ([segments.INTO_NOISE] * 5 + [segments.BEFORE] * 3)[
            :at
        ]


def test_a_branch_has_as_many_points_as_its_parent():
    parent = Recipe(model="points", points=50)
    with pytest.raises(
        OptionError,
        match="has clouds of 50 points, and its continuation asks for 100. Leave the points as they are",
    ):
        parent.continued(2, points=100)


def test_a_mask_from_a_branch_on(tiny_model):
    shown = frames(tiny_model(), BASE.continued(3, edit=Inpaint(PICTURE, MASK)))
    kept = np.broadcast_to(MASK.pixels == 0, shown[-1].x.shape)
    assert np.array_equal(shown[-1].x[kept], np.broadcast_to(PICTURE.pixels, kept.shape)[kept])
    assert np.array_equal(shown[3].x, frames(tiny_model(), BASE)[3].x)
