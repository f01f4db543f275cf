"""The posterior q(x_{t-1} | x_t, x0) and the terms of the variational bound (Ho et al. 2020, eq. 5).

The terms are divergences of Gaussians and the discretised decoder of the last step. All tables are computed
in float64.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .schedule import CLEAN, NoiseSchedule

BIN = 2 / 255  # distance of two neighbouring byte values, scaled to [-1, 1]
_EDGE = 1 - BIN / 4  # absolute values above this are the bytes 0 and 255


class Posterior:
    """The posterior q(x_{t-1} | x_t, x0) of a schedule, t = 0 .. T-1; t = 0 leads to the clean picture.

    All methods take t (N,) and pictures (N, ...), and hold for any alpha and sigma. `dtype` is that of the
    tables after their computation in float64. With `bytes` x0 holds bytes scaled to [-1, 1]; otherwise it is
    continuous, and the last term of the bound is a density.
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
        # The posterior variance of the last step is 0. As in the code of Nichol & Dhariwal 2021, that of its
        # neighbour is used.
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
        """The number T of training timesteps."""
        return len(self.tables["alpha"])

    def at(self, name: str, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The values of a table at t, shaped (N, 1, ...) to broadcast with `like`.

        Tables are alpha, sigma, log_small (log of the posterior variance), log_beta, and of_x0 and of_x, the
        coefficients of the posterior mean.
        """
        return self._tensors[name][t].view(-1, *[1] * (like.ndim - 1))

    def mean(self, x0: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The mean of x_{t-1} given x_t = x and x0 (Ho et al. 2020, eq. 7)."""
        return self.at("of_x0", t, x) * x0 + self.at("of_x", t, x) * x

    def log_variance(self, share: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The learned log variance (Nichol & Dhariwal 2021, eq. 15).

        `share` interpolates from the log of the posterior variance (0) to log beta (1).
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
        """The term of the bound for step t -> t-1 in bits per dimension, (N,).

        The model's distribution is N(mean, exp(log_variance)). For t > 0 this is L_{t-1} of Ho et al. 2020,
        eq. 5. For t = 0 it is the discretised decoder L_0, or minus the log density if x0 is not bytes. The
        sum over all t plus `prior_term` is the variational bound.
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
        """L_T of Ho et al. 2020, eq. 5, in bits per dimension, (N,): KL(q(x_T | x0) || N(0, 1)).

        It does not depend on the network.
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
    """KL(N(mean, var) || N(other_mean, other_var)) of each element, in nats."""
    ratio = log_variance - other_log_variance
    return 0.5 * ((mean - other_mean).square() * (-other_log_variance).exp() + ratio.exp() - 1 - ratio)


def normal_log_density(x: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Log density of each element of x under N(mean, exp(log_variance)), in nats."""
    return -0.5 * ((x - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))


def discretised_log_likelihood(
    x0: torch.Tensor, mean: torch.Tensor, log_deviation: torch.Tensor
) -> torch.Tensor:
    """Log probability, in nats, that a Gaussian sample rounds to the byte x0 (Ho et al. 2020, eq. 13).

    x0 holds bytes scaled to [-1, 1]. The bytes 0 and 255 get the tails, so that probabilities sum to 1. The
    result is accurate in the tails too, where the difference of two distribution functions would be 0.
    """
    inverse = (-log_deviation).exp()
    below, above = (x0 - BIN / 2 - mean) * inverse, (x0 + BIN / 2 - mean) * inverse
    # P(below < z < above), computed from the nearer tail, where both logs are accurate
    flipped = below > 0
    near, far = torch.where(flipped, -below, above), torch.where(flipped, -above, below)
    log_near, log_far = torch.special.log_ndtr(near), torch.special.log_ndtr(far)
    inner = log_near + (-torch.expm1(log_far - log_near)).clamp(min=1e-12).log()
    tails = torch.where(x0 < 0, torch.special.log_ndtr(above), torch.special.log_ndtr(-below))
    return torch.where(x0.abs() > _EDGE, tails, inner)
