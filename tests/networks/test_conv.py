"""Packed convolutions give what torch's own give, and are left aside wherever they do not hold."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from diffusion_studio.networks.conv import Conv2d, can_pack

needs_packing = pytest.mark.skipif(not can_pack("cpu", torch.float32), reason="torch cannot pack here")


def case(dtype=torch.float32, **settings):
    torch.manual_seed(0)
    conv = Conv2d(8, 16, **{"kernel_size": 3, "padding": 1, **settings}).to(dtype)
    conv.to(memory_format=torch.channels_last)
    return conv, torch.randn(3, 8, 12, 10).to(dtype, memory_format=torch.channels_last)


def plain(conv, x):
    return F.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding)


def near(made, wanted):
    """In fp32 within rounding; in bf16 both round up to three sums, each by half a unit of the largest."""
    coarse = 3 * torch.finfo(torch.bfloat16).eps * wanted.abs().max().item()
    torch.testing.assert_close(made, wanted, rtol=0, atol=coarse if made.dtype == torch.bfloat16 else 1e-5)


@needs_packing
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "settings",
    [{}, {"stride": 2}, {"kernel_size": 1, "padding": 0}, {"bias": False}, {"kernel_size": 7, "padding": 3}],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_packed_is_torchs_own(dtype, settings, batch):
    if not can_pack("cpu", dtype):
        pytest.skip("torch cannot pack this dtype here")
    conv, x = case(dtype, **settings)
    x = x[:batch].contiguous(memory_format=torch.channels_last)
    conv.pack(least=1)
    assert conv._usable_copy(x) is not None
    wanted = plain(conv, x)
    one, each = torch.randn(1, 16, 1, 1).to(dtype), torch.randn(batch, 16, 1, 1).to(dtype)
    plus, kept = torch.randn_like(wanted), x.clone()
    near(conv(x), wanted)
    near(conv(x.contiguous()), wanted)
    for shift in (one, each):
        near(conv(x, shift=shift), wanted + shift)
        near(conv(x, plus, shift), plus + (wanted + shift))
    before = plus.clone()
    near(conv(x, plus), plus + wanted)
    assert torch.equal(plus, before) and torch.equal(x, kept)


@torch.no_grad()
def test_without_packing_it_adds_the_same():
    conv, x = case()
    wanted, shift = plain(conv, x), torch.randn(3, 16, 1, 1)
    plus = torch.randn_like(wanted)
    assert torch.equal(conv(x), wanted)
    assert torch.equal(conv(x, plus, shift), plus + (wanted + shift))


@needs_packing
def test_weights_that_change_are_followed():
    conv, x = case()
    conv.pack(least=1)
    with torch.no_grad():
        conv.weight.mul_(2)
        assert conv._usable_copy(x) is None
        near(conv(x), plain(conv, x))
        conv.pack(least=1)
        near(conv(x), plain(conv, x))
        conv.load_state_dict({"weight": torch.ones(16, 8, 3, 3), "bias": torch.zeros(16)})
        near(conv(x), plain(conv, x))
        conv.pack(least=1)
        conv.weight = nn.Parameter(torch.zeros(16, 8, 3, 3))
        assert conv(x).abs().max() == 0
        conv.pack(least=1)
        conv.double()
        assert torch.equal(conv(x.double()), plain(conv, x.double()))


@needs_packing
def test_gradients_go_through():
    conv, x = case()
    conv.pack(least=1)
    x.requires_grad_()
    (mine,) = torch.autograd.grad(conv(x).square().sum(), x)
    (theirs,) = torch.autograd.grad(plain(conv, x).square().sum(), x)
    assert torch.equal(mine, theirs)


@needs_packing
@torch.no_grad()
def test_copies_and_files_leave_the_packed_weights_out():
    conv, x = case()
    conv.pack(least=1)
    wanted = plain(conv, x)
    for other in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
        assert other._packed is None and torch.equal(other(x), wanted)
    assert set(conv.state_dict()) == {"weight", "bias"} and conv._usable_copy(x) is not None


def test_only_what_a_cpu_packs():
    assert not can_pack("cuda", torch.float32) and not can_pack("cpu", torch.float64)
