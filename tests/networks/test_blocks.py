"""The U-Net's parts against plain formulas."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from diffusion_studio.networks.blocks import Attention, Downsample, ResBlock, Upsample, group_norm, sinusoidal
from diffusion_studio.networks.config import UNetConfig

BASE = {
    "in_channels": 1,
    "out_channels": 1,
    "channels": 8,
    "multipliers": (1, 2),
    "blocks": 1,
    "norm_groups": 4,
}


@pytest.mark.parametrize("order", ["cos_sin", "sin_cos"])
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("width", [8, 9, 24, 64])
def test_sinusoidal_is_the_formula(width, order, shift):
    """Vaswani et al. 2017: frequency k is 10000^(-k / (half - shift)); in plain Python floats. An odd
    width ends in 0.
    """
    half = width // 2
    times = [0, 1, 17.5, 999]
    found = sinusoidal(torch.tensor(times), width, order, shift)
    assert found.shape == (4, width) and found.dtype == torch.float32
    for row, t in enumerate(times):
        angles = [t * 10_000 ** (-k / (half - shift)) for k in range(half)]
        cos, sin = [math.cos(a) for a in angles], [math.sin(a) for a in angles]
        wanted = (cos + sin if order == "cos_sin" else sin + cos) + [0.0] * (width % 2)
        # float32 frequencies: relative 6e-8 each, times t, is what the angle is off
        torch.testing.assert_close(
            found[row].double(), torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=2e-7 * (t + 1)
        )


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_softmax_of_scaled_products(heads):
    """Position by position in plain loops; the rows of qkv are (3, heads, channels of a head)."""
    config = UNetConfig(**BASE, heads=heads)
    torch.manual_seed(0)
    attention = Attention(8, config).double()
    for p in attention.parameters():
        torch.nn.init.normal_(p, std=0.5)
    x = torch.randn(2, 8, 2, 3, dtype=torch.float64)
    found = attention(x)
    width = 8 // heads
    for n in range(2):
        tokens = attention.norm(x)[n].reshape(8, 6).T
        q, k, v = (tokens @ attention.qkv.weight.T + attention.qkv.bias).split(8, dim=1)
        mixed = torch.zeros(6, 8, dtype=torch.float64)
        for head in range(heads):
            at = slice(head * width, (head + 1) * width)
            for i in range(6):
                scores = torch.stack([(q[i, at] * k[j, at]).sum() / math.sqrt(width) for j in range(6)])
                weights = scores.exp() / scores.exp().sum()
                mixed[i, at] = sum(weights[j] * v[j, at] for j in range(6))
        wanted = x[n] + (mixed @ attention.out.weight.T + attention.out.bias).T.reshape(8, 2, 3)
        assert (found[n] - wanted).abs().max() < 1e-12


@pytest.mark.parametrize("conditioning", ["add", "scale_shift"])
def test_a_residual_block_is_its_formula(conditioning):
    config = UNetConfig(**BASE, conditioning=conditioning)
    torch.manual_seed(0)
    block = ResBlock(8, 12, config, 16).double()
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.4)
    x, emb = torch.randn(2, 8, 4, 4, dtype=torch.float64), torch.randn(2, 16, dtype=torch.float64)

    def silu(z):
        return z / (1 + (-z).exp())

    h = block.conv1(silu(block.norm1(x)))
    e = silu(emb) @ block.emb.weight.T + block.emb.bias
    if conditioning == "add":
        h = block.norm2(h + e[..., None, None])
    else:  # ADM section 3: AdaGN(h, y) = y_s GroupNorm(h) + y_b
        h = block.norm2(h) * (1 + e[:, :12, None, None]) + e[:, 12:, None, None]
    wanted = block.conv2(silu(h)) + block.skip(x)
    assert (block(x, emb) - wanted).abs().max() < 1e-12


def test_resampling_blocks_change_both_paths():
    config = UNetConfig(**BASE)
    x, emb = torch.randn(1, 8, 4, 4), torch.randn(1, 16)
    down, up = ResBlock(8, 8, config, 16, resample="down"), ResBlock(8, 8, config, 16, resample="up")
    # their second convolution starts at zero, so what is left is the skip
    torch.testing.assert_close(down(x, emb), F.avg_pool2d(x, 2))
    torch.testing.assert_close(up(x, emb), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("padding, first", [("both", (-1, -1)), ("end", (0, 0))])
def test_downsampling_starts_where_its_padding_says(padding, first):
    """A kernel with a single 1 at its corner copies the pixel that it starts on."""
    down = Downsample(1, padding=padding)
    torch.nn.init.zeros_(down.conv.bias), torch.nn.init.zeros_(down.conv.weight)
    with torch.no_grad():
        down.conv.weight[0, 0, 0, 0] = 1
    x = torch.arange(1.0, 37).reshape(1, 1, 6, 6)
    found = down(x)
    assert found.shape == (1, 1, 3, 3)
    assert found[0, 0, 1, 1] == x[0, 0, 2 + first[0], 2 + first[1]]
    assert found[0, 0, 0, 0] == (0 if first[0] < 0 else x[0, 0, 0, 0])


def test_upsampling_repeats_pixels():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert Upsample(1, conv=False)(x)[0, 0].tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [2, 2, 3, 3],
        [2, 2, 3, 3],
    ]


@pytest.mark.parametrize(
    "width, most, groups",
    [(32, 32, 32), (24, 32, 24), (48, 32, 24), (24, 8, 8), (20, 8, 5), (7, 4, 1), (97, 32, 1)],
)
def test_group_norm_takes_the_most_groups_that_divide(width, most, groups):
    norm = group_norm(width, UNetConfig(**{**BASE, "norm_groups": most, "norm_eps": 1e-3}))
    assert norm.num_groups == groups and norm.eps == 1e-3
