"""Training objectives. To add one, write the class and name it in OBJECTIVES here and in config.

An objective is bound to a noise process; `losses(network, x0, label, draw)` returns one number for each
picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from ..diffusion.posterior import Posterior
from ..diffusion.prediction import Reading, reading
from ..diffusion.schedule import NoiseSchedule


@dataclass(frozen=True)
class Draw:
    """The random draws of a training step for N pictures.

    Timesteps t (N,), noise eps like x0, which labels are dropped (N,), and weights (N,) that compensate for a
    non-uniform choice of timesteps (None: no weights).
    """

    t: torch.Tensor
    eps: torch.Tensor
    drop: torch.Tensor
    weight: torch.Tensor | None = None


Network = Callable[..., torch.Tensor]  # (x, t, label) -> output


class SimpleObjective:
    """Mean squared error of the network's output (Ho et al. 2020, eq. 14) at given noise levels.

    With the parametrization flow it is the loss of flow matching (Lipman et al. 2022, eq. 23). With edm it is
    that of EDM (Karras et al. 2022, eq. 8), where lambda(sigma) = 1 / c_out^2 weighs the error of D, so the
    error of F has weight 1.

    `weighting` "edm" gives every parametrization EDM's weight for the error of x0; "output" has weight 1 for
    the error of the output. `min_snr` > 0 is gamma of min-SNR weighting (Hang et al. 2023): the error of x0
    has weight min(SNR, gamma), so that easy noise levels do not dominate. Choose 5 for faster convergence.
    """

    learned_variance = False

    def __init__(
        self,
        schedule: NoiseSchedule,
        parametrization: str,
        null_class: int | None = None,
        device: torch.device | str = "cpu",
        *,
        min_snr: float = 0.0,
        weighting: str = "output",
        sigma_data: float = 0.5,
        bound_weight: float = 0.001,
        dtype: torch.dtype = torch.float32,
        points: bool = False,
    ) -> None:
        self.schedule, self.parametrization, self.sigma_data = schedule, parametrization, sigma_data
        self.null_class = null_class
        self.min_snr, self.weighting, self.bound_weight = min_snr, weighting, bound_weight
        self.device, self.dtype = device, dtype
        self.points = points  # x0 is (N, 2), and not quantized to bytes
        self._table: Reading | None = None
        if schedule.discrete:
            like = torch.empty((0, 1) if points else (0, 1, 1, 1), device=device, dtype=dtype)
            self._table = Reading.stack([self._reading(t) for t in range(schedule.timesteps)], like)

    def at(self, t: torch.Tensor, like: torch.Tensor) -> Reading:
        """The coefficients of x and of the target at labels t (N,), shaped to broadcast with pictures
        `like` (N, C, H, W).
        """
        if self._table is not None:
            return self._table.rows(t)
        low, high = self.schedule.t_min, self.schedule.t_max  # a float32 label may round beyond them
        return Reading.stack([self._reading(min(max(one, low), high)) for one in t.tolist()], like)

    def _reading(self, t: float) -> Reading:
        return reading(self.parametrization, self.schedule.level(t), self.schedule, self.sigma_data)

    def __call__(
        self, network: Network, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw
    ) -> torch.Tensor:
        """The loss of the batch, a scalar. x0 (N, C, H, W) in [-1, 1]; label (N,) class indices or None."""
        losses = self.losses(network, x0, label, draw)
        return (losses if draw.weight is None else losses * draw.weight).mean()

    def losses(
        self, network: Network, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw
    ) -> torch.Tensor:
        """The losses of the pictures (N,), without the draw's weights."""
        coefficients = self.at(draw.t, x0)
        return self._squared_error(
            self._output(network, _noisy(coefficients, x0, draw), coefficients, label, draw),
            coefficients,
            x0,
            draw,
        )

    def _output(
        self,
        network: Network,
        x: torch.Tensor,
        coefficients: Reading,
        label: torch.Tensor | None,
        draw: Draw,
    ) -> torch.Tensor:
        """The network's output in at least float32, with the labels of `draw.drop` replaced by the null
        class.
        """
        if label is not None and self.null_class is not None:
            label = torch.where(draw.drop, self.null_class, label)
        return network(coefficients.input(x), draw.t, label).to(torch.promote_types(x.dtype, torch.float32))

    def _squared_error(
        self, output: torch.Tensor, coefficients: Reading, x0: torch.Tensor, draw: Draw
    ) -> torch.Tensor:
        errors = (output - coefficients.target(x0, draw.eps)).square().flatten(1).mean(1)
        if not self.min_snr and self.weighting == "output":
            return errors
        snr = torch.as_tensor(coefficients.alpha / coefficients.sigma).square()
        if self.min_snr:
            x0_weight = snr.clamp(max=self.min_snr)
        else:
            x0_weight = snr + self.sigma_data**-2  # 1 / c_out^2 where alpha is 1
        weight = x0_weight / torch.as_tensor(coefficients.slope).square()
        return errors * weight.to(errors).flatten()


