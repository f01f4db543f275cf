"""The random numbers of a training step, as functions of the run's seed and the pictures' places in the run.

A resumed run, a batch in parts, and a batch over several processes therefore meet the same noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .objective import Draw
from .timesteps import Uniform


@dataclass(frozen=True)
class BatchDraw:
    """The draws for a whole batch, each (batch,): timesteps, their weights, dropped labels, mirrored
    pictures.
    """

    t: torch.Tensor
    weight: torch.Tensor
    drop: torch.Tensor
    flip: torch.Tensor


def draw_batch(
    seed: int, step: int, batch: int, timesteps: Uniform, label_dropout: float, flips: bool
) -> BatchDraw:
    """The draws of step number `step` for its `batch` pictures, on the CPU."""
    generator = torch.Generator().manual_seed(mix(seed + 1, step))
    t, weight = timesteps.draw(batch, generator)
    drop = torch.rand(batch, generator=generator) < label_dropout
    flip = torch.rand(batch, generator=generator) < (0.5 if flips else 0.0)
    return BatchDraw(t, weight, drop, flip)


def draw_part(drawn: BatchDraw, part: slice, seed: int, seen: int, x0: torch.Tensor) -> Draw:
    """The draws, with noise, for `part` of the batch that follows `seen` images.

    x0 (n, C, H, W) are the pictures of the part (or points (n, 2)); the result is on their device.
    """
    eps = torch.empty(x0.shape)
    generator = torch.Generator()
    if x0.ndim == 2:  # a stream for each point would be slow: one for the batch, cut to the part
        eps = torch.randn(len(drawn.t), *x0.shape[1:], generator=generator.manual_seed(mix(seed + 2, seen)))[
            part
        ]
    for k, row in enumerate(range(part.start, part.stop) if x0.ndim > 2 else ()):
        torch.randn(x0.shape[1:], generator=generator.manual_seed(mix(seed + 2, seen + row)), out=eps[k])
    at = x0.device
    return Draw(drawn.t[part].to(at), eps.to(at), drawn.drop[part].to(at), drawn.weight[part].to(at))


def mix(seed: int, number: int) -> int:
    """A 63-bit seed from two numbers. Neighbouring numbers give independent streams."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
