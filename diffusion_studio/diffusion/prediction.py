"""Predictions, and how a network's output in any parametrization becomes x0 and eps.

Each parametrization is linear: the network's target is `of_x0 * x0 + of_eps * eps`, with two coefficients
that depend on the level. A `Reading` holds them. From them follow x0 and eps of an output, and how strongly
an error of x0 appears in it.
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
    """The clean picture x0 and the noise eps predicted for x. Invariant: alpha * x0 + sigma * eps == x.

    `variance` is given by networks with learned variance (Nichol & Dhariwal 2021, eq. 15). Per pixel, in
    [0, 1], it interpolates between the log of the posterior variance and log beta. Only ancestral sampling
    uses it.
    """

    x0: torch.Tensor
    eps: torch.Tensor
    variance: torch.Tensor | None = None


def from_x0(
    x0: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar, variance: torch.Tensor | None = None
) -> Prediction:
    """The prediction with the given x0, where eps follows from the invariant. sigma must not be 0."""
    return Prediction(x0, (x - alpha * x0) / sigma, variance)


def from_eps(eps: torch.Tensor, x: torch.Tensor, alpha: Scalar, sigma: Scalar) -> Prediction:
    """The prediction with the given eps, where x0 follows from the invariant. alpha must not be 0."""
    return Prediction((x - sigma * eps) / alpha, eps)


@dataclass(frozen=True)
class Reading:
    """The meaning of an output at a level: `output = of_x0 * x0 + of_eps * eps` for the input `scale * x`.

    The fields are floats, or tensors that broadcast with x if each picture has its own level (`stack`).
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
        """The reading at one level. Give `determinant` in closed form if its difference would lose digits."""
        if determinant is None:
            determinant = level.alpha * of_eps - level.sigma * of_x0
        return cls(level.alpha, level.sigma, of_x0, of_eps, scale, determinant)

    @property
    def silent(self) -> bool:
        """Whether the output is a multiple of x, so that it does not determine x0.

        Only for a reading at one level, whose determinant is a float.
        """
        return _equals(self.determinant, 0)

    @property
    def slope(self) -> Scalar:
        """The derivative of the target with respect to x0 at fixed x: an error of x0 appears times this."""
        return -self.determinant / self.sigma

    def input(self, x: torch.Tensor) -> torch.Tensor:
        """The network's input for x."""
        return _scaled(self.scale, x)

    def target(self, x0: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """The output of an exact network for x = alpha * x0 + sigma * eps."""
        return _weighted_sum(self.of_x0, x0, self.of_eps, eps)

    def read(self, output: torch.Tensor, x: torch.Tensor, variance: torch.Tensor | None = None) -> Prediction:
        """The output for x as a Prediction with x0 and eps in the shape of x; the inverse of `target`.

        Not defined for a `silent` reading.
        """
        x0 = (
            output
            if _equals(self.of_x0, 1) and _equals(self.of_eps, 0)
            else _weighted_sum(self.of_eps, x, -self.sigma, output) / self.determinant
        )
        eps = (
            output
            if _equals(self.of_x0, 0) and _equals(self.of_eps, 1)
            else _weighted_sum(self.alpha, output, -self.of_x0, x) / self.determinant
        )
        return Prediction(x0, eps, variance)

    @classmethod
    def stack(cls, readings: Sequence[Reading], like: torch.Tensor) -> Reading:
        """One reading for the N pictures of a batch, each at its own level.

        Fields are tensors (N, 1, ...) with the dtype and device of the batch `like`, or floats if all agree.
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
        """The readings with the indices `chosen` (N,) of a stacked reading."""
        every = (getattr(self, field.name) for field in fields(self))
        return Reading(*(one[chosen] if isinstance(one, torch.Tensor) else one for one in every))


def _equals(given: Scalar, number: float) -> bool:
    return not isinstance(given, torch.Tensor) and given == number


def _scaled(factor: Scalar, x: torch.Tensor) -> torch.Tensor:
    return x if _equals(factor, 1) else factor * x


def _weighted_sum(a: Scalar, x: torch.Tensor, b: Scalar, y: torch.Tensor) -> torch.Tensor:
    """a x + b y, without multiplications by 0 or 1."""
    if _equals(a, 0) or _equals(b, 0):
        return _scaled(b, y) if _equals(a, 0) else _scaled(a, x)
    if not isinstance(b, torch.Tensor) and b < 0:
        return _scaled(a, x) - _scaled(-b, y)
    return _scaled(a, x) + _scaled(b, y)


def _eps(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    return Reading.at(at, of_x0=0.0, of_eps=1.0)


def _x0(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    return Reading.at(at, of_x0=1.0, of_eps=0.0)


def _v(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """v = alpha eps - sigma x0 (Salimans & Ho 2022, appendix D)."""
    return Reading.at(at, of_x0=-at.sigma, of_eps=at.alpha)


def _mean(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """The mean of x_{t-1} given x_t and x0 (Ho et al. 2020, eq. 7), with x_{t-1} at the level `below`."""
    scale = at.alpha / below.alpha
    beta = at.sigma**2 - (scale * below.sigma) ** 2
    return Reading.at(
        at,
        of_x0=below.alpha,
        of_eps=scale * below.sigma**2 / at.sigma,
        determinant=-below.alpha * beta / at.sigma,
    )


def _edm(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """The inner network F of D(x) = c_skip x + c_out F(c_in x) (Karras et al. 2022, eq. 7 and table 1).

    For alpha = 1 this is the paper's formula. For other alpha it follows from the paper's requirements: unit
    variance of input and target, and the smallest c_out. With deviation 1 and preserved variance F is -v.
    """
    spread = math.hypot(at.alpha * deviation, at.sigma)  # standard deviation of x; c_in = 1 / spread
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
    """The velocity eps - x0 of the straight path to the noise (Liu et al. 2022; Lipman et al. 2022)."""
    return Reading.at(at, of_x0=-1.0, of_eps=1.0)


def _consistency(at: NoiseLevel, below: NoiseLevel, deviation: float) -> Reading:
    """The inner network F of a consistency model f(x) = c_skip x + c_out F(c_in x) (Song et al. 2023).

    f(x) = x at the least noise, the level `below` (eq. 5 and appendix C). For alpha = 1 this is the paper's
    formula; for other alpha it is that formula for x / alpha and sigma / alpha.
    """
    spread = math.hypot(at.alpha * deviation, at.sigma)  # c_in = 1 / spread
    above = at.sigma - at.alpha * below.sigma / below.alpha
    whole = above**2 + (at.alpha * deviation) ** 2
    # c_skip = (alpha deviation)^2 / whole and c_out = above deviation / spread. At the least noise c_out is
    # 0, and F has no influence.
    out = max(above, 1e-12) * deviation / spread
    return Reading.at(
        at,
        of_x0=above**2 / whole / out,
        of_eps=-at.alpha * deviation**2 * at.sigma / whole / out,
        scale=1 / spread,
        determinant=-at.sigma / out,
    )


# A function of the level, a lower level ("mean": one training timestep down; "consistency": the least noise),
# and the standard deviation of the data.
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
    """The meaning of the output of a network trained with `schedule`, at a level with sigma above 0.

    `name` is one of `PARAMETRIZATIONS`. `sigma_data` is the standard deviation of the data for "edm" and
    "consistency". "mean" refers to the training's step of one timestep, whatever steps a run takes; it raises
    `OptionError` for a schedule in continuous time.
    """
    below = CLEAN
    if name == "mean":
        if not schedule.discrete:
            raise OptionError(
                "parametrization",
                "The parametrization 'mean' needs a schedule with timesteps, and this one is in continuous "
                "time. Choose a schedule with a table of betas, or another parametrization.",
            )
        below = schedule.level(level.t - 1) if level.t >= 1 else CLEAN
    if name == "consistency":
        below = schedule.level(schedule.t_min)
    return PARAMETRIZATIONS[name](level, below, sigma_data)
