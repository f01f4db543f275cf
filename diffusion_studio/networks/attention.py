"""Softmax attention, computed by the faster of two implementations."""

from __future__ import annotations

import torch
import torch.nn.functional as F

LARGEST = 2**16  # queries times keys; above this an explicit attention map takes too much memory


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """softmax(q k^T / sqrt(D)) v, in the shape of q.

    q is (N, heads, L, D), k and v are (N, heads, S, D), and `mask` is true for the keys that are attended to.
    torch's fused attention is used, with one exception: in bf16 on a CPU its backward pass takes about six
    times as long as that of two products and a softmax, so training on small maps uses the latter.
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow or q.shape[-2] * k.shape[-2] > LARGEST:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        weights = weights.masked_fill(~mask, float("-inf"))
    return weights.softmax(-1) @ v
