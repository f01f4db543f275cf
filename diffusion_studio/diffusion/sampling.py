"""Run a sampler: the loop that everything else stands on."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch

from .denoiser import Denoiser
from .samplers import NoiseFunction, Sampler, Step
from .schedule import NoiseLevel


# A decorator, because Gradio advances a generator from several threads and grad mode belongs to a thread.
@torch.no_grad()
def sample(sampler: Sampler, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel],
           noise: NoiseFunction) -> Generator[Step, None, torch.Tensor]:
    """From x at levels[0] to levels[-1]: yields len(levels) Steps, the finished one included, and returns its x."""
    x = yield from sampler(denoise, x, levels, noise)
    yield Step(len(levels) - 1, levels[-1], x, x, torch.zeros_like(x))
    return x
