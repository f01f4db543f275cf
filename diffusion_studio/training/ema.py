"""Exponential moving average (EMA) of the weights."""

from __future__ import annotations

import torch
from torch import nn


class EMA:
    """Averaged weights, which are used for sampling. The decay warms up, so early weights are soon
    forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Update with the network's weights after step number `step` (from 0) of its optimizer."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged, new = list(self.state.values()), [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(averaged, new, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
