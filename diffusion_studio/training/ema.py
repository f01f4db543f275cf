"""Exponential moving average of weights."""

from __future__ import annotations

import torch
from torch import nn


class EMA:
    """Averaged weights: the ones to sample from. The decay warms up, so that early weights are soon
    forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights after its optimizer's step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged, new = list(self.state.values()), [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(averaged, new, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
