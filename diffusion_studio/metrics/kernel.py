"""The kernel distance: maximum mean discrepancy with a cubic polynomial kernel."""

from __future__ import annotations

import numpy as np

from ..errors import DataError

SUBSETS, SUBSET = 100, 1000


def mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate of MMD^2 (Gretton et al. 2012, eq. 3) with k(a, b) = (a.b / D + 1)^3.

    x (M, D) and y (N, D), two or more each. It can be negative where the two are alike.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise DataError(f"A kernel distance takes two or more features of one width on both sides, got {x.shape} and "
                        f"{y.shape}.")
    xx, yy, xy = (_polynomial(p, q) for p, q in ((x, x), (y, y), (x, y)))
    m, n = len(x), len(y)
    return float((xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1)) - 2 * xy.mean())


def kernel_distance(x: np.ndarray, y: np.ndarray, subsets: int = SUBSETS, size: int = SUBSET,
                    seed: int = 0) -> tuple[float, float]:
    """(mean, standard deviation) of `mmd2` over random subsets (Binkowski et al. 2018, the KID; papers print it times
    1000). Subsets have `size` features, or as many as the smaller side has; each side is drawn without repetition.

    Choose it over the Frechet distance for few pictures: its estimate has no bias.
    """
    size = min(size, len(x), len(y))
    random = np.random.Generator(np.random.Philox(seed))
    found = [mmd2(x[random.choice(len(x), size, replace=False)], y[random.choice(len(y), size, replace=False)])
             for _ in range(subsets)]
    return float(np.mean(found)), float(np.std(found))


def _polynomial(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3
