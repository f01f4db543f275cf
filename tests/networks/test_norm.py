"""Our group norm is torch's: the same output, a gradient within the precision of bf16, in training in bf16
on a CPU and everywhere else.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from diffusion_studio.networks.norm import GroupNorm


def case(n, c, size, groups, dtype=torch.bfloat16, layout=torch.channels_last, offset=3.0):
    draw = torch.Generator().manual_seed(c + size[0])
    norm = GroupNorm(groups, c)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5, generator=draw)
        norm.bias.normal_(generator=draw)
    x = torch.randn(n, c, *size, generator=draw) * (0.25 + torch.rand(1, c, 1, 1, generator=draw))
    x = x + offset * torch.randn(1, c, 1, 1, generator=draw)
    return (
        norm,
        x.to(dtype).contiguous(memory_format=layout).requires_grad_(),
        torch.randn(x.shape, generator=draw).to(dtype),
    )


def gradients(norm, x, weight, bias, pull):
    made = F.group_norm(x, norm.num_groups, weight, bias, norm.eps)
    return torch.autograd.grad(made, (x, weight, bias), pull)


@pytest.mark.parametrize(
    "n, c, size, groups",
    [(2, 32, (8, 8), 8), (3, 12, (5, 7), 4), (1, 8, (16, 16), 8), (2, 64, (32, 32), 32), (5, 15, (1, 2), 1)],
)
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_its_gradient_is_exact_within_bf16(n, c, size, groups, offset):
    norm, x, pull = case(n, c, size, groups, offset=offset)
    assert norm._torch_is_slow(x)
    made = norm(x)
    assert torch.equal(made, F.group_norm(x, groups, norm.weight, norm.bias, norm.eps))
    ours = torch.autograd.grad(made, (x, norm.weight, norm.bias), pull)
    theirs = gradients(norm, x, norm.weight, norm.bias, pull)
    true = gradients(
        norm,
        *(part.detach().double().requires_grad_() for part in (x, norm.weight, norm.bias)),
        pull.double(),
    )
    for mine, yours, exact in zip(ours, theirs, true):
        assert mine.dtype == yours.dtype and mine.shape == yours.shape
        assert (mine.double() - exact).norm() <= torch.finfo(torch.bfloat16).eps * exact.norm()
        assert (yours.double() - exact).norm() <= torch.finfo(torch.bfloat16).eps * exact.norm()


@pytest.mark.parametrize(
    "given", [{"dtype": torch.float32}, {"layout": torch.contiguous_format}, {"c": 32, "groups": 2}]
)
def test_elsewhere_it_is_torchs_own(given):
    given = {"n": 2, "c": 32, "size": (8, 8), "groups": 8, **given}
    norm, x, _ = case(**given)
    assert not norm._torch_is_slow(x)
    assert torch.equal(norm(x.detach()), F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps))


@pytest.mark.parametrize("size", [(8, 8), (31, 33), (32, 32)])  # below and from 1024 positions on
def test_sampling_is_as_precise_as_bf16_allows(size):
    norm, x, _ = case(2, 32, size, 8)
    with torch.no_grad():
        made, theirs = norm(x), F.group_norm(x, 8, norm.weight, norm.bias, norm.eps)
        exact = F.group_norm(x.double(), 8, norm.weight.double(), norm.bias.double(), norm.eps)
    assert made.dtype == torch.bfloat16 and made.is_contiguous(memory_format=torch.channels_last)
    # half a unit of the last place is what rounding the exact result costs
    for one in (made, theirs):
        assert (
            (one.double() - exact).abs() <= 0.51 * torch.finfo(torch.bfloat16).eps * 2 * exact.abs() + 1e-5
        ).all()
    if size == (32, 32):
        assert torch.equal(made, theirs)
