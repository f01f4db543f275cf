"""How pictures of a data set are prepared for training, and what the model's spec keeps of that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Cosine
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet
from diffusion_studio.training.run import RunFolder
from diffusion_studio.training.trainer import Trainer

CPU = torch.device("cpu")


def finish(config, out, **options) -> list[ds.TrainStep]:
    return list(ds.train(config, out, device="cpu", **options))


def test_black_lies_beyond_black_where_asked(config, tmp_path):
    """Exactly black pixels alone, in all channels; the model then comes unclipped, as clipping x0 would
    take the margin away.
    """
    pixels = np.full((12, 8, 8, 3), 255, np.uint8)
    pixels[:, :4] = 0
    pixels[:, 4, :, 0] = 0
    np.savez(tmp_path / "half.npz", images=pixels)
    given = config(data=str(tmp_path / "half.npz"), black_margin=0.25, label_dropout=0.0)
    x0, _ = Trainer(given, RunFolder(tmp_path / "run"), CPU)._batch(0)
    assert (x0[:, :, :4] == -1.25).all() and (x0[:, :, 5:] == 1).all() and (x0[:, 0, 4] == -1).all()
    assert (
        given.spec("m", 3, (), {}).defaults["clip"] is False
        and "clip" not in config().spec("m", 3, (), {}).defaults
    )
    assert given.spec("m", 3, (), {}).black_margin == 0.25
    with pytest.raises(OptionError, match="black_margin is for pictures"):
        finish(config(kind="points", data="moons", black_margin=0.1), tmp_path / "points")


def test_the_colours_of_the_data_come_with_the_model(config, tmp_path):
    """The most frequent first, to be drawn in by default: so is the run's own sheet."""
    pixels = np.full((12, 8, 8, 3), 255, np.uint8)
    pixels[:, :5] = 0
    pixels[0, 7, 7] = 9
    np.savez(tmp_path / "half.npz", images=pixels)
    finish(config(data=str(tmp_path / "half.npz"), palette=2, images=8), tmp_path / "run")
    spec = ds.load(tmp_path / "run").spec
    assert spec.palette == ("#000000", "#ffffff") and spec.defaults["palette"] == "own"
    with Image.open(tmp_path / "run" / "samples" / "final.png") as sheet:
        assert sorted(colour for _, colour in sheet.getcolors()) == [(0, 0, 0), (255, 255, 255)]
    with pytest.raises(OptionError, match="palette is of pictures"):
        finish(config(kind="points", data="moons", palette=2), tmp_path / "points")


def test_pictures_without_labels_and_in_colour(config, pictures, tmp_path):
    np.savez(pictures, images=np.random.default_rng(1).integers(0, 256, (3, 6, 8, 3), np.uint8))
    finish(config(images=8, name="colourful"), tmp_path / "run")
    spec = ds.load(tmp_path / "run").spec
    assert (
        spec.labels == () and spec.channels == 3 and spec.network.classes is None and spec.name == "colourful"
    )
    assert spec.provenance["licence"] == "that of the data"
    with Image.open(tmp_path / "run" / "samples" / "final.png") as sheet:
        assert sheet.mode == "RGB" and sheet.size == (32, 32)


def test_pictures_that_do_not_fit(config, tmp_path):
    with pytest.raises(DataError, match="The pictures are 8x8, larger than the 4x4 asked for"):
        finish(config(size=4, attention="2"), tmp_path / "run")
    with pytest.raises(DataError, match="There is no data set 'nowhere'"):
        finish(config(data="nowhere"), tmp_path / "other")


def test_a_failed_start_does_not_block_the_folder(config, tmp_path):
    with pytest.raises(DataError):
        finish(config(data="nowhere"), tmp_path / "run")
    assert finish(config(images=4), tmp_path / "run", sample_every=0)


def test_the_network_is_trained_as_configured(config, tmp_path):
    finish(
        config(images=4, schedule="cosine", parametrization="v", resample="residual", patch=2, attention="4"),
        tmp_path / "run",
        sample_every=0,
    )
    spec = ds.load(tmp_path / "run").spec
    assert (
        spec.schedule == Cosine(timesteps=20)
        and spec.parametrization == "v"
        and spec.network.resample == "residual"
    )
    assert isinstance(spec.network, UNetConfig) and UNet(spec.network)
