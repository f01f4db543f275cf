"""Models that enlarge a picture: what the network is given, in use and in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.cli import main
from diffusion_studio.diffusion.guidance import classifier_free
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.runs import generate

LEVEL = Linear(timesteps=100).level(40.5)
F64 = torch.float64


def enlarger(tiny_model, **changes):
    return tiny_model(network={"in_channels": 2}, channels=1, low_res=4, **changes)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def upsampled(small: np.ndarray) -> np.ndarray:
    """(4, 4) -> (8, 8) bilinearly, pixels being areas: by hand, one row of weights for each place."""
    weights = np.zeros((8, 4))
    for place in range(8):
        at = min(max((place + 0.5) / 2 - 0.5, 0), 3)
        low = min(int(at), 2)
        weights[place, low], weights[place, low + 1] = 1 - (at - low), at - low
    return weights @ small @ weights.T


def test_the_network_is_given_x_and_the_enlarged_picture(tiny_model):
    model = enlarger(tiny_model)
    x, small = drawn(2, 1, 8, 8), drawn(2, 1, 4, 4, seed=1)
    beside = torch.from_numpy(np.stack([upsampled(one[0].numpy())[None] for one in small]))
    with torch.no_grad():
        wanted = model.network(torch.cat([x, beside], 1), torch.full((2,), 40.5), torch.tensor([1, 1]))
    assert (model.denoiser("Dog", low_res=small)(x, LEVEL).eps - wanted).abs().max() < 1e-12
    one = model.denoiser("Dog", low_res=small[:1])(x, LEVEL).eps
    assert (one[0] - wanted[0]).abs().max() < 1e-12 and (one[1] - wanted[1]).abs().max() > 1e-3


def test_guidance_keeps_the_picture_on_both_sides(tiny_model):
    model, x, small = enlarger(tiny_model), drawn(3, 1, 8, 8), drawn(1, 1, 4, 4, seed=1)
    label, nothing = model.denoiser("Dog", low_res=small), model.denoiser(low_res=small)
    guided = classifier_free(label, nothing, 3.0)(x, LEVEL)
    by_hand = nothing(x, LEVEL).eps + 3 * (label(x, LEVEL).eps - nothing(x, LEVEL).eps)
    assert (guided.eps - by_hand).abs().max() < 1e-12


@pytest.mark.parametrize(
    "low_res, message",
    [
        (None, "tiny enlarges a picture of 4x4 and needs one. Give low_res"),
        (torch.zeros(1, 1, 5, 5), r"takes low_res of the shape \(N, 1, 4, 4\), got \(1, 1, 5, 5\)"),
        (torch.zeros(1, 3, 4, 4), r"got \(1, 3, 4, 4\)"),
        (torch.zeros(1, 4, 4), r"got \(1, 4, 4\)"),
    ],
)
def test_what_does_not_fit(tiny_model, low_res, message):
    with pytest.raises(OptionError, match=message):
        enlarger(tiny_model).denoiser("Dog", low_res=low_res)


def test_a_count_that_does_not_fit_and_a_model_that_takes_none(tiny_model):
    with pytest.raises(OptionError, match="2 pictures to enlarge were given for 3"):
        enlarger(tiny_model).denoiser("Dog", low_res=drawn(2, 1, 4, 4))(drawn(3, 1, 8, 8), LEVEL)
    with pytest.raises(OptionError, match="tiny does not enlarge pictures"):
        tiny_model().denoiser("Dog", low_res=drawn(1, 1, 4, 4))


def test_the_spec_says_it_and_the_network_must_agree(tiny_spec):
    spec = tiny_spec(network={"in_channels": 2}, channels=1, low_res=4)
    assert ds.ModelSpec.from_json(spec.to_json()) == spec
    with pytest.raises(
        OptionError, match="with a 4x4 picture to enlarge, takes 2 and gives 1 channels; this one takes 1"
    ):
        tiny_spec(low_res=4)
    with pytest.raises(OptionError, match="takes 1 and gives 1 channels; this one takes 2"):
        tiny_spec(network={"in_channels": 2}, channels=1)


# --- recipes


def small_picture(size=4, channels=1):
    return Picture(np.random.default_rng(0).integers(0, 256, (size, size, channels), dtype=np.uint8))


def test_a_recipe_carries_the_picture(tiny_model):
    """Through JSON and the command's files, and to the network on both sides of guidance."""
    recipe = ds.Recipe(model="tiny", label="Dog", steps=3, guidance=2.0, clip=False, low_res=small_picture())
    assert (
        ds.Recipe.from_json(recipe.to_json())
        == recipe
        != ds.Recipe(model="tiny", label="Dog", steps=3, guidance=2.0, clip=False)
    )
    ((name, content),) = recipe.files().items()
    assert f"--low-res {name}" in recipe.to_command() and content == recipe.low_res.png()
    model = enlarger(tiny_model)
    small = from_uint8(recipe.low_res.pixels[None].copy()).double()
    made = generate.plan(model, recipe)
    x = drawn(1, 1, 8, 8)
    wanted = classifier_free(model.denoiser("Dog", low_res=small), model.denoiser(low_res=small), 2.0)(
        x, LEVEL
    )
    assert (made.denoise(x, LEVEL).x0 - wanted.x0).abs().max() < 1e-6
    frames = list(generate.stream(model, recipe))
    assert len(frames) == 4 and frames[-1].x.shape == (1, 8, 8, 1)


