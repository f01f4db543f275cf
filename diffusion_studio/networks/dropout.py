"""Dropout whose masks cost little on a CPU."""

from __future__ import annotations

import torch
from torch import nn

FINE = 2**16  # a rate is one of so many


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, three times as fast in training on a CPU, where torch draws one uniform number for
    each element.

    Four elements share the 64 bits of a draw, so a rate is rounded to a multiple of 2^-16; what is kept is
    scaled by that rate, which leaves the mean exact. Draws come from torch's generator, as ever.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = round(self.p * FINE)
        packs = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        plain = (
            x.device.type != "cpu" or torch.compiler.is_compiling()
        )  # which fuses its own draws, and breaks off at these
        if plain or not self.training or x.numel() % 4 or not packs or not 0 < dropped < FINE:
            return super().forward(x)
        draw = torch.empty_like(x, dtype=torch.int16)
        draw.as_strided((x.numel(),), (1,)).view(torch.int64).random_(-(2**63), None)
        return torch.where(draw >= dropped - FINE // 2, x * (FINE / (FINE - dropped)), 0)
