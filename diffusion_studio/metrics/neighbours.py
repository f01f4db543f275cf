"""Nearest neighbours of pictures, by Euclidean distance over all pixels in [0, 1]: whether a model copies
its training data.
"""

from __future__ import annotations

import numpy as np
import torch


def flat(pictures: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) uint8 -> (N, H*W*C) float32 in [0, 1]."""
    return torch.from_numpy(pictures.reshape(len(pictures), -1)).float().div_(255)


@torch.no_grad()
def nearest(pictures: np.ndarray, among: np.ndarray, chunk: int = 4096) -> tuple[torch.Tensor, np.ndarray]:
    """Distances (N,) and indices (N,) of each picture's nearest one in `among`; both uint8 (N, H, W, C)."""
    queries = flat(pictures)
    best = torch.full((len(queries),), torch.inf)
    index = torch.zeros(len(queries), dtype=torch.long)
    for start in range(0, len(among), chunk):
        part = flat(among[start : start + chunk])
        # without |asked|^2, which does not change the order
        low, at = torch.addmm(part.square().sum(1), queries, part.T, alpha=-2).min(1)
        index = torch.where(low < best, at + start, index)
        best = torch.minimum(low, best)
    indices = index.numpy()
    # from differences, because the product above cancels for near copies
    return (queries - flat(among[indices])).norm(dim=1), indices


def pairwise(pictures: np.ndarray) -> float:
    """The mean distance between two of the pictures (N, H, W, C) uint8."""
    return float(torch.pdist(flat(pictures)).mean())