def test_a_picture_of_another_size_or_colour_is_brought_to_the_models(tiny_model):
    model, large = enlarger(tiny_model), small_picture(9, 3)
    x = drawn(1, 1, 8, 8)
    wanted = generate.plan(model, ds.Recipe(label="Dog", low_res=large.fitted(4, 1))).denoise(x, LEVEL).x0
    assert torch.equal(
        generate.plan(model, ds.Recipe(label="Dog", low_res=large)).denoise(x, LEVEL).x0, wanted
    )


@pytest.mark.parametrize(
    "low_res, message",
    [
        (7, "low_res must be a Picture, got 7"),
        ("x", "a PNG file in base64"),
        (Picture(np.zeros((2000, 4), np.uint8)), "carries up to 1024 pixels a side"),
    ],
)
def test_what_is_no_picture_to_enlarge(low_res, message):
    with pytest.raises(OptionError, match=message):
        ds.Recipe(low_res=low_res)


def test_a_run_without_the_picture_or_with_one_too_many(tiny_model):
    with pytest.raises(OptionError, match="needs one. Give low_res"):
        generate.plan(enlarger(tiny_model), ds.Recipe(label="Dog"))
    with pytest.raises(OptionError, match="tiny does not enlarge pictures"):
        generate.plan(tiny_model(), ds.Recipe(label="Dog", low_res=small_picture()))


def test_the_command_line_takes_a_file(tiny_model, tmp_path, capsys):
    model = enlarger(tiny_model, dtype=torch.float32)
    checkpoint.write(tmp_path / "big.safetensors", model.spec, model.network.state_dict(), torch.float32)
    (tmp_path / "in.png").write_bytes(small_picture(9, 3).png())
    words = [
        "generate",
        "--model",
        str(tmp_path / "big.safetensors"),
        "--label",
        "Dog",
        "--steps",
        "2",
        "--low-res",
        str(tmp_path / "in.png"),
        "--out",
        str(tmp_path / "out.png"),
        "--checkpoints",
        str(tmp_path),
    ]
    assert main(words) == 0 and "in.png is 9x9 RGB, scaled and cropped to 4x4 grey" in capsys.readouterr().err
    assert ds.Recipe.from_file(tmp_path / "out.png").low_res == small_picture(9, 3).fitted(4, 1)
    assert main([*words[:7], "--out", str(tmp_path / "b.png"), "--checkpoints", str(tmp_path)]) == 2
    assert "enlarges a picture of 4x4 and needs one" in capsys.readouterr().err


# --- training


def test_the_condition_is_the_picture_averaged_down_and_enlarged():
    from diffusion_studio.training.lowres import LowRes

    x0 = drawn(3, 1, 8, 8).float().clamp(-1, 1)
    made = LowRes(ds.TrainConfig(size=8, low_res=4, attention=""))(x0, 0)
    for k in range(3):
        small = x0[k, 0].numpy().reshape(4, 2, 4, 2).mean((1, 3))
        assert np.abs(made[k, 0].numpy() - upsampled(small)).max() < 1e-6


