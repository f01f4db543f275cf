"""The distance between the predicted pictures of two runs at equal noise levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Curve:
    """The RMS difference between two runs' predicted x0, at the log-SNR of each state of one of them.

    Pixels go from -1 to 1. The last point compares the finished pictures, at log-SNR infinity.
    """

    log_snr: tuple[float, ...]
    rms: tuple[float, ...]


class Base:
    """The predicted x0 of the run that others are compared with.

    Between two of its states x0 is interpolated linearly in log-SNR. Beyond its first and last finite log-SNR
    the nearest state is taken. A finished picture is compared only with finished pictures.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._points: dict[float, torch.Tensor] = {}
        self._every = 1

    def add(self, log_snr: float, x0: torch.Tensor, index: int, total: int) -> None:
        """Add a state of the run. Where all states would exceed `max_bytes`, only every k-th is kept."""
        if not self._points:
            self._every = max(1, -(-4 * x0.numel() * (total + 1) // self.max_bytes))
        if index % self._every == 0 or index == total:
            self._points[log_snr] = x0.detach().float()

    def at(self, log_snr: float) -> torch.Tensor:
        """x0 of the run at a log-SNR."""
        if log_snr in self._points:
            return self._points[log_snr]
        finite = sorted(place for place in self._points if math.isfinite(place))
        if not finite:
            return self._points[max(self._points)]
        after = int(np.searchsorted(finite, log_snr))
        if after in (0, len(finite)):
            return self._points[finite[min(after, len(finite) - 1)]]
        low, high = finite[after - 1], finite[after]
        return torch.lerp(self._points[low], self._points[high], (log_snr - low) / (high - low))


def rms(a: torch.Tensor, b: torch.Tensor) -> float:
    """The root of the mean squared difference, over all pictures and pixels."""
    return float((a.float() - b.float()).square().mean().sqrt())


class Tracer:
    """Makes the `Curve` of a run against a base while its states come."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._found: list[tuple[float, float]] = []

    def add(self, log_snr: float, x0: torch.Tensor) -> None:
        self._found.append((log_snr, rms(x0, self._base.at(log_snr))))

    def curve(self) -> Curve:
        rising = rising_only(self._found)
        return Curve(tuple(place for place, _ in rising), tuple(value for _, value in rising))


def rising_only(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points whose place is above all earlier ones; after a jump back into noise some are not."""
    found: list[tuple[float, float]] = []
    for place, value in points:
        if not found or place > found[-1][0]:
            found.append((place, value))
    return found
