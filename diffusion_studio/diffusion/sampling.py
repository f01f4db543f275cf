"""Run a sampler: the loop that everything else stands on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import torch

from .denoiser import Counted, Denoiser
from .samplers import NoiseFunction, Sampler, Step
from .schedule import NoiseLevel


def sample(sampler: Sampler, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel],
           noise: NoiseFunction) -> Generator[Step, None, torch.Tensor]:
    """From x at levels[0] to levels[-1]: yields len(levels) Steps, the finished one included, and returns its x.

    Each Step says how often `denoise` was called so far. Guidance that asks a network twice in one batch is one call.
    """
    counted = Counted(denoise)
    run = sampler(counted, x, levels, noise)
    while True:
        try:                                        # no name for the step: it would keep the state's memory
            yield _next(run, counted)
        except StopIteration as end:
            x = end.value
            break
    yield Step(len(levels) - 1, levels[-1], x, x, torch.zeros_like(x), counted.calls)
    return x


# Around each advance and never around a yield, because Gradio advances a generator from several threads and grad mode
# belongs to a thread; as a decorator of the generator it would hold the last Step while the next one is made.
@torch.no_grad()
def _next(run: Generator[Step, None, torch.Tensor], counted: Counted) -> Step:
    return replace(next(run), calls=counted.calls)
