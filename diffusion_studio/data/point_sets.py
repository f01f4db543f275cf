"""The named sets of points in the plane, each drawn by a formula.

A set is a pure function of (name, count, seed), centred and of unit variance (the mean of both coordinates'
variances is 1, so shapes keep their proportions) by constants of its own, so that two draws of it lie in the
same place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FAMILY = 7  # of random streams, apart from those of runs
Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class PointSet:
    """`draw(random, n)` -> (n, 2) in its own measure; `centre` is its mean and `spread` the root of its
    mean variance.
    """

    title: str
    draw: Draw
    centre: tuple[float, float]
    spread: float

    def __call__(self, count: int, seed: int) -> np.ndarray:
        """(count, 2) float32. The seed's own points, whatever was drawn before."""
        random = np.random.Generator(np.random.Philox(key=[seed, FAMILY]))
        return ((self.draw(random, count) - self.centre) / self.spread).astype(np.float32)


def _swiss_roll(random: np.random.Generator, n: int) -> np.ndarray:
    """A spiral r = angle from 1.5 to 4.5 half turns, even along its length, a little blurred."""
    first, last = 1.5 * math.pi, 4.5 * math.pi
    angle = np.sqrt(first**2 + random.random(n) * (last**2 - first**2))
    return angle[:, None] * _unit(angle) + 0.35 * random.standard_normal((n, 2))


def _moons(random: np.random.Generator, n: int) -> np.ndarray:
    """Two half circles of radius 1 that reach into each other."""
    angle, lower = math.pi * random.random(n), random.random(n) < 0.5
    points = _unit(angle) * np.where(lower, -1, 1)[:, None] + np.where(lower, 1.0, 0.0)[:, None] * (1.0, 0.5)
    return points + 0.07 * random.standard_normal((n, 2))


def _rings(random: np.random.Generator, n: int) -> np.ndarray:
    """Three circles about one centre, each as dense as the others."""
    radius = random.choice((1.0, 2.0, 3.0), n, p=(1 / 6, 2 / 6, 3 / 6))
    return radius[:, None] * _unit(2 * math.pi * random.random(n)) + 0.08 * random.standard_normal((n, 2))


def _two_gaussians(random: np.random.Generator, n: int) -> np.ndarray:
    """See `MIXTURE`, which has the numbers."""
    which = random.random(n) < MIXTURE.weights[1]
    means, spreads = np.array(MIXTURE.means), np.array(MIXTURE.spreads)
    return means[which.astype(int)] + spreads[which.astype(int), None] * random.standard_normal((n, 2))


def _eight_gaussians(random: np.random.Generator, n: int) -> np.ndarray:
    """Eight spots on a circle of radius 2."""
    return 2 * _unit(math.pi / 4 * random.integers(0, 8, n)) + 0.15 * random.standard_normal((n, 2))


def _checkerboard(random: np.random.Generator, n: int) -> np.ndarray:
    """The dark fields of a board of 4 x 4."""
    column, row = random.integers(0, 4, n), 2 * random.integers(0, 2, n)
    return np.stack([column, row + column % 2], axis=1) + random.random((n, 2))


def _pinwheel(random: np.random.Generator, n: int) -> np.ndarray:
    """Five arms of a Gaussian each, the further out the more turned."""
    arm = 2 * math.pi / 5 * random.integers(0, 5, n)
    along, across = 1 + 0.3 * random.standard_normal(n), 0.05 * random.standard_normal(n)
    turn = arm + 0.5 * np.exp(along)
    return along[:, None] * _unit(turn) + across[:, None] * _unit(turn + math.pi / 2)


def _heart(random: np.random.Generator, n: int) -> np.ndarray:
    """The curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, filled evenly."""

    def outline(t: np.ndarray) -> np.ndarray:
        return np.stack(
            [16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)],
            axis=1,
        )

    edge = outline(np.linspace(0, 2 * math.pi, 1025))  # triangles from the middle, each by its area
    area = np.abs(edge[:-1, 0] * edge[1:, 1] - edge[:-1, 1] * edge[1:, 0])
    which, along = random.choice(1024, n, p=area / area.sum()), random.random(n)[:, None]
    return (edge[which] + along * (edge[which + 1] - edge[which])) * np.sqrt(random.random(n))[:, None]


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class Mixture:
    """Round Gaussians, in the measure of the set of that name: what every level's density and score follow
    from exactly.
    """

    weights: tuple[float, ...]
    means: tuple[tuple[float, float], ...]
    spreads: tuple[float, ...]


# Mean 0 and unit variance as they stand: 0.12 |d|^2 + 0.4 * 0.3^2 + 0.6 * 0.5^2 = 1, where d is between the
# two means
MIXTURE = Mixture((0.4, 0.6), ((-1.44, -0.60696), (0.96, 0.40464)), (0.3, 0.5))
POINT_SETS: dict[str, PointSet] = {
    "swiss-roll": PointSet("a swiss roll", _swiss_roll, (2.45497, 0.42441), 7.24814),
    "moons": PointSet("two moons", _moons, (0.5, 0.25), 0.70852),
    "rings": PointSet("three rings", _rings, (0.0, 0.0), 1.733897),
    "two-gaussians": PointSet("two Gaussians", _two_gaussians, (0.0, 0.0), 1.0),
    "eight-gaussians": PointSet("eight Gaussians", _eight_gaussians, (0.0, 0.0), 1.422146),
    "checkerboard": PointSet("a checkerboard", _checkerboard, (2.0, 2.0), 1.154701),
    "pinwheel": PointSet("a pinwheel", _pinwheel, (0.0, 0.0), 0.739087),
    "heart": PointSet("a heart", _heart, (0.0, 0.8309), 7.12234),
}
