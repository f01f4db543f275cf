"""What a network is trained towards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..diffusion.prediction import PARAMETRIZATIONS
from ..diffusion.schedule import NoiseSchedule


@dataclass(frozen=True)
class Draw:
    """What a training step draws at random for a batch: timesteps (N,), noise like x0, and which labels are dropped (N,)."""

    t: torch.Tensor
    eps: torch.Tensor
    drop: torch.Tensor


class SimpleObjective:
    """Mean squared error of the network's output, all timesteps weighted alike (Ho et al. 2020, eq. 14)."""

    def __init__(self, schedule: NoiseSchedule, parametrization: str, null_class: int | None, label_dropout: float,
                 device: torch.device) -> None:
        levels = [schedule.level(t) for t in range(schedule.timesteps)]
        self.alpha = torch.tensor([level.alpha for level in levels], dtype=torch.float32, device=device)
        self.sigma = torch.tensor([level.sigma for level in levels], dtype=torch.float32, device=device)
        self.target = PARAMETRIZATIONS[parametrization].target
        self.null_class = null_class
        self.label_dropout = label_dropout

    def draw(self, x0: torch.Tensor, generator: torch.Generator) -> Draw:
        """Drawn on the CPU, so that a run does not depend on its device."""
        t = torch.randint(len(self.alpha), (len(x0),), generator=generator)
        eps = torch.randn(x0.shape, generator=generator)
        drop = torch.rand(len(x0), generator=generator) < self.label_dropout
        return Draw(t.to(x0.device), eps.to(x0.device), drop.to(x0.device))

    def __call__(self, network: nn.Module, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        """The loss, a scalar. x0 (N, C, H, W) in [-1, 1]; label (N,) class indices or None."""
        alpha, sigma = (table[draw.t].view(-1, 1, 1, 1) for table in (self.alpha, self.sigma))
        x = alpha * x0 + sigma * draw.eps
        if label is not None and self.null_class is not None:
            label = torch.where(draw.drop, self.null_class, label)
        output = network(x, draw.t, label)
        return (output.float() - self.target(x0, draw.eps, alpha, sigma)).square().mean()
