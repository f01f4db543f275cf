"""The reverse step's algebra over all timesteps: the posterior q(x_{t-1} | x_t, x0) and the terms of the
bound.

What the variational bound (Ho et al. 2020, eq. 5) is made of: Gaussians, their divergence, and the
discretised decoder of the last step. All tables are computed in float64.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .schedule import CLEAN, NoiseSchedule

BIN = 2 / 255  # distance of two neighbours among the 256 values of a byte, in [-1, 1]
_EDGE = 1 - BIN / 4  # beyond it a value is the first or the last of the 256


class Posterior:
    """q(x_{t-1} | x_t, x0) of a schedule, t = 0 .. T-1 (t = 0 leads to the clean picture).

    Every method takes t (N,) and pictures (N, ...). Right for any alpha and sigma, not only variance
    preserving ones. `dtype` is that of the tables that are looked up; they are computed in float64. `bytes`
    says that x0 holds bytes; else it is continuous, and the bound's last term is a density.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        bytes: bool = True,
    ) -> None:
        self.bytes = bytes
        levels = [CLEAN, *(schedule.level(t) for t in range(schedule.timesteps))]
        alpha, sigma = (np.array([getattr(level, name) for level in levels]) for name in ("alpha", "sigma"))
        scale = alpha[1:] / alpha[:-1]  # q(x_t | x_{t-1}) = N(scale * x_{t-1}, beta)
        beta = sigma[1:] ** 2 - (scale * sigma[:-1]) ** 2
        small = beta * sigma[:-1] ** 2 / sigma[1:] ** 2
        # The last step's own posterior has no width; it borrows its neighbour's (Nichol & Dhariwal 2021,
        # their code)
        small[0] = small[1] if len(small) > 1 else beta[0]
        self.tables = {
            "alpha": alpha[1:],
            "sigma": sigma[1:],
            "log_small": np.log(small),
            "log_beta": np.log(beta),
            "of_x0": alpha[:-1] * beta / sigma[1:] ** 2,
            "of_x": scale * sigma[:-1] ** 2 / sigma[1:] ** 2,
        }
        self._tensors = {
            name: torch.tensor(table, dtype=dtype, device=device) for name, table in self.tables.items()
        }

    @property
    def timesteps(self) -> int:
        return len(self.tables["alpha"])

    def at(self, name: str, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """A table at t, shaped (N, 1, ...) to broadcast with `like`.

        The names: alpha, sigma, log_small, log_beta, and of_x0 and of_x, the factors in the mean.
        """
        return self._tensors[name][t].view(-1, *[1] * (like.ndim - 1))

    def mean(self, x0: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The mean of x_{t-1} given x_t = x and x0 (Ho et al. 2020, eq. 7)."""
        return self.at("of_x0", t, x) * x0 + self.at("of_x", t, x) * x

    def log_variance(self, share: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Learned range (Nichol & Dhariwal 2021, eq. 15): 0 is the posterior's log variance, 1 is log
        beta.
        """
        return torch.lerp(self.at("log_small", t, share), self.at("log_beta", t, share), share)

    def bound_term(
        self,
        x0: torch.Tensor,
        x: torch.Tensor,
        t: torch.Tensor,
        mean: torch.Tensor,
        log_variance: torch.Tensor,
    ) -> torch.Tensor:
        """(N,) bits per dimension that the step t -> t-1 costs where the model says N(mean,
        exp(log_variance)).

        L_{t-1} of Ho et al. 2020, eq. 5 for t > 0; for t = 0 the discretised decoder L_0, or the density
        where x0 is no bytes. The sum over all t and `prior_term` is the variational bound.
        """
        kl = normal_kl(self.mean(x0, x, t), self.at("log_small", t, x), mean, log_variance)
        decoder = -(
            discretised_log_likelihood(x0, mean, 0.5 * log_variance)
            if self.bytes
            else normal_log_density(x0, mean, log_variance)
        )
        first = (t == 0).view(-1, *[1] * (x.ndim - 1))
        return torch.where(first, decoder, kl).flatten(1).mean(1) / math.log(2)

    def prior_term(self, x0: torch.Tensor) -> torch.Tensor:
        """(N,) bits per dimension by which x_T falls short of standard normal noise: L_T, which no network
        changes.
        """
        t = torch.full((len(x0),), self.timesteps - 1, device=x0.device)
        sigma = self.at("sigma", t, x0)
        kl = normal_kl(
            self.at("alpha", t, x0) * x0, 2 * sigma.log(), torch.zeros_like(x0), torch.zeros_like(sigma)
        )
        return kl.flatten(1).mean(1) / math.log(2)


def normal_kl(
    mean: torch.Tensor, log_variance: torch.Tensor, other_mean: torch.Tensor, other_log_variance: torch.Tensor
) -> torch.Tensor:
    """KL(N(mean, var) || N(other_mean, other_var)) of every element, in nats."""
    ratio = log_variance - other_log_variance
    return 0.5 * ((mean - other_mean).square() * (-other_log_variance).exp() + ratio.exp() - 1 - ratio)


def normal_log_density(x: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Log density of every element, in nats."""
    return -0.5 * ((x - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))


def discretised_log_likelihood(
    x0: torch.Tensor, mean: torch.Tensor, log_deviation: torch.Tensor
) -> torch.Tensor:
    """Log of the probability, in nats, that a Gaussian rounds to the byte x0 (Ho et al. 2020, eq. 13).

    x0 holds bytes scaled to [-1, 1]; the first and the last of the 256 take the tails, so that all sum to
    one. Exact in the tails, where the difference of two distribution functions would be 0.
    """
    inverse = (-log_deviation).exp()
    below, above = (x0 - BIN / 2 - mean) * inverse, (x0 + BIN / 2 - mean) * inverse
    # P(below < z < above), from whichever side the interval is nearer to: there both logs are accurate
    flipped = below > 0
    near, far = torch.where(flipped, -below, above), torch.where(flipped, -above, below)
    log_near, log_far = torch.special.log_ndtr(near), torch.special.log_ndtr(far)
    inner = log_near + (-torch.expm1(log_far - log_near)).clamp(min=1e-12).log()
    tails = torch.where(x0 < 0, torch.special.log_ndtr(above), torch.special.log_ndtr(-below))
    return torch.where(x0.abs() > _EDGE, tails, inner)
