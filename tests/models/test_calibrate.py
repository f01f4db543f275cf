"""Settings that a file does not hold, found with pictures: a trained network in another layout, its
settings forgotten.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint import openai
from diffusion_studio.checkpoint.renames import renames
from diffusion_studio.cli import main
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.schedule import VarianceExploding
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.models.calibrate import _LOG_SNR, _error, rank_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory):
    """The bundled network's weights in OpenAI's layout, legacy qkv order, and a folder of its own pictures
    of bags.
    """
    folder = tmp_path_factory.mktemp("forgotten")
    studio = ds.Studio(ROOT / "checkpoints", "cpu", "fp32")
    model = studio.model("fashion-mnist")
    heads, state, theirs = model.spec.network.heads, model.network.state_dict(), {}
    for one in renames(model.spec.network, openai.place, openai.INSIDE):
        tensor = state[one.ours].float()
        if ".qkv." in one.ours:
            tensor = tensor.view(3, heads, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)
        theirs[one.theirs[0]] = tensor.contiguous()
    save_file(theirs, folder / "mine.safetensors")
    images = studio.run(
        studio.recipe("fashion-mnist", label="Bag", steps=6, seeds=(0, 1), sampler="ddim")
    ).images
    (folder / "pictures").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(folder / "pictures" / f"{k}.png")
    return folder


KNOWN = {"image_size": 32, "norm_groups": 8, "null_class": True, "noise_schedule": "linear"}


def test_the_forgotten_settings_win(forgotten, capsys):
    path = forgotten / "mine.safetensors"
    text = " ".join(f"--{name} {value}" for name, value in KNOWN.items())
    assert (
        main(
            [
                "inspect",
                str(path),
                "--flags",
                text,
                "--pictures",
                str(forgotten / "pictures"),
                "--label",
                "class 8",
                "--json",
            ]
        )
        == 0
    )
    trials = json.loads(capsys.readouterr().out)
    best = trials[0]["flags"]
    assert (best["num_heads"], best["use_new_attention_order"], best["num_head_channels"]) in (
        (2, False, -1),
        (4, False, 16),
    )
    assert best["predict_xstart"] is False and "noise_schedule" not in best  # it was said
    assert [one["error"] for one in trials] == sorted(one["error"] for one in trials) and len(trials) > 10
    wrong = next(one["error"] for one in trials if one["flags"]["use_new_attention_order"])
    assert wrong > trials[0]["error"] + 1e-4  # where nothing differs errors agree to 1e-6
    model = ds.load(path, "cpu", "fp32", flags={**KNOWN, **best})
    bundled = ds.load(ROOT / "checkpoints" / "fashion-mnist", "cpu", "fp32")
    x, level = (
        torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)),
        model.schedule.level(500),
    )
    assert torch.allclose(model.denoiser(8)(x, level).eps, bundled.denoiser(8)(x, level).eps, atol=1e-5)


def test_a_process_is_asked_with_its_own_states(tmp_path, monkeypatch, tiny_model):
    """x0 + sigma eps of a variance-exploding one: its exact denoiser of a Gaussian misses eps by what
    theory says.
    """
    spread, model = (
        0.5,
        tiny_model(
            schedule=VarianceExploding(),
            parametrization="edm",
            network={"classes": None, "null_class": False},
        ),
    )

    asked = []

    def exact(x, level):
        asked.append((x, level))
        return from_x0(spread**2 / (spread**2 + level.sigma**2) * x, x, level.alpha, level.sigma)

    monkeypatch.setattr(model, "denoiser", lambda label=None: exact)
    monkeypatch.setattr("diffusion_studio.models.model.load_without_warning", lambda *asked: model)
    draw = torch.Generator().manual_seed(0)
    pictures = spread * torch.randn(8, 1, 64, 64, generator=draw)
    noise = torch.randn(3, 8, 1, 64, 64, generator=draw)
    # sigma^2 = exp(-log-SNR), and of eps the share spread^2 / (spread^2 + sigma^2) stays unknown
    right = sum(spread**2 / (spread**2 + math.exp(-log_snr)) for log_snr in _LOG_SNR) / 3
    assert abs(_error(tmp_path, {}, pictures, noise, None) - right) < 0.01
    for (x, level), eps, log_snr in zip(asked, noise, _LOG_SNR, strict=True):
        assert level.alpha == 1 and math.isclose(level.log_snr, log_snr)
        assert torch.allclose(x, pictures + math.exp(-log_snr / 2) * eps, atol=1e-6)


def test_what_cannot_be_measured_is_said(forgotten):
    pictures = torch.zeros(1, 1, 32, 32)
    with pytest.raises(OptionError, match="nothing to measure"):
        rank_settings(ROOT / "checkpoints" / "fashion-mnist", pictures)
    said = {"num_heads": 2, "predict_xstart": False}
    with pytest.raises(OptionError, match="File and flags determine all settings of mine.safetensors"):
        rank_settings(forgotten / "mine.safetensors", pictures, {**KNOWN, **said})
    from diffusion_studio.models.calibrate import pictures_for

    with pytest.raises(DataError, match="There is no folder"):
        pictures_for(forgotten / "absent", checkpoint.spec_of(ROOT / "checkpoints" / "fashion-mnist"))
