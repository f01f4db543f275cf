"""Precision and recall: is what was made inside the manifold of real pictures, and the other way round?"""

from __future__ import annotations

import numpy as np
import torch

from ..errors import DataError

_ROWS = 1024


def precision_recall(made: np.ndarray, real: np.ndarray, k: int = 3) -> tuple[float, float]:
    """(precision, recall) of (M, D) made and (N, D) real features (Kynkaanniemi et al. 2019, eq. 2).

    A set's manifold is the union of balls around its members, each reaching to the member's k-th nearest
    fellow. Precision: the share of made features inside the real manifold. Recall: the share of real ones
    inside that of the made. Figures compare only at equal M, N and k; the paper has 50,000 and k = 3.
    """
    for name, given in (("made", made), ("real", real)):
        if len(given) <= k:
            raise DataError(
                f"Precision and recall with k = {k} take at least {k + 1} pictures, got {len(given)} {name} "
                "ones. Take more pictures, or a smaller k."
            )
    x, y = (torch.from_numpy(np.asarray(one, np.float64)) for one in (made, real))
    return _inside(x, y, k), _inside(y, x, k)


def _inside(x: torch.Tensor, of: torch.Tensor, k: int) -> float:
    """The share of x inside the manifold of `of`."""
    radii = torch.cat(
        [
            _distances(part, of).kthvalue(k + 1, dim=1).values  # the nearest of all is itself
            for part in of.split(_ROWS)
        ]
    )
    return float(
        torch.cat([(_distances(part, of) <= radii).any(1) for part in x.split(_ROWS)]).double().mean()
    )


def _distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared, (M, N). By differences where that is cheap, so that equal features are at distance zero
    exactly.
    """
    if x.shape[1] <= 64:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    squared = torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2)
    # copies: what is left of the cancellation is rounding, not distance
    return torch.where(squared < 1e-12 * y.square().sum(1), 0.0, squared)