class BoundObjective(SimpleObjective):
    """L_vlb with learned variance, in bits per dimension (Nichol & Dhariwal 2021, sections 3.1 and 3.3).

    The second half of the network's output channels is v: (v + 1) / 2 interpolates between the two log
    variances of eq. 15. A picture's loss is T times the term of its timestep, so the mean estimates the bound
    up to the constant term of the prior. Choose it for likelihood, with timesteps drawn by loss; choose
    `HybridObjective` for picture quality.
    """

    learned_variance = True

    @cached_property
    def posterior(self) -> Posterior:
        return Posterior(self.schedule, self.device, self.dtype, bytes=not self.points)

    def losses(
        self, network: Network, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw
    ) -> torch.Tensor:
        coefficients = self.at(draw.t, x0)
        x = _noisy(coefficients, x0, draw)
        output, v = self._output(network, x, coefficients, label, draw).chunk(2, dim=1)
        return self._bound(self._mean(output, x, coefficients, draw), v, x0, x, draw)

    def _mean(self, output: torch.Tensor, x: torch.Tensor, coefficients: Reading, draw: Draw) -> torch.Tensor:
        """The network's mean of x_{t-1}."""
        return (
            output
            if self.parametrization == "mean"
            else self.posterior.mean(coefficients.read(output, x).x0, x, draw.t)
        )

    def _bound(
        self, mean: torch.Tensor, v: torch.Tensor, x0: torch.Tensor, x: torch.Tensor, draw: Draw
    ) -> torch.Tensor:
        log_variance = self.posterior.log_variance((v + 1) / 2, draw.t)
        return self.posterior.timesteps * self.posterior.bound_term(x0, x, draw.t, mean, log_variance)


class HybridObjective(BoundObjective):
    """L_simple + weight * L_vlb (Nichol & Dhariwal 2021, eq. 16).

    The gradient of L_vlb reaches the variance alone, because the mean is detached.
    """

    def losses(
        self, network: Network, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw
    ) -> torch.Tensor:
        coefficients = self.at(draw.t, x0)
        x = _noisy(coefficients, x0, draw)
        output, v = self._output(network, x, coefficients, label, draw).chunk(2, dim=1)
        bound = self._bound(self._mean(output.detach(), x, coefficients, draw), v, x0, x, draw)
        return self._squared_error(output, coefficients, x0, draw) + self.bound_weight * bound


class ClassifierObjective(SimpleObjective):
    """Cross-entropy, in nats, of a classifier of noisy pictures (Dhariwal & Nichol 2021, section 4)."""

    def losses(
        self, network: Network, x0: torch.Tensor, label: torch.Tensor | None, draw: Draw
    ) -> torch.Tensor:
        assert label is not None, "a classifier learns from labels"
        logits = network(_noisy(self.at(draw.t, x0), x0, draw), draw.t)
        return F.cross_entropy(logits.float(), label, reduction="none")


def _noisy(coefficients: Reading, x0: torch.Tensor, draw: Draw) -> torch.Tensor:
    return coefficients.alpha * x0 + coefficients.sigma * draw.eps


OBJECTIVES: dict[str, type[SimpleObjective]] = {
    "simple": SimpleObjective,
    "hybrid": HybridObjective,
    "vlb": BoundObjective,
}
