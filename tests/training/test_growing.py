"""Networks for larger pictures that start from the weights of smaller ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.training.run import RunFolder
from diffusion_studio.training.trainer import Trainer


@pytest.fixture
def small(config, finish, tmp_path):
    """The file of a trained network of 8x8 pictures, patches of 1."""
    finish(config(), tmp_path / "small")
    return str(tmp_path / "small/model.safetensors")


@pytest.fixture
def grown(config, small, tmp_path):
    """Factory: the network that a run begins with."""

    def make(**changes):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return Trainer(
            config(**{"size": 16, "grow_from": small, **changes}), RunFolder(folder), torch.device("cpu")
        ).network

    return make


def test_larger_patches_read_and_make_squares_of_pixels(small, grown):
    """On a picture of squares the grown network says what the small one does, enlarged."""
    kept = ds.load(small, device="cpu", precision="fp32").network.eval().double()
    network = grown(patch=2).eval().double()
    x, t, label = (
        torch.randn(3, 1, 8, 8, dtype=torch.float64),
        torch.tensor([1, 7, 19]),
        torch.tensor([0, 2, 3]),
    )
    with torch.no_grad():
        made, wanted = (
            network(F.interpolate(x, scale_factor=2), t, label),
            F.interpolate(kept(x, t, label), scale_factor=2),
        )
        noisy = F.interpolate(x, scale_factor=2) + torch.randn(3, 1, 16, 16, dtype=torch.float64)
        apart = network(noisy, t, label) - network(
            F.interpolate(F.avg_pool2d(noisy, 2), scale_factor=2), t, label
        )
    assert (
        wanted.std() > 0.01 and (made - wanted).abs().max() < 1e-6 * wanted.std()
    )  # means of fp32 weights are rounded
    assert apart.abs().max() > 0.01  # or what a square's pixels differ by could not be learnt


def test_more_levels_take_the_old_ones_inside(small, grown):
    kept = ds.load(small, device="cpu", precision="fp32").network.state_dict()
    mine = grown(multipliers="1,1,2").state_dict()
    fresh = [name for name in mine if name not in kept and not name.startswith(("down.1", "down.2"))]
    assert all(name.startswith(("up.1.resample", "up.2.", "down.0.resample")) for name in fresh), fresh
    for name, weight in kept.items():
        place = {"down.0": "down.1", "down.1": "down.2"}.get(name[:6], name[:6]) + name[6:]
        assert name.startswith(("conv_in", "norm_out", "conv_out")) or torch.equal(mine[place], weight), name


def test_it_begins_once(config, small, finish, tmp_path):
    finish(config(size=16, patch=2, grow_from=small, images=16), tmp_path / "run")
    Path(small).unlink()
    *_, last = finish(config(size=16, patch=2, grow_from=small, images=32), tmp_path / "run", resume=True)
    assert last.seen == 32


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"size": 8}, "2 levels on patches of 1 pixels, and this run's network 2 on 1. Give it more levels"),
        ({"multipliers": "1"}, "Give it more levels, or as many and patches that are a multiple"),
        ({"multipliers": "3,4,5", "channels": 24}, "no level of this run's widths"),
        ({"kind": "classifier"}, "is no U-Net that could grow, or this run has none"),
    ],
)
def test_what_cannot_grow_is_said(grown, changes, message):
    with pytest.raises(OptionError, match=message):
        grown(**{"attention": "", **changes})


def test_one_file_to_begin_with(grown, small):
    with pytest.raises(OptionError, match="A run begins with one file"):
        grown(patch=2, start_from=small)
