"""Randomness as a pure function: (seed, index) -> Gaussian.

Picture k draws from its own seed on the CPU, so it starts from and meets the same noise alone or in a
batch, on any device, however many processes share the work, and a run can be resumed or branched at any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MAX_SEED = 2**63 - 1


def gaussian(seed: int, index: int, shape: Sequence[int]) -> np.ndarray:
    """Standard normal float64 of `shape`. Streams of different (seed, index) never overlap.

    Philox is counter based (Salmon et al. 2011): the seed is its key, the index the high word of its counter.
    """
    return np.random.Generator(np.random.Philox(key=[seed, 0], counter=[0, 0, 0, index])).standard_normal(shape)


@dataclass(frozen=True)
class Noise:
    """`noise(index)` -> (len(seeds), *shape). Index 0 is the start of a run, index i the noise added by step i."""

    seeds: tuple[int, ...]
    shape: tuple[int, ...]
    device: torch.device | str = "cpu"
    dtype: torch.dtype | None = None                        # None is float32

    def __call__(self, index: int) -> torch.Tensor:
        import torch

        drawn = np.stack([gaussian(seed, index, self.shape) for seed in self.seeds])
        return torch.from_numpy(drawn).to(self.dtype or torch.float32).to(self.device)
