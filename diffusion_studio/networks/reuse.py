"""Features of a U-Net call that later calls reuse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

MOST_POINTS = 3  # earlier calls that a forecast uses; three give a parabola


@dataclass
class DeepFeatures:
    """The input of a U-Net's last block, without its skip connection.

    With it a call computes only the first convolution, the last block and the output (DeepCache, Ma et al.
    2024, with the shallowest branch). An empty one is filled by the call.
    """

    h: torch.Tensor | None = None
    picture: torch.Tensor | None = None  # the output so far, for a network with `output_path`


def forecast(known: Sequence[tuple[int, DeepFeatures]], number: int) -> DeepFeatures:
    """The features of call `number`, extrapolated by the polynomial through those of earlier calls."""
    places = [place for place, _ in known]
    weights = [
        math.prod((number - other) / (place - other) for other in places if other != place)
        for place in places
    ]

    def mixed(maps: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        parts = [(one, weight) for one, weight in zip(maps, weights) if one is not None]
        if not parts:
            return None
        (first, weight), *rest = parts
        # at least float32, because large terms nearly cancel
        total = first.to(torch.promote_types(first.dtype, torch.float32)) * weight
        for one, weight in rest:
            total.add_(one, alpha=weight)
        return total.to(first.dtype)

    return DeepFeatures(mixed([deep.h for _, deep in known]), mixed([deep.picture for _, deep in known]))
