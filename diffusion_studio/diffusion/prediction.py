"""What a network says about x, read as the clean picture and as the noise.

Each parametrization is a pair: how to read a network's output, and what to train it towards. `alpha` and
`sigma` may be floats or tensors that broadcast with x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

import torch

Scalar = Union[float, torch.Tensor]


@dataclass(frozen=True)
class Prediction:
    """A network's opinion of x at a level, both ways. Invariant: alpha * x0 + sigma * eps == x.

    `variance`, where a network learned it (Nichol & Dhariwal 2021, eq. 15), interpolates per pixel in
    [0, 1] between the log of the posterior variance and log beta; only ancestral sampling reads it.
    """

    x0: torch.Tensor
    eps: torch.Tensor
    variance: torch.Tensor | None = None


def from_x0(x0: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar,
            variance: torch.Tensor | None = None) -> Prediction:
    """The prediction whose clean picture is x0; eps follows from the invariant. sigma must not be 0."""
    return Prediction(x0, (x - alpha * x0) / sigma, variance)


def from_eps(eps: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar) -> Prediction:
    """The prediction whose noise is eps; x0 follows from the invariant. alpha must not be 0."""
    return Prediction((x - sigma * eps) / alpha, eps)


def from_v(v: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar) -> Prediction:
    """v = alpha * eps - sigma * x0 (Salimans & Ho 2022, appendix D), solved together with the invariant."""
    norm = alpha**2 + sigma**2
    return Prediction((alpha * x - sigma * v) / norm, (sigma * x + alpha * v) / norm)


@dataclass(frozen=True)
class Parametrization:
    """`read(output, x, alpha, sigma)` -> Prediction; `target(x0, eps, alpha, sigma)` -> what the output should be."""

    read: Callable[[torch.Tensor, torch.Tensor, Scalar, Scalar], Prediction]
    target: Callable[[torch.Tensor, torch.Tensor, Scalar, Scalar], torch.Tensor]


PARAMETRIZATIONS: dict[str, Parametrization] = {
    "eps": Parametrization(from_eps, lambda x0, eps, alpha, sigma: eps),
    "x0": Parametrization(from_x0, lambda x0, eps, alpha, sigma: x0),
    "v": Parametrization(from_v, lambda x0, eps, alpha, sigma: alpha * eps - sigma * x0),
}
