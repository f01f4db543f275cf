"""Pictures drawn in few colours: what a palette may be, and that every run ends in it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.diffusion.guidance import in_palette
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging import palettes
from diffusion_studio.imaging.arrays import values
from diffusion_studio.runs.generate import plan, stream
from diffusion_studio.runs.guidance_options import Palette

F64 = torch.float64
TWO = torch.tensor([[-0.8, 0.1, 0.3], [0.5, -0.9, 0.9]], dtype=F64)
X = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
LEVELS = [NoiseLevel(3.0, 0.6, 0.8), NoiseLevel(1.0, 1.0, 5.0), NoiseLevel(0.5, 0.999, 0.04)]


def of_two(x: torch.Tensor, level: NoiseLevel):
    """The exact denoiser of pictures whose every pixel is one of `TWO`, with equal chances."""
    chance = logits(x, level).softmax(1)
    return from_x0(torch.einsum("npij,pc->ncij", chance, TWO), x, level.alpha, level.sigma)


def logits(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
    """(N, P, H, W) log p(x | colour) up to a constant."""
    away = x[:, None] - level.alpha * TWO[None, :, :, None, None]
    return -away.square().sum(2) / (2 * level.sigma**2)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_of_two_colours_the_likelier_is_chosen(level):
    """The expected colour lies between both, on the side of the one with more than half of the chances."""
    p = in_palette(of_two, TWO)(X, level)
    wanted = TWO[logits(X, level).argmax(1)].movedim(-1, 1)
    assert torch.equal(p.x0, wanted)
    assert (level.alpha * p.x0 + level.sigma * p.eps - X).abs().max() < 1e-13


def test_before_the_given_noise_nothing_changes():
    level = NoiseLevel(1.0, 0.8, 0.6)  # sigma / alpha is 0.75
    bare = of_two(X, level).x0
    assert torch.equal(in_palette(of_two, TWO, below=0.749)(X, level).x0, bare)
    assert not torch.equal(in_palette(of_two, TWO, below=0.751)(X, level).x0, bare)
    pure = NoiseLevel(9.0, 0.0, 1.0)
    assert torch.equal(in_palette(of_two, TWO, below=1e3)(X, pure).x0, of_two(X, pure).x0)


def test_what_is_beyond_the_range_stays_as_far_beyond():
    """So that a network that was trained with black beyond -1 finds it where it expects it."""

    def beyond(x, level):
        return from_x0(torch.full_like(x, -1.1), x, level.alpha, level.sigma)

    p = in_palette(beyond, torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))(X, LEVELS[0])
    assert (p.x0 + 1.1).abs().max() < 1e-12


# The last step of these goes on with the eps of earlier ones, which is how they come near the colours and not
# into them.
EXTRAPOLATING = {"plms", "pndm", "lms"}


@pytest.mark.parametrize("sampler", sorted(ds.SAMPLERS.keys() - EXTRAPOLATING))
@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_every_sampler_ends_in_the_palette(tiny_model, sampler, channels):
    model = tiny_model(torch.float32, network={"in_channels": channels, "out_channels": channels})
    colours = palettes.listed(palettes.PALETTES["game-boy"])
    wanted = ((values(colours, channels) + 1) * 127.5).round().int().tolist()
    recipe = ds.Recipe("tiny", "Cat", steps=6, sampler=sampler, palette="game-boy", seeds=(0, 1))
    *_, last = stream(model, recipe)
    found = np.unique(last.x.reshape(-1, channels), axis=0).tolist()
    assert len(found) > 1 and all(one in wanted for one in found)
    *_, free = stream(model, ds.Recipe("tiny", "Cat", steps=6, sampler=sampler, seeds=(0, 1)))
    assert len(np.unique(free.x.reshape(-1, channels), axis=0)) > 4


def test_grey_is_the_brightness():
    assert values(((255, 255, 255), (0, 0, 0), (255, 0, 0)), 1).shape == (3, 1)
    assert (
        (values(((255, 255, 255), (0, 0, 0), (255, 0, 0)), 1) + 1) * 127.5
    ).round().flatten().tolist() == [255, 0, 76]
    assert ((values(((1, 2, 3), (4, 5, 6)), 3) + 1) * 127.5).round().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_what_a_palette_may_be(tiny_spec):
    spec = tiny_spec(palette=("#102030", "#ffffff"))
    assert Palette("own").colours(spec) == ((16, 32, 48), (255, 255, 255))
    assert Palette("#000, FFF,#0f8800,#000").colours(spec) == ((0, 0, 0), (255, 255, 255), (15, 136, 0))
    assert len(Palette("pico-8").colours(spec)) == 16
    for name in palettes.PALETTES:
        assert len(Palette(name).colours(spec)) >= 2


def test_a_palette_that_cannot_be(tiny_model, tiny_spec):
    with pytest.raises(
        OptionError, match="tiny has no palette of its own. Choose black-white, .*, or give colours, such as"
    ):
        plan(tiny_model(), ds.Recipe("tiny", "Cat", palette="own"))
    with pytest.raises(OptionError, match="at most 4096 colours, got 4,097"):
        tiny_spec(palette=tuple(f"#{k:06x}" for k in range(4097)))
    with pytest.raises(OptionError, match="Not a colour: 'red'"):
        tiny_spec(palette=("#000000", "red"))


def test_a_header_without_a_palette_is_as_it_was(tiny_spec):
    """So that files of before it and after are equal."""
    assert not {"palette", "black_margin"} & json.loads(tiny_spec().to_json()).keys()
    spec = tiny_spec(palette=("#102030", "#ffffff"), black_margin=0.1)
    assert ds.ModelSpec.from_json(spec.to_json()) == spec


def test_the_most_frequent_colours():
    images = np.zeros((2, 2, 3, 3), np.uint8)
    images[0, 0, :2] = 1, 2, 3
    images[1, 1, 2] = 255, 0, 16
    assert palettes.of_pictures(images, 9) == ("#000000", "#010203", "#ff0010")
    assert palettes.of_pictures(images, 2) == ("#000000", "#010203")
    assert palettes.of_pictures(images[..., :1], 9) == ("#000000", "#010101", "#ffffff")
