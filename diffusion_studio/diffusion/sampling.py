"""The sampling loop: runs a sampler along the levels of a run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import torch

from .denoiser import Counted, Denoiser
from .editing import renoise
from .levels import Levels
from .prediction import Prediction
from .samplers import NoiseFunction, Sampler, Step
from .schedule import NoiseLevel


def sample(
    sampler: Sampler, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
) -> Generator[Step, None, torch.Tensor]:
    """Run a sampler from x at levels[0] to levels[-1]. Yields len(levels) Steps and returns the last x.

    Each Step holds the number of calls of `denoise` so far; guidance with two conditions in one batch is one
    call. Where falling noise rises again (see `editing.resampled`), the state is noised to the higher level,
    and the sampler starts anew from there. Levels whose noise rises from the start (DDIM inversion) are left
    to the sampler.
    """
    counted, levels = Counted(denoise), Levels.of(levels)
    first, turns = 0, _segment_ends(levels)
    for last in turns:
        # repeated levels must not use the same Brownian path again, because equal noises would add up
        fresh = indexed_noise(noise, first) if first else noise
        run = sampler(counted, x, levels[first : last + 1], fresh)
        while True:
            try:  # a variable for the step would keep the memory of its state
                yield _next_step(run, counted, first)
            except StopIteration as end:
                x = end.value
                break
        if last == turns[-1]:
            yield Step(last, levels[last], x, Prediction(x, torch.zeros_like(x)), counted.calls)
        else:
            yield Step(last, levels[last], x, _predict(counted, x, levels[last]), counted.calls)
            x = renoise(x, levels[last], levels[last + 1], noise(last + 1))
        first = last + 1
    return x


@torch.no_grad()
def _predict(denoise: Denoiser, x: torch.Tensor, level: NoiseLevel) -> Prediction:
    """The prediction for a state that is noised again next. It is computed only to be shown."""
    return denoise(x, level)


def _segment_ends(levels: Sequence[NoiseLevel]) -> list[int]:
    """The last index of each maximal run of levels with falling noise.

    For levels whose noise rises from the start it is only the last index of all.
    """
    snr = [level.log_snr for level in levels]
    end = len(levels) - 1
    if end > 0 and snr[1] < snr[0]:
        return [end]
    return [k for k in range(end) if snr[k + 1] < snr[k]] + [end]


def has_restarted(levels: Sequence[NoiseLevel], until: int) -> bool:
    """Whether a run along these levels has jumped back to more noise before its state number `until`."""
    return _segment_ends(levels)[0] < until


def indexed_noise(noise: NoiseFunction, first: int = 0) -> NoiseFunction:
    """The noise of a part of a run that starts at level number `first`, without a Brownian path."""
    return _IndexedNoise(noise, first)


def offset_noise(noise: NoiseFunction, first: int) -> NoiseFunction:
    """The noise of a part of a run that starts at level number `first`."""
    return _OffsetNoise(noise, first) if first else noise


class _IndexedNoise:
    """Noise by the index in the whole run.

    It has no method `over`, so samplers do not use a Brownian path.
    """

    def __init__(self, noise: NoiseFunction, first: int) -> None:
        self._noise, self._first = noise, first

    def __call__(self, index: int) -> torch.Tensor:
        return self._noise(self._first + index)

    def further(self, index: int, number: int) -> torch.Tensor:
        further = getattr(self._noise, "further", None)
        return self(index) if further is None else further(self._first + index, number)


class _OffsetNoise(_IndexedNoise):
    """Noise by the index in the whole run, with the Brownian path of the wrapped noise."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._noise, name)


# Grad mode is set around each advance and never around a yield: it belongs to a thread, and Gradio advances a
# generator from several threads. As a decorator of the generator, no_grad would also keep the last Step in
# memory while the next one is computed.
@torch.no_grad()
def _next_step(run: Generator[Step, None, torch.Tensor], counted: Counted, first: int) -> Step:
    step = next(run)
    return replace(step, index=first + step.index, calls=counted.calls)
