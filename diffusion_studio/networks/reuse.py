"""Features that calls of a U-Net leave to later ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

MOST_POINTS = 3  # of a forecast: then it is a parabola


@dataclass
class DeepFeatures:
    """What a U-Net has computed before its last block.

    A call that is given it computes only the first convolution, the last block and the output (DeepCache, Ma
    et al. 2024, with its shallowest branch). Empty, it is filled by the call.
    """

    h: torch.Tensor | None = None
    picture: torch.Tensor | None = None  # of a network with an output at every size


def forecast(known: Sequence[tuple[int, DeepFeatures]], number: int) -> DeepFeatures:
    """The features of call `number`, by the polynomial through those of earlier calls (Lagrange's form)."""
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
        # sums of large terms that nearly cancel: at least in single precision
        total = first.to(torch.promote_types(first.dtype, torch.float32)) * weight
        for one, weight in rest:
            total.add_(one, alpha=weight)
        return total.to(first.dtype)

    return DeepFeatures(mixed([deep.h for _, deep in known]), mixed([deep.picture for _, deep in known]))
