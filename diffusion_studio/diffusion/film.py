"""Films from noise to noise: a picture for each of some points on the way, and the way itself on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .editing import slerp
from .noise import Noise


@dataclass(frozen=True)
class Between:
    """Noise of a film through the seeds of `ends`: each picture's lies on the arc between those of its two neighbours."""

    ends: Noise
    film: int
    loop: bool

    def __call__(self, index: int) -> torch.Tensor:
        return self._mixed(self.ends(index))

    def over(self, start: float, end: float) -> torch.Tensor:
        return self._mixed(self.ends.over(start, end))

    def _mixed(self, drawn: torch.Tensor) -> torch.Tensor:
        return mixed(drawn, between(len(self.ends.seeds), self.film, self.loop))


def between(ends: int, film: int, loop: bool) -> list[tuple[int, int, float]]:
    """For each of `film` pictures its two neighbours among `ends` points, and how far it is from the first to the second.

    Evenly spread from the first point to the last, or back to the first without showing that twice.
    """
    stretches = ends if loop else ends - 1
    places = [k * stretches / (film if loop else film - 1) for k in range(film)]
    starts = [min(int(place), stretches - 1) for place in places]
    return [(start, (start + 1) % ends, place - start) for start, place in zip(starts, places)]


def mixed(x: torch.Tensor, pairs: Sequence[tuple[int, int, float]]) -> torch.Tensor:
    """The points (film, ...) that `pairs` of `between` say of the ends x (n, ...).

    One by one, so that a picture does not depend on how many the film has besides.
    """
    return torch.cat([slerp(x[a:a + 1], x[b:b + 1], share) if share else x[a:a + 1] for a, b, share in pairs])
