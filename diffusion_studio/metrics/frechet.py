"""The Frechet distance between two sets of features, each approximated by a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DataError


@dataclass(frozen=True)
class Gaussian:
    """Mean (D,) and covariance (D, D), float64, of `count` samples."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """The Gaussian of (N, D) features, with the unbiased covariance as in the original. Raises
        `DataError` if N < 2.
        """
        if features.ndim != 2 or len(features) < 2:
            raise DataError(
                f"A covariance takes (N, D) features of at least 2 pictures, got {features.shape}."
            )
        x = np.asarray(features, np.float64)
        mean = x.mean(0)
        centred = x - mean
        return cls(mean, centred.T @ centred / (len(x) - 1), len(x))


def frechet(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), float64 (Dowson & Landau 1982; Heusel et al. 2017, eq.
    6).

    The trace of (A B)^(1/2) is the sum of the singular values of A^(1/2) B^(1/2), whose factors are symmetric
    and come from an eigendecomposition. Unlike a general matrix square root this stays real and finite if a
    covariance is singular, as with fewer pictures than features. Raises `DataError` for features of different
    widths.
    """
    if a.mean.shape != b.mean.shape:
        raise DataError(
            f"Features of width {len(a.mean)} cannot be compared with features of width {len(b.mean)}. "
            "Take both from the same network."
        )
    cross = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    apart = np.square(a.mean - b.mean).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(float(apart), 0.0)  # rounding may make zero negative


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semidefinite matrix. Eigenvalues that are negative by
    rounding count as zero.
    """
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
