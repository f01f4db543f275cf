"""What a network says about x, read as the clean picture and as the noise.

Every parametrization is linear: its target is `of_x0 * x0 + of_eps * eps` with two numbers that depend on the
level. A `Reading` holds them, and everything else follows: how to read an output, and how much an error of x0
shows in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch

from ..errors import OptionError
from .schedule import CLEAN, NoiseLevel, NoiseSchedule

Scalar = float | torch.Tensor


@dataclass(frozen=True)
class Prediction:
    """A network's opinion of x at a level, both ways. Invariant: alpha * x0 + sigma * eps == x.

    `variance`, where a network learned it (Nichol & Dhariwal 2021, eq. 15), interpolates per pixel in
    [0, 1] between the log of the posterior variance and log beta; only ancestral sampling reads it.
    """

    x0: torch.Tensor
    eps: torch.Tensor
    variance: torch.Tensor | None = None


def from_x0(
    x0: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar, variance: torch.Tensor | None = None
) -> Prediction:
    """The prediction whose clean picture is x0; eps follows from the invariant. sigma must not be 0."""
    return Prediction(x0, (x - alpha * x0) / sigma, variance)


def from_eps(eps: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar) -> Prediction:
    """The prediction whose noise is eps; x0 follows from the invariant. alpha must not be 0."""
    return Prediction((x - sigma * eps) / alpha, eps)


@dataclass(frozen=True)
class Reading:
    """What a network's output means at a level: `output = of_x0 * x0 + of_eps * eps`, asked about `scale *
    x`.

    The fields are floats, or tensors that broadcast with x (`stack`: a level for each picture).
    """

    alpha: Scalar
    sigma: Scalar
    of_x0: Scalar
    of_eps: Scalar
    scale: Scalar
    determinant: Scalar  # of (x, output) as functions of (x0, eps)

    @classmethod
    def at(
        cls,
        level: NoiseLevel,
        of_x0: float,
        of_eps: float,
        scale: float = 1.0,
        determinant: float | None = None,
    ) -> Reading:
        """The reading at one level. Give `determinant` in closed form where the difference would cancel."""
        if determinant is None:
            determinant = level.alpha * of_eps - level.sigma * of_x0
        return cls(level.alpha, level.sigma, of_x0, of_eps, scale, determinant)

    @property
    def silent(self) -> bool:
        """Whether the output tells nothing beyond x itself, so that no x0 can be read from it.

        Only of a reading of one level: its determinant is a float.
        """
        return _is(self.determinant, 0)

    @property
    def slope(self) -> Scalar:
        """By how much the target changes with x0 where x is given: an error of x0 appears in the output
        times this.
        """
        return -self.determinant / self.sigma

    def input(self, x: torch.Tensor) -> torch.Tensor:
        """What the network is to be given for x."""
        return _times(self.scale, x)

    def target(self, x0: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """What the output should be where x = alpha * x0 + sigma * eps."""
        return _sum(self.of_x0, x0, self.of_eps, eps)

    def read(self, output: torch.Tensor, x: torch.Tensor, variance: torch.Tensor | None = None) -> Prediction:
        """The output for x as a Prediction, x0 and eps like x; the inverse of `target`. Not where it is
        `silent`.
        """
        x0 = (
            output
            if _is(self.of_x0, 1) and _is(self.of_eps, 0)
            else _sum(self.of_eps, x, -self.sigma, output) / self.determinant
        )
        eps = (
            output
            if _is(self.of_x0, 0) and _is(self.of_eps, 1)
            else _sum(self.alpha, output, -self.of_x0, x) / self.determinant
        )
        return Prediction(x0, eps, variance)

    @classmethod
    def stack(cls, readings: Sequence[Reading], like: torch.Tensor) -> Reading:
        """One reading for the N pictures of a batch `like`, each at its own level: fields (N, 1, ...), or
        a float where all agree. Its dtype and device are those of `like`.
        """
        shape = (-1, *[1] * (like.ndim - 1))
        columns = zip(*[[getattr(one, field.name) for field in fields(cls)] for one in readings])
        return cls(
            *(
                one[0] if len(set(one)) == 1 else torch.tensor(one, dtype=torch.float64).to(like).view(shape)
                for one in columns
            )
        )

    def rows(self, chosen: torch.Tensor) -> Reading:
        """The readings `chosen` (N,) of a stack of many."""
        every = (getattr(self, field.name) for field in fields(self))
        return Reading(*(one[chosen] if isinstance(one, torch.Tensor) else one for one in every))


def _is(given: Scalar, number: float) -> bool:
    return not isinstance(given, torch.Tensor) and given == number


def _times(factor: Scalar, x: torch.Tensor) -> torch.Tensor:
    return x if _is(factor, 1) else factor * x


def _sum(a: Scalar, x: torch.Tensor, b: Scalar, y: torch.Tensor) -> torch.Tensor:
    """a x + b y, without the work for factors that are 0 or 1."""
    if _is(a, 0) or _is(b, 0):
        return _times(b, y) if _is(a, 0) else _times(a, x)
    if not isinstance(b, torch.Tensor) and b < 0:
        return _times(a, x) - _times(-b, y)
    return _times(a, x) + _times(b, y)


def _eps(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    return Reading.at(at, of_x0=0.0, of_eps=1.0)


def _x0(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    return Reading.at(at, of_x0=1.0, of_eps=0.0)


def _v(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """Salimans & Ho 2022, appendix D."""
    return Reading.at(at, of_x0=-at.sigma, of_eps=at.alpha)


def _mean(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """The mean of x_{t-1} given x_t and x0 (Ho et al. 2020, eq. 7), where x_{t-1} is at the level `below`."""
    kept = at.alpha / below.alpha
    beta = at.sigma**2 - (kept * below.sigma) ** 2
    return Reading.at(
        at,
        of_x0=below.alpha,
        of_eps=kept * below.sigma**2 / at.sigma,
        determinant=-below.alpha * beta / at.sigma,
    )


def _edm(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """The inner network F of D(x) = c_skip x + c_out F(c_in x) (Karras et al. 2022, eq. 7 and table 1).

    For alpha = 1 exactly the paper's; else what its requirements (unit variance of input and target, the
    smallest c_out) give for alpha * x0 + sigma * eps. With deviation 1 and preserved variance F is -v.
    """
    spread = math.hypot(at.alpha * deviation, at.sigma)  # of x; c_in = 1 / spread
    # F = (x0 - c_skip x) / c_out with c_skip = alpha (deviation / spread)^2 and c_out = sigma deviation /
    # spread
    return Reading.at(
        at,
        of_x0=at.sigma / (deviation * spread),
        of_eps=-at.alpha * deviation / spread,
        scale=1 / spread,
        determinant=-spread / deviation,
    )


def _flow(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """eps - x0, the velocity of the straight line from picture to noise (Liu et al. 2022; Lipman et al.
    2022).
    """
    return Reading.at(at, of_x0=-1.0, of_eps=1.0)


def _consistency(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """The inner network F of a consistency model f(x) = c_skip x + c_out F(c_in x), where f(x) = x at the
    least noise `below` (Song et al. 2023, eq. 5 and appendix C). For alpha = 1 exactly the paper's; else
    of x / alpha and sigma / alpha.
    """
    spread = math.hypot(at.alpha * deviation, at.sigma)  # c_in = 1 / spread
    above = at.sigma - at.alpha * below.sigma / below.alpha
    whole = above**2 + (at.alpha * deviation) ** 2
    # c_skip = (alpha deviation)^2 / whole and c_out = above deviation / spread, which is 0 at the least
    # noise: F is not heard
    out = max(above, 1e-12) * deviation / spread
    return Reading.at(
        at,
        of_x0=above**2 / whole / out,
        of_eps=-at.alpha * deviation**2 * at.sigma / whole / out,
        scale=1 / spread,
        determinant=-at.sigma / out,
    )


# From the level, the level below that it is about ("mean": one training timestep down; "consistency": the
# least noise), and the data's standard deviation.
Parametrization = Callable[[NoiseLevel, NoiseLevel, float], Reading]

PARAMETRIZATIONS: dict[str, Parametrization] = {
    "eps": _eps,
    "x0": _x0,
    "v": _v,
    "mean": _mean,
    "edm": _edm,
    "flow": _flow,
    "consistency": _consistency,
}


def reading(name: str, level: NoiseLevel, schedule: NoiseSchedule, sigma_data: float = 0.5) -> Reading:
    """What the output of a network that was trained with `schedule` means at a level with sigma above 0.

    `name` is one of `PARAMETRIZATIONS`; `sigma_data` is the data's standard deviation as "edm" assumes it.
    The step that "mean" is about is that of training, from the level to its neighbour one timestep down,
    whatever steps a run takes; an `OptionError` in continuous time, which has none.
    """
    below = CLEAN
    if name == "mean":
        if not schedule.discrete:
            raise OptionError(
                "parametrization",
                "The mean of x_{t-1} needs a schedule with timesteps. Choose a table, or another "
                "parametrization.",
            )
        below = schedule.level(level.t - 1) if level.t >= 1 else CLEAN
    if name == "consistency":
        below = schedule.level(schedule.t_min)
    return PARAMETRIZATIONS[name](level, below, sigma_data)
