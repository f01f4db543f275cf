"""Both ways of computing attention give the same, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from diffusion_studio.networks import attention
from diffusion_studio.networks.attention import attend


def drawn(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> torch.Tensor:
    return (
        torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        .to(dtype)
        .requires_grad_()
    )


@pytest.mark.parametrize("keys, masked", [(9, False), (5, True), (1, True)])
def test_bf16_in_training_is_attention(keys, masked):
    shapes = [(3, 2, 9, 8), (3, 2, keys, 8), (3, 2, keys, 8)]
    narrow = [drawn(shape, k, torch.bfloat16) for k, shape in enumerate(shapes)]
    exact = [part.detach().double().requires_grad_() for part in narrow]
    mask = (
        (torch.arange(keys) < torch.tensor([1, max(1, keys - 2), keys])[:, None])[:, None, None]
        if masked
        else None
    )
    made, wanted = attend(*narrow, mask), F.scaled_dot_product_attention(*exact, attn_mask=mask)
    assert made.dtype == torch.bfloat16
    torch.testing.assert_close(made.double(), wanted, rtol=0.02, atol=0.02)
    pull = drawn(tuple(made.shape), 7, torch.bfloat16).detach()
    (made * pull).sum().backward()
    (wanted * pull.double()).sum().backward()
    for ours, true in zip(narrow, exact):
        torch.testing.assert_close(ours.grad.double(), true.grad, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "dtype, trained, positions, fused",
    [
        (torch.bfloat16, True, 16, False),
        (torch.bfloat16, False, 16, True),
        (torch.float32, True, 16, True),
        (torch.bfloat16, True, 300, True),
    ],
)
def test_two_products_only_where_they_are_faster(monkeypatch, dtype, trained, positions, fused):
    real, asked = F.scaled_dot_product_attention, []
    monkeypatch.setattr(
        attention.F,
        "scaled_dot_product_attention",
        lambda *args, **more: asked.append(1) or real(*args, **more),
    )
    q = torch.randn(1, 1, positions, 4, dtype=dtype)
    with torch.set_grad_enabled(trained):
        attend(q, q, q)
    assert bool(asked) is fused
