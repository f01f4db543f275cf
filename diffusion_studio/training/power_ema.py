"""Averages of the weights whose length can be chosen after training (Karras et al. 2024, section 3 and
appendix C).

A power-function average weighs the weights at time tau by tau^gamma. Its length `sigma_rel` is a share of the
training time so far, and it needs no warm-up. From snapshots of two such averages, one of any other length is
reconstructed by least squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from ..errors import OptionError

WIDEST = 12**-0.5  # largest sigma_rel: the mean of all weights, gamma = 0


def gamma_of(sigma_rel: float) -> float:
    """The exponent gamma whose profile has this standard deviation, relative to the training time (section
    3.1).
    """
    if not 0 < sigma_rel <= WIDEST * (1 + 1e-12):
        raise OptionError(
            "ema_power",
            f"The relative length of an average lies above 0 and up to {WIDEST:.4f}, got {sigma_rel}.",
        )
    inverse = sigma_rel**-2
    # (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) = sigma_rel^2, written as a cubic with one real root >= 0
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
    return max(float(roots[np.abs(roots.imag) < 1e-9].real.max()), 0.0)


def sigma_rel_of(gamma: float) -> float:
    """The inverse of `gamma_of`: the standard deviation of the density (gamma + 1) tau^gamma on [0, 1]."""
    return ((gamma + 1) / (gamma + 3)) ** 0.5 / (gamma + 2)


class PowerEMA:
    """One such average, updated after every step (section 3.1)."""

    def __init__(self, network: nn.Module, sigma_rel: float) -> None:
        self.sigma_rel, self.gamma = sigma_rel, gamma_of(sigma_rel)
        self.state = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Update with the network's weights after step number `step` (from 0) of its optimizer. Step 0
        replaces the average.
        """
        decay = (1 - 1 / (step + 1)) ** (self.gamma + 1)
        averaged, new = list(self.state.values()), [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(averaged, new, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


def products(
    times: np.ndarray, gammas: np.ndarray, other_times: np.ndarray, other_gammas: np.ndarray
) -> np.ndarray:
    """(N, M) integrals of the products of all pairs of profiles (gamma + 1) tau^gamma / t^(gamma + 1) on
    [0, t] (appendix C).
    """
    t, g = times[:, None].astype(np.float64), gammas[:, None]
    u, h = other_times[None].astype(np.float64), other_gammas[None]
    earlier = np.where(t < u, h, g)  # exponent of the profile with the later end
    return (
        (g + 1)
        * (h + 1)
        * (np.minimum(t, u) / np.maximum(t, u)) ** earlier
        / ((g + h + 1) * np.maximum(t, u))
    )


def fit(times: Sequence[float], gammas: Sequence[float], time: float, gamma: float) -> np.ndarray:
    """(N,) float64 coefficients for snapshots at `times` of averages with `gammas`.

    The weighted sum of the snapshots best approximates, by least squares over the profiles, the average with
    `gamma` at `time`. The coefficients sum to one, so that constant weights stay unchanged.
    """
    t, g = np.asarray(times, np.float64), np.asarray(gammas, np.float64)
    scale = 1 / t.max()  # profiles per share of the training time
    gram = products(t * scale, g, t * scale, g)
    wanted = products(t * scale, g, np.array([time * scale]), np.array([gamma]))[:, 0]
    ones = np.ones(len(t))
    system = np.block([[gram, ones[:, None]], [ones[None], np.zeros((1, 1))]])
    # a cutoff, because nearly equal profiles would give huge factors, which amplify the snapshots' rounding
    return np.linalg.lstsq(system, np.append(wanted, 1.0), rcond=1e-10)[0][:-1]


def combine_snapshots(
    factors: Iterable[float], snapshots: Iterable[Mapping[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """The sum of the snapshots times their factors, computed in float64, returned in float32. One snapshot
    is in memory at a time.
    """
    total: dict[str, torch.Tensor] = {}
    for factor, state in zip(factors, snapshots, strict=True):
        for name, tensor in state.items():
            part = tensor.to("cpu", torch.float64) * factor
            total[name] = total[name].add_(part) if name in total else part
    return {name: tensor.float() for name, tensor in total.items()}
