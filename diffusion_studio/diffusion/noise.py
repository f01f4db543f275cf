"""Randomness as a pure function (seed, index) -> Gaussian noise.

Each picture draws from its own seed, on the CPU. So its noise does not depend on the batch, the device or the
number of processes, and a run can be resumed or branched at any step.
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
    """Standard normal noise of `shape`, float64. Streams of different (seed, index, family) never overlap.

    The generator is Philox, which is counter-based (Salmon et al. 2011). Seed and family are its key, and the
    index is the high word of its counter.
    """
    return np.random.Generator(
        np.random.Philox(key=[seed, family], counter=[0, 0, 0, index])
    ).standard_normal(shape)


_OCTAVE_BITS = 14  # each octave of time has 2^14 cells, to whose bounds times are rounded
_OCTAVES = 40  # a start time more octaves than this before the end counts as 0
_PATH_FAMILY = 1  # the family of streams of Brownian paths
_FURTHER_FAMILY = 2  # the first family of streams of `Noise.further`


def brownian(
    seed: int,
    start: float,
    end: float,
    shape: Sequence[int],
    kept: dict[int, tuple[int, np.ndarray]] | None = None,
) -> np.ndarray:
    """The normalised increment (W(end) - W(start)) / sqrt(end - start) of the seed's Brownian path W.

    It is float64 of `shape`, and 0 <= start < end. Each octave [2^k, 2^(k+1)) of time has its own increment.
    Within an octave the path follows Levy's construction: the midpoint of an interval of length l is the mean
    of its ends plus a Gaussian of variance l / 4. Each node of the construction draws from its own index.
    `kept` caches the path at the last end of each seed, which halves the work if the next interval starts
    there. It does not change the result.
    """
    first, last = _grid_index(max(start, end * 2.0**-_OCTAVES)), _grid_index(end)
    last = max(last, first + 1)  # an interval shorter than a cell is rounded up to one
    (low, begin), (high, stop) = divmod(first, 2**_OCTAVE_BITS), divmod(last, 2**_OCTAVE_BITS)
    known = (kept or {}).get(seed, (None, None))
    before = known[1] if known[0] == first else _value_in_octave(seed, low, begin, shape)
    after = _value_in_octave(seed, high, stop, shape)
    if kept is not None:
        kept[seed] = last, after
    # in units in which the last octave has length 1
    total = after - before * 2.0 ** ((low - high) / 2)
    for octave in range(low, high):
        total += gaussian(seed, _stream_index(octave, 0), shape, _PATH_FAMILY) * 2.0 ** ((octave - high) / 2)
    return total / np.sqrt(1 + stop / 2**_OCTAVE_BITS - 2.0 ** (low - high) * (1 + begin / 2**_OCTAVE_BITS))


def _grid_index(time: float) -> int:
    """The number of the grid point nearest to a time, counted through all octaves."""
    mantissa, exponent = np.frexp(time)
    return (int(exponent) - 1) * 2**_OCTAVE_BITS + round((2 * float(mantissa) - 1) * 2**_OCTAVE_BITS)


def _stream_index(octave: int, node: int) -> int:
    """The index of a node's stream.

    Node 0 is the increment of the whole octave, 1 its midpoint, 2k and 2k + 1 the midpoints of node k's
    halves.
    """
    return (octave + 2**12 << 32) + node


def _value_in_octave(seed: int, octave: int, place: int, shape: Sequence[int]) -> np.ndarray:
    """W at a grid point of an octave minus W at its start, in units in which the octave has length 1."""
    left = np.zeros(shape)
    if place == 0:
        return left
    right = gaussian(seed, _stream_index(octave, 0), shape, _PATH_FAMILY)
    begin, end, node = 0, 2**_OCTAVE_BITS, 1
    while True:
        middle = (begin + end) // 2
        deviation = 0.5 * np.sqrt((end - begin) / 2**_OCTAVE_BITS)
        value = (left + right) / 2 + deviation * gaussian(
            seed, _stream_index(octave, node), shape, _PATH_FAMILY
        )
        if place == middle:
            return value
        if place < middle:
            end, right, node = middle, value, 2 * node
        else:
            begin, left, node = middle, value, 2 * node + 1


@dataclass(frozen=True)
class Noise:
    """The noise of a run: `noise(index)` is (len(seeds), *shape).

    Index 0 is the initial noise, and index i the noise that step i adds.
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
        """Further independent noise of an index, for samplers that need several: `number` is 0, 1, ..."""
        import torch

        drawn = np.stack([gaussian(seed, index, self.shape, _FURTHER_FAMILY + number) for seed in self.seeds])
        return torch.from_numpy(drawn).to(self.dtype or torch.float32).to(self.device)

    def over(self, start: float, end: float) -> torch.Tensor:
        """Standard normal noise of an interval 0 <= start < end: (W(end) - W(start)) / sqrt(end - start).

        W is one Brownian path per seed, a pure function of (seed, time). So intervals that overlap share the
        noise of the overlap, and the increments of an interval's parts add up to its own.
        """
        import torch

        drawn = np.stack([brownian(seed, start, end, self.shape, self._kept) for seed in self.seeds])
        return torch.from_numpy(drawn).to(self.dtype or torch.float32).to(self.device)
