"""Reused deep features: which calls compute the whole network, and that a run depends on its recipe alone."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.compare.grid import grid
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.run import Run
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.networks.reuse import DeepFeatures, forecast
from diffusion_studio.runs.applicability import unusable
from diffusion_studio.runs.edits import FromPicture, Inpaint, Interpolate, Invert
from diffusion_studio.runs.generate import stream
from diffusion_studio.runs.trajectory_cache import TrajectoryCache

ROOMY = 1 << 24


@contextmanager
def watching(network):
    """Lists the network's calls while it is entered: True for one that computed the middle."""
    calls = []
    hooks = [
        network.register_forward_pre_hook(lambda *_: calls.append(False)),
        network.middle[0].register_forward_hook(lambda *_: calls.__setitem__(-1, True)),
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def frames(model, recipe, states=None):
    return list(stream(model, recipe, states=states))


def same(one, other):
    return all(
        np.array_equal(a.x, b.x) and np.array_equal(a.x0, b.x0) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"multipliers": (1,)},
        {"multipliers": (1, 2, 2), "blocks": 2, "resample": "residual", "attention_levels": (0, 1)},
        {"input_path": "residual", "output_path": "skip", "resample": "residual", "skip_scale": 0.5**0.5},
    ],
    ids=["small", "one level", "residual", "pyramid"],
)
def test_features_of_the_same_state_give_the_same_output(random_unet, network):
    config = UNetConfig(
        in_channels=2, out_channels=2, channels=8, norm_groups=4, **{"multipliers": (1, 2), **network}
    )
    unet, deep = random_unet(config).double(), DeepFeatures()
    x, t = torch.randn(3, 2, 16, 16, dtype=torch.float64), torch.full((3,), 40.0)
    whole = unet(x, t)
    assert torch.equal(unet(x, t, deep=deep), whole) and deep.h is not None
    with watching(unet) as calls:
        torch.testing.assert_close(unet(x, t, deep=deep), whole, rtol=0, atol=1e-12)
        other = unet(x + 1, t, deep=deep)
        assert calls == [False, False]
    assert not torch.allclose(other, whole) and not torch.allclose(other, unet(x + 1, t))


def test_the_forecast_is_the_polynomial_through_what_is_known():
    n = torch.arange(8.0)
    curves = {1: torch.full_like(n, 3.0), 2: 3 - 2 * n, 3: 3 - 2 * n + 0.5 * n**2}
    for points, curve in curves.items():
        known = [(3 * k, DeepFeatures(curve[3 * k : 3 * k + 1])) for k in range(points)]
        for number in range(3 * points - 2, min(3 * points, 8)):
            made = forecast(known, number)
            torch.testing.assert_close(made.h, curve[number : number + 1])
            assert made.picture is None


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize(
    "every, whole", [(1, [0, 1, 2, 3, 4, 5, 6]), (2, [0, 1, 2, 4, 6]), (3, [0, 1, 2, 3, 6])]
)
def test_every_so_many_calls_are_whole(tiny_model, every, whole, guidance):
    model = tiny_model()
    recipe = ds.Recipe("tiny", "Dog", (1, 2), steps=7, reuse=every, guidance=guidance)
    with watching(model.network) as calls:
        made = frames(model, recipe)
    assert [k for k, one in enumerate(calls) if one] == whole and len(calls) == 7
    assert [frame.calls for frame in made] == [1, 2, 3, 4, 5, 6, 7, 7]  # a reused one is a call, too
    assert same(made, frames(model, recipe))
    assert same(made, frames(model, ds.Recipe("tiny", "Dog", (1, 2), steps=7, guidance=guidance))) == (
        every == 1
    )


def test_a_picture_is_the_same_alone_and_among_others(tiny_model):
    model, labels = tiny_model(), ("Dog", None, "Cat")
    recipe = ds.Recipe("tiny", labels=labels, seeds=(5, 6, 7), steps=6, reuse=3, guidance=3.0)
    together = frames(model, recipe)
    for k, label in enumerate(labels):
        alone = frames(model, ds.Recipe("tiny", label, (5 + k,), steps=6, reuse=3, guidance=3.0))
        for one, all_ in zip(alone, together):
            assert np.abs(one.x[0].astype(int) - all_.x[k]).max() <= 1


