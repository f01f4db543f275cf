"""Frechet and kernel distance, precision and recall, the score, neighbours: against closed forms and plain
loops.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from diffusion_studio.errors import DataError
from diffusion_studio.metrics.frechet import Gaussian, frechet
from diffusion_studio.metrics.kernel import kernel_distance, mmd2
from diffusion_studio.metrics.manifold import precision_recall
from diffusion_studio.metrics.neighbours import nearest, pairwise
from diffusion_studio.metrics.score import class_score


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# ---- Frechet
# -------------------------------------------------------------------------------------------------------


def test_the_distance_of_two_known_gaussians():
    """With common eigenvectors: |m1 - m2|^2 + the sum of (sqrt(a) - sqrt(b))^2, here in a turned basis."""
    turn = np.linalg.qr(normal(40, 40))[0]
    a, b = np.linspace(0.01, 3, 40), np.linspace(2, 0, 40)
    one = Gaussian(normal(40, seed=1), turn * a @ turn.T, 100)
    two = Gaussian(normal(40, seed=2), turn * b @ turn.T, 100)
    wanted = np.square(one.mean - two.mean).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet(one, two) == pytest.approx(wanted, rel=1e-9)
    assert frechet(two, one) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("width", [1, 7, 120])
def test_it_equals_the_general_matrix_root(width):
    """scipy's Schur method on covariances that do not commute, as the original computes it."""
    one, two = (
        Gaussian.of(normal(500, width, seed=k) @ normal(width, width, seed=9 + k) + k) for k in (1, 2)
    )
    root = scipy.linalg.sqrtm(one.covariance @ two.covariance)
    wanted = np.square(one.mean - two.mean).sum() + np.trace(one.covariance + two.covariance - 2 * root.real)
    assert frechet(one, two) == pytest.approx(wanted, rel=1e-8)


def test_it_stays_right_with_fewer_pictures_than_features():
    """The trace of (A B)^(1/2) is the nuclear norm of Xa Xb^T, which has no root of a singular matrix."""
    x, y = normal(20, 90), 1.5 * normal(30, 90, seed=1) + 0.1
    centred = (x - x.mean(0)) @ (y - y.mean(0)).T / math.sqrt(19 * 29)
    a, b = np.cov(x.T), np.cov(y.T)
    wanted = (
        np.square(x.mean(0) - y.mean(0)).sum()
        + np.trace(a)
        + np.trace(b)
        - 2 * np.linalg.norm(centred, "nuc")
    )
    assert frechet(Gaussian.of(x), Gaussian.of(y)) == pytest.approx(wanted, rel=1e-6)


def test_the_statistics_are_float64_and_unbiased_and_a_distance_to_itself_is_zero():
    x = (1e4 + normal(50, 6)).astype(np.float32)  # single precision would lose the covariance here
    found = Gaussian.of(x)
    np.testing.assert_allclose(found.covariance, np.cov(x.T.astype(np.float64)), rtol=1e-10)
    assert found.mean.dtype == np.float64 and found.count == 50
    assert frechet(found, found) < 1e-10


def test_frechet_refuses_what_it_cannot_compare():
    with pytest.raises(DataError, match="at least 2 pictures"):
        Gaussian.of(normal(1, 5))
    with pytest.raises(DataError, match="width 5 cannot be compared with features of width 6"):
        frechet(Gaussian.of(normal(9, 5)), Gaussian.of(normal(9, 6)))


# ---- kernel
# --------------------------------------------------------------------------------------------------------


def test_mmd_equals_plain_loops():
    x, y = normal(5, 4), 2 * normal(7, 4, seed=1)
    k = lambda a, b: (float(a @ b) / 4 + 1) ** 3
    wanted = (
        np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
        + np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
        - 2 * np.mean([k(a, b) for a in x for b in y])
    )
    assert mmd2(x, y) == pytest.approx(wanted, rel=1e-12)


def test_mmd_has_no_bias():
    """The mean over draws of 3 is the distance of the populations: two points against one of them."""
    points = np.array([[1.0, 0.0], [0.0, 2.0]])
    k = (points @ points.T / 2 + 1) ** 3
    wanted = k.mean() + k[0, 0] - 2 * k[:, 0].mean()
    draws = np.random.default_rng(0).integers(0, 2, (4000, 3))
    found = [mmd2(points[one], points[[0, 0, 0]]) for one in draws]
    assert abs(np.mean(found) - wanted) < 4 * np.std(found) / math.sqrt(len(found))