def test_the_small_picture_knows_no_margin_beyond_black():
    """What is drawn from is a picture's bytes, and those have none."""
    from diffusion_studio.training.lowres import LowRes

    x0 = drawn(3, 1, 8, 8).float().clamp(-1, 1)
    made = LowRes(ds.TrainConfig(size=8, low_res=4, attention="", black_margin=0.2))
    assert torch.equal(made(torch.where(x0 == -1, -1.2, x0), 0), made(x0, 0)) and (x0 == -1).any()


def test_blur_is_a_gaussian_of_its_width():
    from diffusion_studio.training.lowres import blurred

    point = torch.zeros(1, 2, 41, 41, dtype=F64)
    point[:, :, 20, 20] = 1
    spread = blurred(point, 2.0)[0, 1]
    away = torch.arange(41, dtype=F64) - 20
    assert spread.sum() == pytest.approx(1) and (spread.sum(0) * away**2).sum() == pytest.approx(4, rel=0.03)
    assert torch.equal(blurred(point, 0.0), point) and blurred(torch.ones(1, 1, 5, 5), 3.0).std() < 1e-6


def test_disturbance_is_each_pictures_own_whatever_the_batch():
    from diffusion_studio.training.lowres import LowRes

    config = ds.TrainConfig(size=8, low_res=4, low_res_noise=0.5, low_res_blur=1.0, attention="")
    x0 = torch.zeros(64, 1, 8, 8)
    whole, part = LowRes(config)(x0, 100), LowRes(config)(x0[:20], 130)
    assert torch.equal(whole[30:50], part)
    spread = whole.flatten(1).std(1)
    assert spread.min() < 0.05 and 0.2 < spread.max() < 0.6  # strengths from nothing to the most


@pytest.mark.slow
def test_training_makes_a_model_that_enlarges(tmp_path):
    """The trained network sees the picture: it predicts better beside the right one than beside another."""
    rng = np.random.default_rng(0)
    tones = rng.integers(0, 256, (64, 1, 1, 1)) * np.ones((1, 8, 8, 1))
    np.savez(tmp_path / "tones.npz", images=tones.astype(np.uint8))
    config = ds.TrainConfig(
        data=str(tmp_path / "tones.npz"),
        size=8,
        low_res=2,
        channels=16,
        multipliers="1,1",
        attention="",
        images=6400,
        batch=32,
        warmup=10,
        lr=2e-3,
        ema=0.9,
        parametrization="x0",
        low_res_noise=0.05,
    )
    steps = list(ds.train(config, tmp_path / "run", sample_every=6400))
    model = ds.load(tmp_path / "run", "cpu", "fp32")
    assert model.spec.low_res == 2 and model.spec.network.in_channels == 2 and steps[-1].loss < 0.1
    real = torch.linspace(-1, 1, 5).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    level = model.schedule.level(900)
    x = level.alpha * real + level.sigma * drawn(5, 1, 8, 8).float()
    right = model.denoiser(low_res=real[:, :, :2, :2])(x, level).x0
    wrong = model.denoiser(low_res=real.flip(0)[:, :, :2, :2])(x, level).x0
    assert (right - real).square().mean() < 0.05 < 0.5 < (wrong - real).square().mean()
    assert "enlarges pictures of 2x2" in (tmp_path / "run" / "card.md").read_text()
    assert (tmp_path / "run" / "samples" / "final.png").is_file()
    seen = checkpoint.inspect(tmp_path / "run")
    assert seen.spec.low_res == 2


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"low_res": 32}, "low_res 32 must be below the size of the pictures, 32"),
        ({"low_res": 8, "kind": "classifier"}, "is for denoisers; the kind is classifier"),
        ({"low_res_noise": 0.1}, "are of the picture to enlarge, and there is none"),
    ],
)
def test_settings_of_training_that_do_not_fit(changes, message):
    with pytest.raises(OptionError, match=message):
        ds.TrainConfig(**changes)
