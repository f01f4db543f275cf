"""The whole U-Net over its configurations, and configurations that cannot be."""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.errors import OptionError
from diffusion_studio.networks.blocks import Attention, ResBlock
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.precision import arrange
from diffusion_studio.networks.unet import UNet

BASE = {
    "in_channels": 1,
    "out_channels": 1,
    "channels": 8,
    "multipliers": (1, 2),
    "blocks": 1,
    "norm_groups": 4,
}

CONFIGS = {
    "plain": {},
    "add": {"conditioning": "add"},
    "residual": {"resample": "residual"},
    "padding at the end": {"downsample_padding": "end"},
    "attention everywhere": {"attention_levels": (0, 1), "heads": 2},
    "head channels": {"attention_levels": (1,), "head_channels": 4},
    "classes": {"classes": 3},
    "classes and any": {"classes": 3, "null_class": True, "conditioning": "add"},
    "rgb": {"in_channels": 3, "out_channels": 3},
    "learned variance": {"in_channels": 3, "out_channels": 6},
    "fractions": {"channels": 16, "multipliers": (0.375, 0.75, 1.5), "heads": 2, "attention_levels": (1,)},
    "one level": {"multipliers": (1,)},
    "three blocks": {"blocks": 3, "resample": "residual", "attention_levels": (0,)},
    "sin cos, shift": {"time_order": "sin_cos", "time_shift": 1},
    "narrowing": {"multipliers": (2, 1, 1)},
    "patches": {"in_channels": 3, "out_channels": 6, "patch": 2},
}


def make(random_unet, name: str) -> UNet:
    return random_unet(UNetConfig(**{**BASE, **CONFIGS[name]}))


def arguments(config: UNetConfig, n: int = 3, size: tuple[int, int] = (8, 8)):
    x = torch.randn(n, config.in_channels, *size, generator=torch.Generator().manual_seed(1))
    t = torch.arange(n) * 100 + 1
    return x, t, torch.arange(n) % (config.classes + config.null_class) if config.classes else None


@pytest.mark.parametrize("n, size", [(1, (8, 8)), (3, (8, 8)), (2, (4, 12)), (1, (16, 4))])
@pytest.mark.parametrize("name", CONFIGS)
def test_output_has_the_pictures_shape(random_unet, name, n, size):
    network = make(random_unet, name)
    found = network(*arguments(network.config, n, size))
    assert found.shape == (n, network.config.out_channels, *size)
    assert found.isfinite().all() and found.std() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_gradient_reaches_every_weight(random_unet, name):
    network = make(random_unet, name).requires_grad_(True)
    x, t, label = arguments(network.config, n=4)
    network(x, t, label).square().mean().backward()
    # a convolution's bias before a norm of one group per channel has no effect; these groups hold two
    # channels and more
    dead = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-9]
    assert dead == []


@pytest.mark.parametrize("name", CONFIGS)
def test_time_matters_and_pictures_do_not_mix(random_unet, name):
    network = make(random_unet, name).double()
    x, t, label = arguments(network.config)
    x = x.double()
    found = network(x, t, label)
    later = network(x, t + torch.tensor([0, 500, 0]), label)
    difference = (found - later).abs().amax((1, 2, 3))
    assert difference[1] > 1e-4 and max(difference[0], difference[2]) < 1e-12
    alone = network(x[1:2], t[1:2], None if label is None else label[1:2])
    assert (alone - found[1:2]).abs().max() < 1e-12


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_packed_weights_and_one_time_for_all_change_nothing(random_unet, name):
    """What a `Model` makes quicker: the same output within rounding."""
    network = make(random_unet, name)
    x, _, label = arguments(network.config)
    wanted = network(x, torch.full((3,), 40.0), label)
    one = torch.full((1,), 40.0).expand(3)
    torch.testing.assert_close(network(x, one, label), wanted, rtol=0, atol=1e-5)
    arrange(network)
    found = network(x.contiguous(memory_format=torch.channels_last), one, label)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["classes", "classes and any"])
def test_the_label_matters(random_unet, name):
    network = make(random_unet, name)
    count = 3 + network.config.null_class
    x, t, _ = arguments(network.config, n=1)
    found = [network(x, t, torch.tensor([k])) for k in range(count)]
    for a in range(count):
        for b in range(a):
            assert (found[a] - found[b]).abs().max() > 1e-4
    with pytest.raises(IndexError):
        network(x, t, torch.tensor([count]))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_fresh_network_answers_zero(name):
    """The last convolution starts at zero, and every block as the identity of its skip (DDPM's released
    code, ADM).
    """
    torch.manual_seed(0)
    network = UNet(UNetConfig(**{**BASE, **CONFIGS[name]}))
    assert not network(*arguments(network.config)).any()
    for module in network.modules():
        if isinstance(module, ResBlock):
            assert not module.conv2.weight.any() and not module.conv2.bias.any()
        if isinstance(module, Attention):
            assert not module.out.weight.any()


