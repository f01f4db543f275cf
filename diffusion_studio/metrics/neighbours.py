"""Is a picture new? The nearest ones of a set, by Euclidean distance over all pixels, which lie in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch


def flat(pictures: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) uint8 -> (N, H*W*C) float32 in [0, 1]."""
    return torch.from_numpy(pictures.reshape(len(pictures), -1)).float().div_(255)


@torch.no_grad()
def nearest(pictures: np.ndarray, among: np.ndarray, chunk: int = 4096) -> tuple[torch.Tensor, np.ndarray]:
    """((N,) distances, (N,) indices) of each picture's nearest one among others; both uint8 (N, H, W, C)."""
    asked = flat(pictures)
    best = torch.full((len(asked),), torch.inf)
    index = torch.zeros(len(asked), dtype=torch.long)
    for start in range(0, len(among), chunk):
        part = flat(among[start : start + chunk])
        low, at = torch.addmm(part.square().sum(1), asked, part.T, alpha=-2).min(
            1
        )  # less |asked|^2, alike for all
        index = torch.where(low < best, at + start, index)
        best = torch.minimum(low, best)
    found = index.numpy()
    return (asked - flat(among[found])).norm(dim=1), found  # anew, as the product cancels for near copies


def pairwise(pictures: np.ndarray) -> float:
    """Mean distance between two of (N, H, W, C) uint8 pictures."""
    return float(torch.pdist(flat(pictures)).mean())
