"""The named sets of points in the plane, each drawn by a formula.

A set is a pure function of (name, count, seed). Constants centre it and scale it to unit variance (the mean
of both coordinates' variances is 1, so shapes keep their proportions). Two draws of a set therefore lie in
the same place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FAMILY = 7  # key of the random streams, different from those of runs
Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class PointSet:
    """A set of points: `draw(random, n)` -> (n, 2) in units of its own, with mean `centre`.

    `spread` is the root of the mean of both coordinates' variances.
    """

    title: str
    draw: Draw
    centre: tuple[float, float]
    spread: float

    def __call__(self, count: int, seed: int) -> np.ndarray:
        """`count` points (count, 2) float32, centred and scaled. They depend on the seed alone."""
        random = np.random.Generator(np.random.Philox(key=[seed, FAMILY]))
        return ((self.draw(random, count) - self.centre) / self.spread).astype(np.float32)


def _swiss_roll(random: np.random.Generator, n: int) -> np.ndarray:
    """A spiral with radius = angle from 1.5 to 4.5 half turns, uniform along its length, with a little
    noise.
    """
    first, last = 1.5 * math.pi, 4.5 * math.pi
    angle = np.sqrt(first**2 + random.random(n) * (last**2 - first**2))
    return angle[:, None] * _unit(angle) + 0.35 * random.standard_normal((n, 2))


def _moons(random: np.random.Generator, n: int) -> np.ndarray:
    """Two interlocking half circles of radius 1."""
    angle, lower = math.pi * random.random(n), random.random(n) < 0.5
    points = _unit(angle) * np.where(lower, -1, 1)[:, None] + np.where(lower, 1.0, 0.0)[:, None] * (1.0, 0.5)
    return points + 0.07 * random.standard_normal((n, 2))


def _rings(random: np.random.Generator, n: int) -> np.ndarray:
    """Three concentric circles of equal density."""
    radius = random.choice((1.0, 2.0, 3.0), n, p=(1 / 6, 2 / 6, 3 / 6))
    return radius[:, None] * _unit(2 * math.pi * random.random(n)) + 0.08 * random.standard_normal((n, 2))


def _two_gaussians(random: np.random.Generator, n: int) -> np.ndarray:
    """Two Gaussians with the parameters of `MIXTURE`."""
    which = random.random(n) < MIXTURE.weights[1]
    means, spreads = np.array(MIXTURE.means), np.array(MIXTURE.spreads)
    return means[which.astype(int)] + spreads[which.astype(int), None] * random.standard_normal((n, 2))


def _eight_gaussians(random: np.random.Generator, n: int) -> np.ndarray:
    """Eight Gaussians on a circle of radius 2."""
    return 2 * _unit(math.pi / 4 * random.integers(0, 8, n)) + 0.15 * random.standard_normal((n, 2))


def _checkerboard(random: np.random.Generator, n: int) -> np.ndarray:
    """The dark fields of a board of 4 x 4."""
    column, row = random.integers(0, 4, n), 2 * random.integers(0, 2, n)
    return np.stack([column, row + column % 2], axis=1) + random.random((n, 2))


def _pinwheel(random: np.random.Generator, n: int) -> np.ndarray:
    """Five arms, each a Gaussian that is rotated more the further out it is."""
    arm = 2 * math.pi / 5 * random.integers(0, 5, n)
    along, across = 1 + 0.3 * random.standard_normal(n), 0.05 * random.standard_normal(n)
    turn = arm + 0.5 * np.exp(along)
    return along[:, None] * _unit(turn) + across[:, None] * _unit(turn + math.pi / 2)


def _heart(random: np.random.Generator, n: int) -> np.ndarray:
    """The curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, filled uniformly."""

    def outline(t: np.ndarray) -> np.ndarray:
        return np.stack(
            [16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)],
            axis=1,
        )

    edge = outline(np.linspace(0, 2 * math.pi, 1025))  # triangles from the centre, chosen by area
    area = np.abs(edge[:-1, 0] * edge[1:, 1] - edge[:-1, 1] * edge[1:, 0])
    which, along = random.choice(1024, n, p=area / area.sum()), random.random(n)[:, None]
    return (edge[which] + along * (edge[which + 1] - edge[which])) * np.sqrt(random.random(n))[:, None]


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians, in the units of the set of that name.

    The density and the score at every noise level follow from it in closed form.
    """

    weights: tuple[float, ...]
    means: tuple[tuple[float, float], ...]
    spreads: tuple[float, ...]


# It has mean 0 and unit variance: 0.12 |d|^2 + 0.4 * 0.3^2 + 0.6 * 0.5^2 = 1, where d is the difference of
# the two means.
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
