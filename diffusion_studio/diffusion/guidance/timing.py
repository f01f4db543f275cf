"""Guidance that changes during a run: within an interval of noise levels, along a curve, or at a step."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...errors import OptionError
from ..denoiser import Denoiser
from ..schedule import NoiseLevel

if TYPE_CHECKING:
    import torch

    from ..prediction import Prediction


class Progress:
    """The progress of a run at a level: 0 at the first of its `levels`, 1 at the last network call.

    Between two levels, where solvers of higher order also call the network, it is interpolated in log-SNR.
    Raises `OptionError` for fewer than two levels.
    """

    def __init__(self, levels: Sequence[NoiseLevel]) -> None:
        self._visited: list[float] = []
        for level in levels[:-1]:
            if not self._visited or level.log_snr > self._visited[-1]:  # a jump back up is no progress
                self._visited.append(level.log_snr)
        if not self._visited:
            raise OptionError("steps", "A run has at least two levels: where it starts and where it ends.")

    def step(self, level: NoiseLevel) -> float:
        """The number of the sampling step at a level, counted from 0 and fractional between two steps.

        Levels beyond the ends of the run give the first or the last step.
        """
        at, seen = level.path_level.log_snr, self._visited
        right = bisect.bisect_left(seen, at)
        if right == 0 or right == len(seen):
            return float(min(right, len(seen) - 1))
        low, high = seen[right - 1], seen[right]
        if at == high or math.isinf(low):
            return float(right)
        return right - 1 + (at - low) / (high - low)

    def __call__(self, level: NoiseLevel) -> float:
        last = len(self._visited) - 1
        return self.step(level) / last if last else 0.0


# The share of the guidance that is applied, as a function of progress in [0, 1].
SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda u: 1.0,
    "linear": lambda u: 1 - u,
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
    "rising": lambda u: u,
}


def shaped(
    scale: float, levels: Sequence[NoiseLevel], shape: str | Sequence[float] = "constant", off: float = 1.0
) -> Callable[[NoiseLevel], float]:
    """A guidance scale that changes over the run. `shape` is a name of `SHAPES` or a list of scales.

    A named shape interpolates between `scale` and `off`, the value that switches guidance off. A list is
    spread evenly over the run and interpolated, for any number of steps. Raises `OptionError` for an unknown
    shape or an empty list.
    """
    progress = Progress(levels)
    if isinstance(shape, str):
        if shape not in SHAPES:
            raise OptionError(
                "guidance_shape",
                f"There is no guidance shape {shape!r}. Choose one of: {', '.join(SHAPES)}, or give a list.",
            )
        curve = SHAPES[shape]
        return lambda level: off + (scale - off) * curve(progress(level))
    values = [float(value) for value in shape]
    if not values or not all(map(math.isfinite, values)):
        raise OptionError(
            "guidance_scales",
            f"must be a list of at least one finite number, got {list(shape)}.",
        )

    def listed(level: NoiseLevel) -> float:
        at = progress(level) * (len(values) - 1)
        low = min(int(at), len(values) - 1)
        high = min(low + 1, len(values) - 1)
        return values[low] + (at - low) * (values[high] - values[low])

    return listed


def within_interval(
    scale: float | Callable[[NoiseLevel], float], low: float, high: float, off: float = 1.0
) -> Callable[[NoiseLevel], float]:
    """A scale that is `off` unless sigma / alpha lies in [low, high] (Kynkaanniemi et al. 2024).

    Raises `OptionError` unless 0 <= low <= high.
    """
    if not 0 <= low <= high:
        raise OptionError(
            "interval",
            f"A guidance interval goes from a low to a high sigma / alpha, at least 0; got {low} to {high}.",
        )

    def limited(level: NoiseLevel) -> float:
        noise = level.sigma / level.alpha if level.alpha else math.inf
        inside = low <= noise <= high
        return off if not inside else scale(level) if callable(scale) else scale

    return limited


def switched(before: Denoiser, after: Denoiser, levels: Sequence[NoiseLevel], step: int) -> Denoiser:
    """A denoiser that is `before` up to sampling step number `step`, and `after` from there on.

    With it the label or the guidance changes during a run. Raises `OptionError` for a step outside the run.
    """
    progress = Progress(levels)
    if not 0 <= step < len(levels):
        raise OptionError(
            "change.step", f"must be a step of the run, from 0 to {len(levels) - 1}, got {step}."
        )

    def chosen(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return (after if progress.step(level) >= step else before)(x, level)

    return chosen