def test_subsets_of_everything_are_everything():
    x, y = normal(40, 5), normal(30, 5, seed=1) + 0.5
    mean, spread = kernel_distance(x[:30], y, subsets=4)
    assert mean == pytest.approx(mmd2(x[:30], y), rel=1e-9) and spread < 1e-9
    mean, spread = kernel_distance(x, y, subsets=50, size=10)
    assert abs(mean - mmd2(x, y)) < spread
    assert kernel_distance(x, y, subsets=3, size=10, seed=4) == kernel_distance(
        x, y, subsets=3, size=10, seed=4
    )
    with pytest.raises(DataError, match="two or more"):
        mmd2(x[:1], y)


# ---- precision and recall
# ------------------------------------------------------------------------------------------


def modes(*centres: float, each: int = 50, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.concatenate([normal(each, width, seed=seed + k) * 0.1 + c for k, c in enumerate(centres)])


@pytest.mark.parametrize("width", [8, 200])
def test_precision_and_recall_on_constructed_sets(width):
    real = modes(0, 100, width=width)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(modes(500, 900, width=width), real) == (0, 0)
    dropped = real[:50]  # one of two modes: all real, half covered
    assert precision_recall(dropped, real) == (1, 0.5)
    invented = np.concatenate([real, modes(500, 900, width=width)])
    assert precision_recall(invented, real) == (0.5, 1)


@pytest.mark.parametrize(("width", "k"), [(3, 1), (3, 3), (100, 2)])
def test_precision_and_recall_equal_plain_loops(width, k):
    made, real = normal(30, width), 1.2 * normal(41, width, seed=1)

    def inside(x, of):
        radius = [sorted(np.linalg.norm(p - q) for q in of)[k] for p in of]
        return np.mean([any(np.linalg.norm(p - q) <= r for q, r in zip(of, radius)) for p in x])

    wanted = inside(made, real), inside(real, made)
    assert precision_recall(made, real, k) == wanted
    assert 0 < min(wanted) and max(wanted) < 1 or width == 100


def test_copies_are_inside_even_where_a_radius_is_zero():
    real = np.repeat(normal(3, 100) + 50, 5, axis=0)  # every k-th neighbour is a copy, so every radius is 0
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real + 1, real) == (0, 0)


def test_precision_needs_more_than_k():
    with pytest.raises(DataError, match="take at least 4 pictures, got 3 made ones"):
        precision_recall(normal(3, 5), normal(9, 5))


# ---- score and neighbours
# ------------------------------------------------------------------------------------------


def test_the_score_of_clear_and_varied_is_the_number_of_classes():
    sure = 1000.0 * np.eye(7)[np.arange(70) % 7]
    assert class_score(sure) == pytest.approx((7, 0))
    assert class_score(sure[::7]) == pytest.approx((1, 0))  # always the same class
    assert class_score(np.zeros((20, 7))) == pytest.approx((1, 0))  # never sure


def test_the_score_equals_scipys_entropies():
    logits = 2 * normal(60, 5)
    p = scipy.special.softmax(logits, axis=1)
    wanted = [
        math.exp(np.mean([scipy.stats.entropy(row, part.mean(0)) for row in part])) for part in np.split(p, 3)
    ]
    assert class_score(logits, splits=3) == pytest.approx((np.mean(wanted), np.std(wanted)), rel=1e-12)
    assert class_score(logits[:5])[0] >= 1  # two splits, not ten
    with pytest.raises(DataError, match="at least 2 pictures"):
        class_score(logits[:1])


def test_nearest_equals_plain_loops_and_knows_copies():
    random = np.random.default_rng(0)
    among = random.integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    asked = np.concatenate([random.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8), among[17:18]])
    distance, index = nearest(asked, among, chunk=7)
    apart = np.linalg.norm((asked[:, None] / 255.0 - among / 255.0).reshape(7, 50, -1), axis=2)
    np.testing.assert_array_equal(index, apart.argmin(1))
    np.testing.assert_allclose(distance.numpy(), apart.min(1), atol=1e-6)
    assert index[-1] == 17 and distance[-1] == 0
    assert pairwise(asked[:2]) == pytest.approx(np.linalg.norm(asked[0] / 255.0 - asked[1] / 255.0))
