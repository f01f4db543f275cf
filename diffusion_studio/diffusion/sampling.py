"""Run a sampler: the loop that everything else stands on."""

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
    """From x at levels[0] to levels[-1]: yields len(levels) Steps, the finished one included, and returns its
    x.

    Each Step says how often `denoise` was called so far. Guidance that asks a network twice in one batch is
    one call. Where levels that were falling rise (see `editing.resampled`), the state is noised to the higher
    one, and the sampler starts again from there. Levels that rise from the start are a picture's way into
    noise, which is the sampler's own.
    """
    counted, levels = Counted(denoise), Levels.of(levels)
    first, turns = 0, _turns(levels)
    for last in turns:
        # a stretch that is walked again must not meet the Brownian path of before: its noise would add up
        fresh = indexed_noise(noise, first) if first else noise
        run = sampler(counted, x, levels[first : last + 1], fresh)
        while True:
            try:  # no name for the step: it would keep the state's memory
                yield _next(run, counted, first)
            except StopIteration as end:
                x = end.value
                break
        if last == turns[-1]:
            yield Step(last, levels[last], x, Prediction(x, torch.zeros_like(x)), counted.calls)
        else:
            yield Step(last, levels[last], x, _seen(counted, x, levels[last]), counted.calls)
            x = renoise(x, levels[last], levels[last + 1], noise(last + 1))
        first = last + 1
    return x


@torch.no_grad()
def _seen(denoise: Denoiser, x: torch.Tensor, level: NoiseLevel) -> Prediction:
    """What is seen in the state before it is noised again; only for show, at the price of a call."""
    return denoise(x, level)


def _turns(levels: Sequence[NoiseLevel]) -> list[int]:
    """The last place of each stretch that falls all the way; of levels that rise from the start, the last
    of all.
    """
    snr = [level.log_snr for level in levels]
    end = len(levels) - 1
    if end > 0 and snr[1] < snr[0]:
        return [end]
    return [k for k in range(end) if snr[k + 1] < snr[k]] + [end]


def has_restarted(levels: Sequence[NoiseLevel], until: int) -> bool:
    """Whether a run over these levels has walked a stretch again by its state number `until`."""
    return _turns(levels)[0] < until


def indexed_noise(noise: NoiseFunction, first: int = 0) -> NoiseFunction:
    """The run's noise from its level number `first` on, by the place in the run alone."""
    return _IndexedNoise(noise, first)


def offset_noise(noise: NoiseFunction, first: int) -> NoiseFunction:
    """The run's noise for a part that begins at its level number `first`."""
    return _OffsetNoise(noise, first) if first else noise


class _IndexedNoise:
    """Noise by the place in the whole run. It has no path between log-SNRs."""

    def __init__(self, noise: NoiseFunction, first: int) -> None:
        self._noise, self._first = noise, first

    def __call__(self, index: int) -> torch.Tensor:
        return self._noise(self._first + index)

    def further(self, index: int, number: int) -> torch.Tensor:
        further = getattr(self._noise, "further", None)
        return self(index) if further is None else further(self._first + index, number)


class _OffsetNoise(_IndexedNoise):
    """Noise by the place in the whole run; between log-SNRs it is what it was."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._noise, name)


# Around each advance and never around a yield, because Gradio advances a generator from several threads and
# grad mode belongs to a thread; as a decorator of the generator it would hold the last Step while the next
# one is made.
@torch.no_grad()
def _next(run: Generator[Step, None, torch.Tensor], counted: Counted, first: int) -> Step:
    step = next(run)
    return replace(step, index=first + step.index, calls=counted.calls)
