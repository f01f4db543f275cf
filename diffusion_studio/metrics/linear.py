"""A linear classifier of features: the judge of photographs, which a small network on pixels cannot read
well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

DECAY = 1e-3  # of the weights, beside the mean cross-entropy
STEPS = 200


@dataclass(frozen=True)
class Linear:
    """Logits (features - mean) / scale @ weight + bias; mean, scale (D,), weight (D, classes), bias
    (classes,).
    """

    mean: torch.Tensor
    scale: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(N,) the class of each of (N, D) features."""
        return (
            (((torch.from_numpy(features) - self.mean) / self.scale) @ self.weight + self.bias)
            .argmax(1)
            .numpy()
        )


def fitted(features: np.ndarray, labels: np.ndarray, classes: int) -> Linear:
    """Multinomial logistic regression of standardised (N, D) float32 features, to its optimum by L-BFGS."""
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
        found = F.cross_entropy(x @ weight + bias, y) + DECAY / 2 * weight.square().sum()
        found.backward()
        return found

    optimizer.step(loss)
    return Linear(mean, scale, weight.detach(), bias.detach())