def test_two_calls_a_step_and_a_change_on_the_way(tiny_model):
    model = tiny_model()
    with watching(model.network) as calls:
        frames(model, ds.Recipe("tiny", "Dog", steps=3, reuse=2, sampler="heun"))
    assert calls == [True, True, True, False, True]
    with watching(model.network) as calls:
        frames(model, ds.Recipe("tiny", "Dog", steps=6, reuse=2, change={"step": 2, "label": "Cat"}))
    assert calls == [True, True, True, True, True, False]  # another label begins anew


@pytest.mark.parametrize("at", [0, 3, 4])
def test_a_branch_does_not_depend_on_what_is_kept(tiny_model, at):
    model, recipe = tiny_model(), ds.Recipe("tiny", "Dog", (1,), steps=9, reuse=2)
    branch, states = recipe.continued(at, label="Cat"), TrajectoryCache(ROOMY)
    frames(model, recipe, states)
    assert same(frames(model, branch, states), frames(model, branch))


def test_edits(tiny_model):
    model = tiny_model()
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    picture, mask = Picture(pixels), Picture((pixels % 2) * 255)
    plain, eight = {"steps": 8, "reuse": 2}, [True, True, True, False, True, False, True, False]
    for edit, whole in (
        (FromPicture(picture, strength=0.5), eight[:4]),
        (Interpolate(film=3), eight),
        (Inpaint(picture, mask), eight),
        (Invert(picture, strength=0.5), [True] * 3 + eight[:4]),  # into noise whole, then back
    ):
        seeds = (1, 2) if isinstance(edit, Interpolate) else (1,)
        recipe = ds.Recipe("tiny", "Dog", seeds, edit=edit, **plain)
        with watching(model.network) as calls:
            made = frames(model, recipe)
        assert calls == whole, type(edit).__name__
        assert same(made, frames(model, recipe))


def test_inside_sees_what_the_sampler_was_told(tiny_model):
    model, recipe = tiny_model(), ds.Recipe("tiny", "Dog", (1, 2), steps=5, reuse=2, guidance=2.0)
    made, run = frames(model, recipe), Run(model, recipe)
    for k in (3, 1, 2):  # in any order
        x0 = run.prediction(k).x0
        assert np.array_equal(ds.imaging.arrays.to_uint8(x0), made[k].x0)
    state = run.state(3)
    assert state.x.shape == (2, 1, 8, 8)  # by a replay
    with watching(model.network) as calls:
        state.ask_network()
        state.ask_network()
    assert calls == [True, True]  # what is seen inside is always all of the network
    assert any("reuses deep features" in line for line in state.notes)


def test_cells_of_a_grid_are_the_single_runs(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    studio = ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")
    made = grid(studio.recipe("tiny", label="Dog", seeds=(3,), steps=6), ("reuse", [1, 2, 3]), studio=studio)
    for cell in made.cells:
        alone = studio.run(cell.recipe)
        for mine, other in zip(cell.frames, alone.frames):
            assert np.abs(mine.x.astype(int) - other.x).max() <= 1


def test_only_a_unet_of_that_kind_reuses(tiny_model):
    spec = ModelSpec("p", MLPConfig(width=8, layers=1))
    assert "no U-Net of the kind of DDPM and ADM" in unusable(spec)["reuse"]
    assert "reuse" not in unusable(tiny_model().spec)
    points = ds.Model(spec, torch.nn.Identity(), torch.device("cpu"), torch.float32)
    with pytest.raises(OptionError, match="could be reused. Set it to 1") as error:
        stream(points, ds.Recipe("p", reuse=2))
    assert error.value.field == "reuse"
    for wrong in (0, 6, 1.5, True):
        with pytest.raises(OptionError) as error:
            ds.Recipe("p", reuse=wrong)
        assert error.value.field == "reuse"
