"""Logistic regression on features, which judges photographs better than a small network on pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

DECAY = 1e-3  # weight of the L2 penalty, relative to the mean cross-entropy
STEPS = 200  # most steps of L-BFGS


@dataclass(frozen=True)
class Linear:
    """A linear classifier with logits (features - mean) / scale @ weight + bias.

    mean, scale (D,), weight (D, classes), bias (classes,).
    """

    mean: torch.Tensor
    scale: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The predicted class (N,) of each row of features (N, D)."""
        return (
            (((torch.from_numpy(features) - self.mean) / self.scale) @ self.weight + self.bias)
            .argmax(1)
            .numpy()
        )


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> Linear:
    """Multinomial logistic regression of standardised features (N, D) float32, solved by L-BFGS."""
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    mean, scale = x.mean(0), x.std(0).clamp_min(1e-6)
    x = (x - mean) / scale
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=STEPS,
        tolerance_grad=1e-6,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = F.cross_entropy(x @ weight + bias, y) + DECAY / 2 * weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return Linear(mean, scale, weight.detach(), bias.detach())
