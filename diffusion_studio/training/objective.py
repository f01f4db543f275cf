"""What a network is trained towards. To add an objective, write the class and name it in OBJECTIVES here and in config.

An objective is bound to a process; `losses(network, x0, label, draw)` are one number for each picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ..diffusion.posterior import Posterior
from ..diffusion.prediction import PARAMETRIZATIONS
from ..diffusion.schedule import NoiseSchedule


@dataclass(frozen=True)
class Draw:
    """What a training step draws at random for N pictures: timesteps (N,), noise like x0, which labels are dropped (N,),
    and the weights (N,) that undo a preference among timesteps (None: there is none)."""

    t: torch.Tensor
    eps: torch.Tensor
    drop: torch.Tensor
    weight: torch.Tensor | None = None


class SimpleObjective:
    """Mean squared error of the network's output, all timesteps weighted alike (Ho et al. 2020, eq. 14).

    `min_snr` > 0 is gamma of min-SNR weighting (Hang et al. 2023): the error of x0 counts min(SNR, gamma) times, whatever
    the parametrization, so that easy noise levels do not drown the others. Choose 5 for faster convergence.
    """

    learned_variance = False

    def __init__(self, schedule: NoiseSchedule, parametrization: str, null_class: int | None, label_dropout: float,
                 device: torch.device | str, min_snr: float = 0.0, bound_weight: float = 0.001) -> None:
        self.posterior = Posterior(schedule, device)
        self.parametrization = parametrization
        self.null_class = null_class
        self.label_dropout = label_dropout
        self.min_snr = min_snr
        self.bound_weight = bound_weight

    def draw(self, x0: torch.Tensor, generator: torch.Generator) -> Draw:
        """All draws at once, uniform in t, on the CPU and then moved."""
        t = torch.randint(self.posterior.timesteps, (len(x0),), generator=generator)
        eps = torch.randn(x0.shape, generator=generator)
        drop = torch.rand(len(x0), generator=generator) < self.label_dropout
        return Draw(t.to(x0.device), eps.to(x0.device), drop.to(x0.device))

    def __call__(self, network: nn.Module, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        """The loss of the batch, a scalar. x0 (N, C, H, W) in [-1, 1]; label (N,) class indices or None."""
        losses = self.losses(network, x0, label, draw)
        return (losses if draw.weight is None else losses * draw.weight).mean()

    def losses(self, network: nn.Module, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        """(N,) the pictures' losses, before the draw's weights."""
        x = self._noisy(x0, draw)
        return self._squared_error(self._ask(network, x, label, draw), x0, x, draw)

    def _noisy(self, x0: torch.Tensor, draw: Draw) -> torch.Tensor:
        at = self.posterior.at
        return at("alpha", draw.t, x0) * x0 + at("sigma", draw.t, x0) * draw.eps

    def _ask(self, network: nn.Module, x: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        if label is not None and self.null_class is not None:
            label = torch.where(draw.drop, self.null_class, label)
        return network(x, draw.t, label).to(torch.promote_types(x.dtype, torch.float32))

    def _squared_error(self, output: torch.Tensor, x0: torch.Tensor, x: torch.Tensor, draw: Draw) -> torch.Tensor:
        alpha, sigma = (self.posterior.at(name, draw.t, x) for name in ("alpha", "sigma"))
        if self.parametrization == "mean":
            target = self.posterior.mean(x0, x, draw.t)
        else:
            target = PARAMETRIZATIONS[self.parametrization].target(x0, draw.eps, alpha, sigma)
        errors = (output - target).square().flatten(1).mean(1)
        if not self.min_snr:
            return errors
        snr = (alpha / sigma).square()
        # By how much an error of x0 appears in the output, squared
        gain = {"x0": torch.ones_like(snr), "eps": snr, "v": (alpha**2 + sigma**2).square() / sigma**2,
                "mean": self.posterior.at("of_x0", draw.t, x).square()}[self.parametrization]
        return errors * (snr.clamp(max=self.min_snr) / gain).flatten()

    def _mean(self, output: torch.Tensor, x: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The network's mean of x_{t-1}."""
        if self.parametrization == "mean":
            return output
        alpha, sigma = (self.posterior.at(name, draw.t, x) for name in ("alpha", "sigma"))
        return self.posterior.mean(PARAMETRIZATIONS[self.parametrization].read(output, x, alpha, sigma).x0, x, draw.t)


class BoundObjective(SimpleObjective):
    """L_vlb with learned variance, in bits per dimension (Nichol & Dhariwal 2021, sections 3.1 and 3.3).

    The second half of the network's channels is v, the share between the two log variances of eq. 15 being (v + 1) / 2.
    A picture's loss is T times the term of its timestep, so the mean estimates the bound up to the prior's constant term.
    Choose it for likelihood, with timesteps drawn by loss; `HybridObjective` for pictures.
    """

    learned_variance = True

    def losses(self, network: nn.Module, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        x = self._noisy(x0, draw)
        output, v = self._ask(network, x, label, draw).chunk(2, dim=1)
        return self._bound(self._mean(output, x, draw), v, x0, x, draw)

    def _bound(self, mean: torch.Tensor, v: torch.Tensor, x0: torch.Tensor, x: torch.Tensor, draw: Draw) -> torch.Tensor:
        log_variance = self.posterior.log_variance((v + 1) / 2, draw.t)
        return self.posterior.timesteps * self.posterior.bound_term(x0, x, draw.t, mean, log_variance)


class HybridObjective(BoundObjective):
    """L_simple + weight * L_vlb (Nichol & Dhariwal 2021, eq. 16): L_vlb teaches the variance alone, its mean being held."""

    def losses(self, network: nn.Module, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        x = self._noisy(x0, draw)
        output, v = self._ask(network, x, label, draw).chunk(2, dim=1)
        bound = self._bound(self._mean(output.detach(), x, draw), v, x0, x, draw)
        return self._squared_error(output, x0, x, draw) + self.bound_weight * bound


class ClassifierObjective(SimpleObjective):
    """Cross-entropy of a classifier that sees noisy pictures, in nats (Dhariwal & Nichol 2021, section 4)."""

    def losses(self, network: nn.Module, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw) -> torch.Tensor:
        logits = network(self._noisy(x0, draw), draw.t)
        return F.cross_entropy(logits.float(), label, reduction="none")


OBJECTIVES: dict[str, type[SimpleObjective]] = {
    "simple": SimpleObjective,
    "hybrid": HybridObjective,
    "vlb": BoundObjective,
}
