"""The network for points, and the model that it makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.spec import POINTS, ModelSpec
from diffusion_studio.diffusion.samplers import SAMPLERS
from diffusion_studio.diffusion.schedule import Cosine, VarianceExploding
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.models.model import Model
from diffusion_studio.networks.mlp import MLP
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.runs import generate
from diffusion_studio.runs.recipe import Recipe

F64 = torch.float64


def spec(network: dict | None = None, **changes) -> ModelSpec:
    config = MLPConfig(
        **{"width": 16, "layers": 2, "time_channels": 8, "classes": 3, "null_class": True, **(network or {})}
    )
    return ModelSpec(
        **{
            "name": "dots",
            "network": config,
            "schedule": Cosine(100),
            "parametrization": "v",
            "labels": ("ring", "moon", "heart")[: config.classes or 0],
            **changes,
        }
    )


def random_mlp(config: MLPConfig) -> MLP:
    torch.manual_seed(0)
    network = MLP(config).eval().requires_grad_(False)
    for parameter in network.parameters():  # the last layer starts at zero
        parameter += 0.1 * torch.randn(parameter.shape)
    return network


def model(dtype=F64, **changes) -> Model:
    given = spec(**changes)
    return Model(given, random_mlp(given.network), torch.device("cpu"), dtype)


def test_points_alone_and_in_a_cloud_are_answered_alike():
    network = random_mlp(spec().network).double()
    x, t, label = torch.randn(3, 5, 2, dtype=F64), torch.tensor([0, 40, 99]), torch.tensor([0, 2, 3])
    cloud = network(x, t, label)
    alone = network(x.reshape(15, 2), t.repeat_interleave(5), label.repeat_interleave(5)).view(3, 5, 2)
    assert cloud.shape == (3, 5, 2) and (cloud - alone).abs().max() < 1e-12
    assert (network(x, t + 1, label) - cloud).abs().max() > 1e-3 and (network(x, t, label.flip(0)) - cloud)[
        0
    ].abs().max() > 1e-3


def test_the_waves_are_sines_of_every_octave():
    network = MLP(MLPConfig(frequencies=3))
    x = torch.tensor([[0.3, -1.7]])
    angles = [one * k * np.pi / 4 for one in (0.3, -1.7) for k in (1, 2, 4)]
    expected = [0.3, -1.7, *np.sin(angles), *np.cos(angles)]
    np.testing.assert_allclose(network._waves(x)[0].numpy(), expected, atol=1e-6)
    assert MLP(MLPConfig(frequencies=0))._waves(x).shape == (1, 2)


def test_a_new_network_says_nothing():
    assert MLP(MLPConfig())(torch.randn(4, 2), torch.arange(4)).abs().max() == 0


@pytest.mark.parametrize(
    "x, label, message",
    [
        (torch.zeros(3), None, r"takes points \(N, ..., 2\), got \(3,\)"),
        (torch.zeros(2, 3), None, "takes points"),
        (torch.zeros(2, 2), None, "needs class label"),
    ],
)
def test_what_the_network_does_not_take(x, label, message):
    with pytest.raises(OptionError, match=message):
        random_mlp(spec().network)(x, torch.zeros(len(x)), label)


def test_the_spec_of_points_goes_through_json_and_a_file(tmp_path):
    given = spec(network={"out_channels": 4}, learned_variance=True)
    assert given.makes == POINTS and given.shape == (2,) and given.form == "2-D points"
    assert ModelSpec.from_json(given.to_json()) == given
    assert not {"image_size", "channels"} & json.loads(given.to_json()).keys()
    network = random_mlp(given.network)
    checkpoint.write(tmp_path / "dots.safetensors", given, network.state_dict(), torch.float16)
    kept = checkpoint.read(tmp_path / "dots.safetensors")
    assert kept.spec == given
    for name, tensor in network.state_dict().items():
        assert torch.equal(kept.network.state_dict()[name], tensor.half())
    state = network.state_dict()
    checkpoint.write(
        tmp_path / "cut.safetensors",
        given,
        {k: v for k, v in state.items() if k != "last.bias"},
        torch.float16,
    )
    with pytest.raises(CheckpointError, match="missing last.bias"):
        checkpoint.read(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image_size": 8}, "Points have no image_size, no channels"),
        ({"channels": 1}, "Points have no image_size"),
        (
            {"learned_variance": True},
            "A network for points takes 2 and gives 4 channels; this one takes 2 and gives 2",
        ),
        ({"labels": ("a",)}, "3 classes and 1 label names"),
    ],
)
def test_specs_that_do_not_fit_together(changes, message):
    with pytest.raises(OptionError, match=message):
        spec(**changes)


def test_configurations_that_cannot_be():
    for given, message in (
        ({"out_channels": 3}, "must be 2, or 4 for a network that learns the variance"),
        ({"null_class": True}, "null_class needs classes"),
        ({"width": 4}, "network.width must be"),
    ):
        with pytest.raises(OptionError, match=message):
            MLPConfig(**given)


def test_half_precision_is_not_for_coordinates():
    assert (
        model(torch.bfloat16).dtype == model(torch.float16).dtype == torch.float32 and model(F64).dtype == F64
    )


def test_one_seed_is_one_cloud_whatever_lies_beside_it():
    """Cloud k is the same alone, in a batch, and as the beginning of a larger cloud."""
    recipe = Recipe(model="dots", label="moon", seeds=(4, 9), steps=4, points=30, guidance=2.0)
    both = list(generate.stream(model(), recipe))
    assert (
        [one.x.shape for one in both] == [(2, 30, 2)] * 5
        and both[0].x.dtype == np.float16
        and both[0].of_points
    )
    alone = list(
        generate.stream(
            model(), Recipe(model="dots", label="moon", seeds=(9,), steps=4, points=30, guidance=2.0)
        )
    )
    more = list(
        generate.stream(
            model(), Recipe(model="dots", label="moon", seeds=(4,), steps=4, points=50, guidance=2.0)
        )
    )
    for k in range(5):
        np.testing.assert_allclose(both[k].x[1:], alone[k].x, atol=2e-3)
        np.testing.assert_allclose(both[k].x[:1], more[k].x[:, :30], atol=2e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_runs_on_clouds_as_on_single_points(name):
    """x (clouds, points, 2) against the same points as a batch of pictures of one point each, with the same
    noise.

    The adaptive one chooses its steps by the error of a whole cloud, and the predictor-corrector the size of
    its Langevin steps by the length of a whole cloud's noise, so there only shape and finiteness can agree.
    """
    from diffusion_studio.diffusion.levels import Levels
    from diffusion_studio.diffusion.sampling import sample
    from diffusion_studio.diffusion.spacing import path

    here, levels = model(), Levels(path(Cosine(100), 6), Cosine(100))

    class Same:
        def __init__(self, shape):
            self.shape = shape

        def __call__(self, index):
            return torch.randn(2, 7, 2, dtype=F64, generator=torch.Generator().manual_seed(index)).view(
                self.shape
            )

        def over(self, start, end):
            return torch.randn(
                2, 7, 2, dtype=F64, generator=torch.Generator().manual_seed(int(1e4 * start))
            ).view(self.shape)

    ends = []
    for shape in ((2, 7, 2), (14, 2)):
        noise = Same(shape)
        *_, last = sample(SAMPLERS[name](), here.denoiser("ring"), noise(0), levels, noise)
        ends.append(last.x.view(14, 2))
    assert torch.isfinite(ends[0]).all()
    if name not in ("adaptive", "predictor_corrector"):
        torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)


def test_clip_and_threshold_have_no_meaning_for_points():
    """A network that says x0 = 3 x: nothing holds it inside -1..1."""
    runs = [
        list(
            generate.stream(
                model(),
                Recipe(model="dots", label="ring", steps=3, points=20, clip=clip, threshold=threshold),
            )
        )
        for clip, threshold in ((False, 1.0), (True, 1.0), (True, 0.9))
    ]
    for other in runs[1:]:
        assert all(np.array_equal(a.x, b.x) for a, b in zip(runs[0], other))


def test_too_many_points_are_refused_before_the_run():
    with pytest.raises(
        OptionError, match=r"6 clouds of 20,000 points are 120,000 points; a run has at most 100,000"
    ):
        generate.stream(model(), Recipe(model="dots", seeds=tuple(range(6)), points=20_000))


def test_a_process_that_explodes_is_kept_in_the_scale_of_data():
    """EDM's preconditioning with sigma up to 80: frames hold x / hypot(alpha, sigma), as those of pictures
    do.
    """
    here = model(schedule=VarianceExploding(), parametrization="edm", sigma_data=1.0)
    frames = list(
        generate.stream(
            here, Recipe(model="dots", label="ring", steps=5, points=400, sampler="heun", spacing="karras")
        )
    )
    assert 0.9 < frames[0].x.astype(float).std() < 1.1 and np.isfinite(frames[-1].x.astype(float)).all()


def test_the_studio_lists_and_runs_points(tmp_path):
    (tmp_path / "dots").mkdir()
    given = spec(defaults={"steps": 3, "points": 40, "clip": False, "label": "heart"})
    checkpoint.write(
        tmp_path / "dots" / "model.safetensors", given, random_mlp(given.network).state_dict(), torch.float16
    )
    studio = ds.Studio(tmp_path, "cpu")
    (card,) = studio.models()
    assert card.resolution is None and card.spec.makes == POINTS
    recipe = studio.recipe("dots")
    assert (recipe.points, recipe.label) == (40, "heart") and studio.run(recipe).images.shape == (1, 40, 2)
    assert Recipe.from_json(recipe.to_json()) == recipe and "--points 40" in recipe.to_command()
