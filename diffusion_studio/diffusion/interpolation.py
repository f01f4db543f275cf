"""Interpolation between runs, of their initial noise (spherically) or of their predictions (linearly)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .denoiser import Denoiser
from .editing import slerp
from .noise import Noise
from .prediction import Prediction
from .schedule import NoiseLevel

# The indices of two end points, and a weight from 0 (the first) to 1 (the second).
Pair = tuple[int, int, float]


@dataclass(frozen=True)
class InterpolatedNoise:
    """Noise for pictures between the seeds of `ends`: for picture k the `slerp` of the pair `pairs[k]`."""

    ends: Noise
    pairs: Sequence[Pair]

    def __call__(self, index: int) -> torch.Tensor:
        return interpolate(self.ends(index), self.pairs)

    def further(self, index: int, number: int) -> torch.Tensor:
        return interpolate(self.ends.further(index, number), self.pairs)

    def over(self, start: float, end: float) -> torch.Tensor:
        return interpolate(self.ends.over(start, end), self.pairs)


def interpolated_denoiser(stops: Sequence[Denoiser], pairs: Sequence[Pair]) -> Denoiser:
    """A denoiser that predicts for picture k the weighted mean of the two denoisers in `pairs[k]`.

    `pairs` holds indices into `stops`, and x has one picture per pair. Each stop is called once, with the
    pictures that need it. The invariant alpha * x0 + sigma * eps == x also holds for weighted means.
    """
    shares = torch.zeros(len(stops), len(pairs), dtype=torch.float64)
    for k, (a, b, share) in enumerate(pairs):
        shares[a, k] += 1 - share
        shares[b, k] += share

    def denoise(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        parts: list[torch.Tensor | None] = [None, None, None]
        for stop, share in zip(stops, shares):
            places = share.nonzero()[:, 0]
            if not len(places):
                continue
            weight = share[places].to(x).view(-1, *[1] * (x.ndim - 1))
            p = stop(x[places.to(x.device)], level)
            for n, part in enumerate((p.x0, p.eps, p.variance)):
                if part is None:
                    continue
                total = parts[n]
                if total is None:
                    total = parts[n] = torch.zeros_like(x)
                total.index_add_(0, places.to(x.device), weight * part)
        x0, eps, variance = parts
        if x0 is None or eps is None:
            raise ValueError("An interpolation needs at least one picture.")
        return Prediction(x0, eps, variance)

    return denoise


def interpolation_weights(ends: int, film: int, loop: bool) -> list[Pair]:
    """For each of `film` pictures, its two neighbouring end points and the weight between them.

    The pictures are evenly spaced from the first of `ends` end points to the last. With `loop` they return
    from the last point to the first, which is not repeated at the end.
    """
    stretches = ends if loop else ends - 1
    places = [k * stretches / (film if loop else film - 1) for k in range(film)]
    starts = [min(int(place), stretches - 1) for place in places]
    return [(start, (start + 1) % ends, place - start) for start, place in zip(starts, places)]


def interpolate(x: torch.Tensor, pairs: Sequence[Pair]) -> torch.Tensor:
    """Spherical interpolations (len(pairs), ...) between the end points x (n, ...).

    They are computed one by one, so that rounding does not depend on the size of the batch.
    """
    return torch.cat(
        [slerp(x[a : a + 1], x[b : b + 1], share) if share else x[a : a + 1] for a, b, share in pairs]
    )
