"""Films: a picture for each of some points on a way, from noise to noise on the sphere or from condition
to condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .denoiser import Denoiser
from .editing import slerp
from .noise import Noise
from .prediction import Prediction
from .schedule import NoiseLevel

Pair = tuple[int, int, float]  # two points of a way, and how far a picture is from the first to the second


@dataclass(frozen=True)
class Between:
    """Noise of a film through the seeds of `ends`: each picture's lies on the arc between those of its
    pair of `between`.
    """

    ends: Noise
    pairs: Sequence[Pair]

    def __call__(self, index: int) -> torch.Tensor:
        return mixed(self.ends(index), self.pairs)

    def further(self, index: int, number: int) -> torch.Tensor:
        return mixed(self.ends.further(index, number), self.pairs)

    def over(self, start: float, end: float) -> torch.Tensor:
        return mixed(self.ends.over(start, end), self.pairs)


def travelling(stops: Sequence[Denoiser], pairs: Sequence[Pair]) -> Denoiser:
    """For each picture (as many as `pairs` of `between`) the predictions of its two stops, mixed in its
    shares.

    A mixture of readings of one x is one of it too: alpha * x0 + sigma * eps == x stays true. Each stop is
    asked once, about the pictures that need it.
    """
    shares = torch.zeros(len(stops), len(pairs), dtype=torch.float64)
    for k, (a, b, share) in enumerate(pairs):
        shares[a, k] += 1 - share
        shares[b, k] += share

    def denoise(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        whole: list[torch.Tensor | None] = [None, None, None]
        for stop, share in zip(stops, shares):
            places = share.nonzero()[:, 0]
            if not len(places):
                continue
            weight = share[places].to(x).view(-1, *[1] * (x.ndim - 1))
            p = stop(x[places.to(x.device)], level)
            for n, part in enumerate((p.x0, p.eps, p.variance)):
                if part is not None:
                    whole[n] = torch.zeros_like(x) if whole[n] is None else whole[n]
                    whole[n].index_add_(0, places.to(x.device), weight * part)
        return Prediction(*whole)

    return denoise


def interpolation_weights(ends: int, film: int, loop: bool) -> list[Pair]:
    """For each of `film` pictures its two neighbours among `ends` points, and how far it is from the first to
    the second.

    Evenly spread from the first point to the last, or back to the first without showing that twice.
    """
    stretches = ends if loop else ends - 1
    places = [k * stretches / (film if loop else film - 1) for k in range(film)]
    starts = [min(int(place), stretches - 1) for place in places]
    return [(start, (start + 1) % ends, place - start) for start, place in zip(starts, places)]


def mixed(x: torch.Tensor, pairs: Sequence[Pair]) -> torch.Tensor:
    """The points (film, ...) that `pairs` of `between` say of the ends x (n, ...).

    One by one, so that a picture does not depend on how many the film has besides.
    """
    return torch.cat(
        [slerp(x[a : a + 1], x[b : b + 1], share) if share else x[a : a + 1] for a, b, share in pairs]
    )
