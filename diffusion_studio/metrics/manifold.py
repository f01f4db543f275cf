"""Precision and recall: the share of generated pictures within the manifold of real ones, and the reverse."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import DataError

_ROWS = 1024


def precision_recall(generated: np.ndarray, real: np.ndarray, k: int = 3) -> tuple[float, float]:
    """(precision, recall) of generated features (M, D) and real features (N, D) (Kynkaanniemi et al. 2019,
    eq. 2).

    A set's manifold is the union of balls around its members, with the distance to the k-th nearest other
    member as radius. Precision is the share of generated features in the real manifold, recall the share of
    real ones in the generated manifold. Results can be compared only at equal M, N and k; the paper has
    50,000 and k = 3. Raises `DataError` for k or fewer pictures.
    """
    for name, features in (("made", generated), ("real", real)):
        if len(features) <= k:
            raise DataError(
                f"Precision and recall with k = {k} take at least {k + 1} pictures, got "
                f"{len(features)} {name} ones. Take more pictures, or a smaller k."
            )
    x, y = (torch.from_numpy(np.asarray(one, np.float64)) for one in (generated, real))
    return _share_inside(x, y, k), _share_inside(y, x, k)


def _share_inside(x: torch.Tensor, of: torch.Tensor, k: int) -> float:
    """The share of x inside the manifold of `of`."""
    radii = torch.cat(
        [
            _distances(part, of)
            .kthvalue(k + 1, dim=1)
            .values  # k + 1, because the nearest is the member itself
            for part in of.split(_ROWS)
        ]
    )
    return float(
        torch.cat([(_distances(part, of) <= radii).any(1) for part in x.split(_ROWS)]).double().mean()
    )


def _distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared distances (M, N). Computed from differences where that is cheap, so that equal features have
    distance exactly zero.
    """
    if x.shape[1] <= 64:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    squared = torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2)
    # for copies, what remains after cancellation is rounding error
    return torch.where(squared < 1e-12 * y.square().sum(1), 0.0, squared)
