"""Models that enlarge: the small pictures that they are given in an evaluation, and the error of what they
make of them.
"""

from __future__ import annotations

import numpy as np
import torch

from ..errors import DataError
from ..imaging.arrays import from_uint8, to_uint8
from ..models.model import enlarged
from ..training.lowres import reduced

# mean squared error, of values in [0, 1], of rounding to 8 bits: a smaller one cannot be told from none
_ROUNDING = 1 / (12 * 255**2)


def small_of(pictures: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, size, size, C) uint8, by averaging as in training, but never blurred or
    disturbed.

    Rounded to 8 bits, as a small picture in a file is: so each can be enlarged alone, by `generate
    --low-res`.
    """
    parts = (pictures[at : at + 256] for at in range(0, len(pictures), 256))
    return np.concatenate([to_uint8(reduced(from_uint8(part), size)) for part in parts])


def bilinear(small: np.ndarray, size: int) -> np.ndarray:
    """(N, h, w, C) uint8 -> (N, size, size, C) uint8: what needs no network, and what the network is
    given.
    """
    return np.concatenate(
        [to_uint8(enlarged(from_uint8(small[at : at + 256]), size)) for at in range(0, len(small), 256)]
    )


def psnr(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """(N,) peak signal-to-noise ratios in dB of (N, H, W, C) uint8 pictures: -10 log10 of the mean squared
    error of values in [0, 1]. Equal pictures have that of rounding to 8 bits, 58.9 dB.
    """
    if made.shape != real.shape or not len(made):
        raise DataError(
            f"Pictures are compared with as many of the same size, got {made.shape} and {real.shape}."
        )
    error = [
        float(((torch.from_numpy(a).double() - torch.from_numpy(b)) / 255).square().mean())
        for a, b in zip(made, real)
    ]
    return -10 * np.log10(np.maximum(error, _ROUNDING))
