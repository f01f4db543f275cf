"""A model's denoiser against its network called by hand, in float64 on a tiny random network; labels,
precision, files.
"""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
import torch

from diffusion_studio.checkpoint import write
from diffusion_studio.diffusion.schedule import (
    FlowMatching,
    JensenShannon,
    Linear,
    VarianceExploding,
    VariancePreserving,
)
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.models.model import Model, load
from diffusion_studio.networks.pyramid import fourier
from diffusion_studio.runs import generate
from diffusion_studio.runs.recipe import Recipe

F64 = torch.float64
LEVEL = Linear(timesteps=100).level(40.5)


def some_x(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)


@pytest.mark.parametrize("parametrization", ["eps", "x0", "v"])
def test_a_denoiser_reads_the_bare_network(tiny_model, parametrization):
    """Against the network called by hand and the definition of what it predicts; nothing clipped."""
    model = tiny_model(parametrization=parametrization)
    x = 3 * some_x()
    p = model.denoiser("Dog")(x, LEVEL)
    with torch.no_grad():
        output = model.network(x, torch.full((2,), 40.5), torch.tensor([1, 1]))
    said = {"eps": p.eps, "x0": p.x0, "v": LEVEL.alpha * p.eps - LEVEL.sigma * p.x0}[parametrization]
    assert (said - output).abs().max() < 1e-12
    assert (LEVEL.alpha * p.x0 + LEVEL.sigma * p.eps - x).abs().max() < 1e-12
    assert parametrization == "x0" or p.x0.abs().max() > 1  # beyond the range of pictures
    assert p.variance is None and p.x0.dtype == F64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_random_waves_of_time_keep_single_precision(tiny_spec, random_unet, tmp_path, dtype):
    """Angles of many turns, which rounded frequencies put off by up to a radian. In memory, and through a
    file.
    """
    spec = tiny_spec(
        network={"time_embedding": "fourier"}, schedule=VarianceExploding(), parametrization="edm"
    )
    network = random_unet(spec.network)
    with torch.no_grad():
        network.frequencies *= 16 / network.frequencies.std()
    t, exact = torch.tensor([-1.5, 0.3, 1.09]), network.frequencies.clone()
    wanted = network._waves(t)
    write(tmp_path / "half.safetensors", spec, network.state_dict(), dtype)
    for model in (
        Model(spec, deepcopy(network), torch.device("cpu"), dtype),
        load(tmp_path / "half.safetensors", "cpu", {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]),
    ):
        assert torch.equal(model.network.frequencies, exact) and model.network.conv_in.weight.dtype == dtype
        assert (model.network._waves(t) - wanted).abs().max() == 0
        x = some_x().to(torch.float32)
        assert model.denoiser("Dog")(x, VarianceExploding().level(0.3)).x0.isfinite().all()
    assert (network._waves(t) - fourier(t, exact.to(dtype), spec.network.time_order)).abs().max() > 0.01


def test_a_label_of_numpy_is_a_label(tiny_model):
    x = some_x()
    assert torch.equal(
        tiny_model().denoiser(np.int64(1))(x, LEVEL).x0, tiny_model().denoiser("Dog")(x, LEVEL).x0
    )


@pytest.mark.parametrize(
    "schedule, t", [(VarianceExploding(), 0.3), (VariancePreserving(), 500.0), (FlowMatching(), 400.0)]
)
@pytest.mark.parametrize("parametrization", ["edm", "flow"])
def test_continuous_processes_and_their_parametrizations(tiny_model, parametrization, schedule, t):
    """Against the papers' formulas around the network called by hand: its input is scaled, its t is the
    schedule's label.
    """
    model = tiny_model(parametrization=parametrization, schedule=schedule, sigma_data=0.6)
    level = schedule.level(t)
    x = math.hypot(level.alpha, level.sigma) * some_x()
    p = model.denoiser("Dog")(x, level)
    spread = math.sqrt(level.alpha**2 * 0.6**2 + level.sigma**2) if parametrization == "edm" else 1.0
    with torch.no_grad():
        output = model.network(x / spread, torch.full((2,), t), torch.tensor([1, 1]))
    wanted = {
        "edm": level.alpha * 0.36 / spread**2 * x + level.sigma * 0.6 / spread * output,
        "flow": (x - level.sigma * output) / (level.alpha + level.sigma),
    }[parametrization]
    torch.testing.assert_close(p.x0, wanted, rtol=1e-10, atol=1e-11)
    assert (level.alpha * p.x0 + level.sigma * p.eps - x).abs().max() < 1e-11


