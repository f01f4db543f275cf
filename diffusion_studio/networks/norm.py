"""Group norm that is quick where torch's is slow."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

WIDE = 16  # channels of a group from which on torch's own bf16 kernels are quick
LARGE = 1024  # positions of a map from which on its way forward is, too


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` (Wu & He 2018). In bf16 on a CPU, with the channels innermost and few of them
    in a group, torch's own is slow.

    Training goes back in a quarter to a half of its time: by sums over positions and two more passes, each
    rounded to bf16. Sampling normalises small maps in fp32, in a quarter of the time; torch's bf16 kernel
    computes in fp32 too, so the result is as precise.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self._slow(x):
            return super().forward(x)
        if torch.is_grad_enabled():
            return _Quick.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        if x.shape[2] * x.shape[3] >= LARGE:
            return super().forward(x)
        weight, bias = self.weight.float(), self.bias.float()
        return F.group_norm(x.float(), self.num_groups, weight, bias, self.eps).to(x.dtype)

    def _slow(self, x: torch.Tensor) -> bool:
        if torch.compiler.is_compiling():
            return False
        if x.device.type != "cpu" or x.dtype != torch.bfloat16 or x.dim() != 4:
            return False
        narrow = x.shape[1] // self.num_groups < WIDE
        return narrow and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


class _Quick(torch.autograd.Function):
    """Forward is torch's own."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float
    ) -> torch.Tensor:
        n, c, h, w = x.shape
        made, mean, rstd = torch.native_group_norm(x, weight, bias, n, c, h * w, groups, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, rstd = ctx.saved_tensors
        n, c, h, w = x.shape
        groups = mean.shape[1]
        each = c // groups

        def spread(
            of_groups: torch.Tensor,
        ) -> torch.Tensor:  # (N, groups) -> (N, 1, C), a number for each channel
            return of_groups.repeat_interleave(each, 1).to(x.dtype)[:, None]

        flat = (n, h * w, c)
        dy = pull.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(flat)
        near = mean.to(
            x.dtype
        ).float()  # a mean far from zero leaves bf16 no digits for the rest: take it off first
        z = torch.addcmul(
            spread((near - mean) * rstd), x.permute(0, 2, 3, 1).reshape(flat) - spread(near), spread(rstd)
        )
        by_bias, by_weight = dy.sum(1).float(), (dy * z).sum(1).float()  # (N, C), added in fp32 by torch
        share = weight.float() / (each * h * w)
        mean_dz = (by_bias * share).view(n, groups, each).sum(2)
        mean_zdz = (by_weight * share).view(n, groups, each).sum(2)
        scale = (rstd.repeat_interleave(each, 1) * weight).to(x.dtype)[:, None]
        dx = torch.addcmul(torch.addcmul(spread(-rstd * mean_dz), z, spread(-rstd * mean_zdz)), dy, scale)
        dx = dx.view(n, h, w, c).permute(0, 3, 1, 2)
        return dx, by_weight.sum(0).to(weight.dtype), by_bias.sum(0).to(weight.dtype), None, None
