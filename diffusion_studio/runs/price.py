"""What a run costs, before it is made: the number of its network calls."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..diffusion.prediction import Prediction
from ..diffusion.sampling import sample
from ..diffusion.schedule import NoiseLevel
from .segments import Segment

COUNTED_STEPS = 48  # of a longer run the calls of so many steps are counted, and the rest follows from them


def network_calls(segments: Sequence[Segment]) -> int:
    """About how many network calls these parts of a run make.

    The sampler itself is run over the run's levels, on a single number in place of the pictures. A solver
    that chooses its substeps by their error makes at least as many calls: its number depends on the pictures.
    """
    return sum(_calls(one) for one in segments)


def _calls(segment: Segment) -> int:
    steps = min(segment.steps, COUNTED_STEPS)
    if steps == 0:
        return 0
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    calls = 0
    for step in sample(
        segment.sampler, _nothing, x, segment.levels[: steps + 1], lambda _: torch.zeros_like(x)
    ):
        calls = step.calls
    return -(-calls * segment.steps // steps)


def _nothing(x: torch.Tensor, level: NoiseLevel) -> Prediction:
    """A prediction that costs nothing: an empty picture."""
    return Prediction(torch.zeros_like(x), x / level.sigma, torch.full_like(x, 0.5))
