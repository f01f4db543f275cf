"""Randomness as a pure function: (seed, index) -> Gaussian.

Picture k draws from its own seed on the CPU, so it starts from and meets the same noise alone or in a
batch, on any device, however many processes share the work, and a run can be resumed or branched at any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MAX_SEED = 2**63 - 1


def gaussian(seed: int, index: int, shape: Sequence[int], family: int = 0) -> np.ndarray:
    """Standard normal float64 of `shape`. Streams of different (seed, index, family) never overlap.

    Philox is counter based (Salmon et al. 2011): the seed is its key, the index the high word of its counter.
    """
    return np.random.Generator(
        np.random.Philox(key=[seed, family], counter=[0, 0, 0, index])
    ).standard_normal(shape)


_DEPTH = 14  # an octave of the clock is cut into 2^14 cells: times are rounded to these
_OCTAVES = 40  # a start this many octaves before the end is as good as 0
_PATHS = 1  # the family of streams that Brownian paths draw from
_FURTHER = 2  # the first of the families of further noise of an index


def brownian(
    seed: int,
    start: float,
    end: float,
    shape: Sequence[int],
    kept: dict[int, tuple[int, np.ndarray]] | None = None,
) -> np.ndarray:
    """(W(end) - W(start)) / sqrt(end - start) of the seed's Brownian path W, float64 of `shape`; 0 <= start <
    end.

    Every octave [2^k, 2^(k+1)) of the clock has its own increment, and inside it the path is Levy's: the
    midpoint of an interval of length l is the mean of its ends plus a Gaussian of variance l / 4. Each node
    draws from its own index. `kept` saves half the work where an interval starts where the seed's last one
    ended, and changes nothing.
    """
    first, last = _cell(max(start, end * 2.0**-_OCTAVES)), _cell(end)
    last = max(last, first + 1)  # closer than a cell
    (low, begin), (high, stop) = divmod(first, 2**_DEPTH), divmod(last, 2**_DEPTH)
    known = (kept or {}).get(seed, (None, None))
    before = known[1] if known[0] == first else _within(seed, low, begin, shape)
    after = _within(seed, high, stop, shape)
    if kept is not None:
        kept[seed] = last, after
    # in units of the last octave's length, which is the longest
    total = after - before * 2.0 ** ((low - high) / 2)
    for octave in range(low, high):
        total += gaussian(seed, _node(octave, 0), shape, _PATHS) * 2.0 ** ((octave - high) / 2)
    return total / np.sqrt(1 + stop / 2**_DEPTH - 2.0 ** (low - high) * (1 + begin / 2**_DEPTH))


def _cell(time: float) -> int:
    """The grid point nearest to a time, counted through all octaves."""
    mantissa, exponent = np.frexp(time)
    return (int(exponent) - 1) * 2**_DEPTH + round((2 * float(mantissa) - 1) * 2**_DEPTH)


def _node(octave: int, node: int) -> int:
    """The index of a node's stream: 0 is the octave's whole increment, 1 its midpoint, 2k and 2k + 1 those
    of k's halves.
    """
    return (octave + 2**12 << 32) + node


def _within(seed: int, octave: int, place: int, shape: Sequence[int]) -> np.ndarray:
    """W at a grid point of an octave less W at the octave's start, in units in which the octave has length
    1.
    """
    left = np.zeros(shape)
    if place == 0:
        return left
    right = gaussian(seed, _node(octave, 0), shape, _PATHS)
    begin, end, node = 0, 2**_DEPTH, 1
    while True:
        middle = (begin + end) // 2
        deviation = 0.5 * np.sqrt((end - begin) / 2**_DEPTH)
        value = (left + right) / 2 + deviation * gaussian(seed, _node(octave, node), shape, _PATHS)
        if place == middle:
            return value
        if place < middle:
            end, right, node = middle, value, 2 * node
        else:
            begin, left, node = middle, value, 2 * node + 1


@dataclass(frozen=True)
class Noise:
    """`noise(index)` -> (len(seeds), *shape). Index 0 is the start of a run, index i the noise added by
    step i.
    """

    seeds: tuple[int, ...]
    shape: tuple[int, ...]
    device: torch.device | str = "cpu"
    dtype: torch.dtype | None = None  # None is float32
    _kept: dict[int, tuple[int, np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __call__(self, index: int) -> torch.Tensor:
        import torch

        drawn = np.stack([gaussian(seed, index, self.shape) for seed in self.seeds])
        return torch.from_numpy(drawn).to(self.dtype or torch.float32).to(self.device)

    def further(self, index: int, number: int) -> torch.Tensor:
        """More noise of the same index, for a sampler that needs several: `number` 0, 1, ..., each a
        stream of its own.
        """
        import torch

        drawn = np.stack([gaussian(seed, index, self.shape, _FURTHER + number) for seed in self.seeds])
        return torch.from_numpy(drawn).to(self.dtype or torch.float32).to(self.device)

    def over(self, start: float, end: float) -> torch.Tensor:
        """Standard normal for the interval 0 <= start < end of a clock: (W(end) - W(start)) / sqrt(end -
        start).

        W is one Brownian path for each seed, a pure function of (seed, time), so that intervals that share a
        part share its noise, and the noises of a long interval's parts add up to its own.
        """
        import torch

        drawn = np.stack([brownian(seed, start, end, self.shape, self._kept) for seed in self.seeds])
        return torch.from_numpy(drawn).to(self.dtype or torch.float32).to(self.device)
