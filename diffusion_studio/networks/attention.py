"""Softmax attention, computed in the faster of two ways."""

from __future__ import annotations

import torch
import torch.nn.functional as F

LARGEST = 2**16  # queries times keys: beyond it the weights take more memory than the time is worth


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """softmax(q k' / sqrt(D)) v: q (N, heads, L, D), k and v (N, heads, S, D), `mask` true where a key counts
    -> as q.

    torch's fused attention is right but for one case: in bf16 on a CPU its backward pass takes some six times
    as long as that of two products and a softmax, so training on small maps uses those.
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow or q.shape[-2] * k.shape[-2] > LARGEST:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        weights = weights.masked_fill(~mask, float("-inf"))
    return weights.softmax(-1) @ v
