"""The cost of a run before it is made: its number of network calls."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..diffusion.prediction import Prediction
from ..diffusion.sampling import sample
from ..diffusion.schedule import NoiseLevel
from .segments import Segment

COUNTED_STEPS = 48  # longer runs are counted over this many steps and scaled up


def network_calls(segments: Sequence[Segment]) -> int:
    """The approximate number of network calls that these segments make.

    The sampler itself runs over the levels, on a single number in place of the pictures. For a solver that
    chooses its substeps by their error this is a lower bound, because its number depends on the pictures.
    """
    return sum(_calls(one) for one in segments)


def _calls(segment: Segment) -> int:
    steps = min(segment.steps, COUNTED_STEPS)
    if steps == 0:
        return 0
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    calls = 0
    for step in sample(
        segment.sampler, _zero_prediction, x, segment.levels[: steps + 1], lambda _: torch.zeros_like(x)
    ):
        calls = step.calls
    return -(-calls * segment.steps // steps)


def _zero_prediction(x: torch.Tensor, level: NoiseLevel) -> Prediction:
    """A prediction without a network call: x0 = 0."""
    return Prediction(torch.zeros_like(x), x / level.sigma, torch.full_like(x, 0.5))
