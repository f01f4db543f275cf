"""The kernel distance (maximum mean discrepancy), with a cubic polynomial kernel of features or Gaussian
kernels of points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import DataError

SUBSETS, SUBSET = 100, 1000  # number and size of the random subsets
ROWS = 1024  # of a kernel matrix, computed at a time
WIDTHS = (0.1, 0.3, 1.0)  # of the Gaussian kernels, for points of variance 1
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


def polynomial(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The kernel matrix (M, N) of (a.b / D + 1)^3 (Binkowski et al. 2018)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def gaussians(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The kernel matrix (M, N) of the mean over `WIDTHS` of exp(-|a - b|^2 / 2 w^2).

    The widths cover fine and coarse structure. They are fixed and not fitted to the sets, so that figures of
    different models and runs can be compared.
    """
    squared = np.zeros((len(a), len(b)), a.dtype)
    for k in range(a.shape[1]):
        squared += (a[:, None, k] - b[None, :, k]) ** 2
    total = np.zeros_like(squared)
    for width in WIDTHS:
        total += np.exp(squared / (-2 * width**2))
    return total / len(WIDTHS)


def mmd2(x: np.ndarray, y: np.ndarray, kernel: Kernel = polynomial) -> float:
    """The unbiased estimate of MMD^2 (Gretton et al. 2012, eq. 3) of x (M, D) and y (N, D).

    It can be negative if the two are alike. Raises `DataError` for fewer than two rows or different widths.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise DataError(
            f"A kernel distance takes two or more features of one width on both sides, got {x.shape} and "
            f"{y.shape}."
        )
    m, n = len(x), len(y)
    (xx, own_x), (yy, own_y), (xy, _) = (_sums(kernel, p, q) for p, q in ((x, x), (y, y), (x, y)))
    return float((xx - own_x) / (m * (m - 1)) + (yy - own_y) / (n * (n - 1)) - 2 * xy / (m * n))


def _sums(kernel: Kernel, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The sum of a kernel matrix and the sum of its diagonal, computed some rows at a time."""
    total = own = 0.0
    for at in range(0, len(x), ROWS):
        part = kernel(x[at : at + ROWS], y)
        total, own = total + part.sum(), own + np.trace(part, offset=at)
    return total, own


def kernel_distance(
    x: np.ndarray,
    y: np.ndarray,
    subsets: int = SUBSETS,
    size: int = SUBSET,
    seed: int = 0,
    kernel: Kernel = polynomial,
) -> tuple[float, float]:
    """Mean and standard deviation of `mmd2` over random subsets (KID, Binkowski et al. 2018; papers print it
    times 1000).

    Subsets have `size` rows, or as many as the smaller set, drawn without replacement. Choose it over the
    Frechet distance for few pictures, because its estimate is unbiased.
    """
    size = min(size, len(x), len(y))
    random = np.random.Generator(np.random.Philox(seed))
    distances = [
        mmd2(
            x[random.choice(len(x), size, replace=False)],
            y[random.choice(len(y), size, replace=False)],
            kernel,
        )
        for _ in range(subsets)
    ]
    return float(np.mean(distances)), float(np.std(distances))