def test_a_network_on_patches_is_one_on_their_pixels_as_channels(random_unet):
    """Channel (c, i, j) of the inner network's picture is pixel (i, j) of each square in channel c,
    written out here.
    """
    config = UNetConfig(**{**BASE, "in_channels": 3, "out_channels": 6, "patch": 2, "attention_levels": (0,)})
    network = random_unet(config).double()
    inner = UNet(UNetConfig(**{**vars(config), "patch": 1, "in_channels": 12, "out_channels": 24})).double()
    inner.load_state_dict(network.state_dict())
    x, t, _ = arguments(config, n=2, size=(8, 12))
    x = x.double()
    squares = torch.stack([x[:, c, i::2, j::2] for c in range(3) for i in (0, 1) for j in (0, 1)], dim=1)
    found, wanted = network(x, t), inner(squares, t)
    for c in range(6):
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            assert (
                (found[:, c, i::2, j::2] - wanted[:, 4 * c + 2 * i + j]).abs().max()
                < 1e-12
                < wanted.abs().max()
            )
    assert config.reduction == 4
    with pytest.raises(OptionError, match="multiples of 4"):
        network(x[..., :10], t)


def test_the_callers_tensors_stay_as_they_are(random_unet):
    network = make(random_unet, "classes")
    given = arguments(network.config)
    kept = [one.clone() for one in given]
    network(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, kept))


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = UNet(UNetConfig(**BASE, dropout=0.5))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    given = arguments(network.config)
    assert not torch.equal(network.train()(*given), network(*given))
    assert torch.equal(network.eval()(*given), network(*given))


# --- errors


@pytest.mark.parametrize("shape", [(1, 1, 7, 8), (1, 1, 8, 9), (1, 3, 8, 8), (1, 2, 8, 8)])
def test_wrong_sizes(shape):
    network = UNet(UNetConfig(**BASE))
    with pytest.raises(
        OptionError, match=r"takes \(N, 1, H, W\) with H and W multiples of 2, got \(1, ., ., .\)"
    ):
        network(torch.zeros(shape), torch.zeros(1))


def test_missing_and_surplus_labels():
    with pytest.raises(OptionError, match="needs class label"):
        UNet(UNetConfig(**BASE, classes=2))(torch.zeros(1, 1, 8, 8), torch.zeros(1))
    with pytest.raises(OptionError, match="takes no class label"):
        UNet(UNetConfig(**BASE))(torch.zeros(1, 1, 8, 8), torch.zeros(1), torch.zeros(1, dtype=torch.long))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"channels": 10**9}, "network.channels must be a whole number from 8 to 2048"),
        ({"multipliers": ()}, "multipliers must be one or more numbers above 0"),
        (
            {"multipliers": (1, 0)},
            r"multipliers must be one or more numbers above 0 and up to 64, got \(1, 0\)",
        ),
        ({"multipliers": (1, -1)}, "above 0"),
        ({"multipliers": (float("nan"),)}, "above 0"),
        ({"multipliers": (65,)}, "up to 64"),
        ({"multipliers": (1,) * 11}, "multipliers must be a list of at most 10 numbers"),
        ({"multipliers": ("1",)}, "multipliers must be a list"),
        ({"multipliers": (True,)}, "multipliers must be a list"),
        ({"multipliers": 2}, "multipliers must be a list"),
        ({"multipliers": (1, 0.3)}, "Level 1 has 2.4 channels; channels . multipliers must be whole"),
        (
            {"attention_levels": (2,)},
            r"attention_levels must lie in 0..1, one level per multiplier; got \(2,\)",
        ),
        ({"attention_levels": (-1,)}, "attention_levels must lie in"),
        ({"attention_levels": (0.0,)}, "attention_levels must be a list"),
        ({"heads": 3}, "16 channels do not divide into 3 heads"),
        ({"head_channels": 6}, "16 channels do not divide into heads of 6"),
        (
            {"conditioning": "concat"},
            "There is no network.conditioning 'concat'. Choose one of: add, scale_shift",
        ),
        ({"resample": "none"}, "There is no network.resample"),
        ({"null_class": True}, "null_class needs classes"),
        ({"blocks": 0}, "network.blocks must be a whole number from 1 to 16"),
        ({"patch": 0}, "network.patch must be a whole number from 1 to 16"),
        (
            {"patch": 2, "output_path": "skip"},
            "A patch above 1 cannot be combined with input_path or output_path; patch is 2, input_path 'none', output_path 'skip'",
        ),
    ],
)
def test_configurations_that_cannot_be(changes, message):
    with pytest.raises(OptionError, match=message):
        UNetConfig(**{**BASE, **changes})


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_round_trip(name):
    import json

    config = UNetConfig(**{**BASE, **CONFIGS[name]})
    assert UNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_an_unknown_field_is_refused():
    with pytest.raises(
        OptionError,
        match="There is no field of the network's configuration 'chanels'.*Did you mean 'channels'",
    ):
        UNetConfig.from_json({"chanels": 8})