def test_eps_has_nothing_to_say_of_pure_noise_and_others_have(tiny_model):
    model = tiny_model(parametrization="eps", schedule=JensenShannon(timesteps=100))
    with pytest.raises(
        OptionError,
        match="tiny predicts eps, which does not determine the picture at pure noise",
    ):
        generate.plan(model, Recipe(label="Cat", steps=5))
    for parametrization in ("x0", "v", "mean", "edm", "flow"):
        model = tiny_model(parametrization=parametrization, schedule=JensenShannon(timesteps=100))
        *_, last = generate.stream(model, Recipe(label="Cat", steps=5))
        assert last.x.std() > 0


def test_learned_variance_is_the_second_half_of_the_output(tiny_model):
    model = tiny_model(network={"out_channels": 2}, learned_variance=True)
    p = model.denoiser("Cat")(some_x(), LEVEL)
    output = model.network(some_x(), torch.full((2,), 40.5), torch.tensor([0, 0]))
    torch.testing.assert_close(p.eps, output[:, :1], rtol=0, atol=1e-12)
    torch.testing.assert_close(p.variance, (output[:, 1:] + 1) / 2, rtol=0, atol=1e-12)


def test_one_label_for_all_or_one_for_each(tiny_model):
    model = tiny_model()
    x = some_x(3)
    each = model.denoiser(["Cat", "ankle boot", None])(x, LEVEL)
    for k, label in enumerate(["Cat", 2, None]):
        assert (each.eps[k] - model.denoiser(label)(x, LEVEL).eps[k]).abs().max() < 1e-12
        assert (each.eps[k] - model.denoiser("Dog")(x, LEVEL).eps[k]).abs().max() > 1e-4
    with pytest.raises(OptionError, match="2 labels were given for 3 pictures. Give one, or one for each"):
        model.denoiser(["Cat", "Dog"])(x, LEVEL)


def test_labels_that_cannot_be_asked_for(tiny_model):
    model = tiny_model()
    with pytest.raises(OptionError, match="There is no label of tiny 'Car'.*Did you mean 'Cat'"):
        model.denoiser("Car")
    strict = tiny_model(network={"null_class": False})
    with pytest.raises(
        OptionError,
        match="tiny was always trained with a label, so it needs one. Choose one of: Cat, Dog, Ankle boot",
    ):
        strict.denoiser()
    assert strict.denoiser("Cat")(some_x(), LEVEL).x0.shape == (2, 1, 8, 8)
    free = tiny_model(network={"classes": None, "null_class": False})
    with pytest.raises(OptionError, match="tiny takes no label, got 'Cat'"):
        free.denoiser("Cat")
    assert free.denoiser()(some_x(), LEVEL).x0.shape == (2, 1, 8, 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_state_keeps_its_precision_whatever_the_networks(tiny_model, dtype):
    model = tiny_model(dtype)
    x = some_x().float()
    p = model.denoiser("Dog")(x, LEVEL)
    assert p.x0.dtype == p.eps.dtype == torch.float32
    reference = tiny_model(F64).denoiser("Dog")(x.double(), LEVEL)
    assert (p.eps - reference.eps).abs().max() < {
        torch.bfloat16: 0.1,
        torch.float16: 0.02,
        torch.float32: 1e-4,
    }[dtype]


def test_load_takes_a_file_or_its_folder(tiny_checkpoint):
    by_file, by_folder = (
        load(tiny_checkpoint, "cpu", "fp32"),
        load(str(tiny_checkpoint.parent), "cpu", "fp32"),
    )
    assert (
        by_file.spec == by_folder.spec
        and by_file.shape == (1, 8, 8)
        and by_file.schedule == Linear(timesteps=100)
    )
    x = some_x().float()
    assert torch.equal(by_file.denoiser("Cat")(x, LEVEL).x0, by_folder.denoiser("Cat")(x, LEVEL).x0)
    assert load(tiny_checkpoint, "cpu", "fp64").dtype == F64


def test_load_says_what_is_missing(tmp_path, tiny_checkpoint):
    with pytest.raises(CheckpointError, match="There is no weight file in .*model.safetensors"):
        load(tmp_path)
    with pytest.raises(OptionError, match="There is no precision 'int8'"):
        load(tiny_checkpoint, "cpu", "int8")
    with pytest.raises(OptionError, match="There is no device 'gpu'"):
        load(tiny_checkpoint, "gpu")
