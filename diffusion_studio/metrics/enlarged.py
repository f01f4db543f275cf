"""The evaluation of models that enlarge: their small inputs, and the error of their results."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import DataError
from ..imaging.arrays import from_uint8, to_uint8
from ..models.model import enlarged
from ..training.lowres import reduced

# mean squared error of rounding to 8 bits, for values in [0, 1]: a smaller error means equal pictures
_ROUNDING = 1 / (12 * 255**2)


def downscale(pictures: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, size, size, C) uint8, averaged as in training, but without blur and noise.

    The result is rounded to 8 bits like a picture file, so each can also be enlarged by `generate --low-res`.
    """
    parts = (pictures[at : at + 256] for at in range(0, len(pictures), 256))
    return np.concatenate([to_uint8(reduced(from_uint8(part), size)) for part in parts])


def bilinear(small: np.ndarray, size: int) -> np.ndarray:
    """(N, h, w, C) uint8 -> (N, size, size, C) uint8 by bilinear interpolation: a baseline, and the
    network's input.
    """
    return np.concatenate(
        [to_uint8(enlarged(from_uint8(small[at : at + 256]), size)) for at in range(0, len(small), 256)]
    )


def psnr(generated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """(N,) peak signal-to-noise ratios in dB of (N, H, W, C) uint8 pictures: -10 log10 of the mean squared
    error in [0, 1].

    Equal pictures have the value for rounding to 8 bits, 58.9 dB.
    """
    if generated.shape != real.shape or not len(generated):
        raise DataError(
            f"Pictures are compared with as many of the same size, got {generated.shape} and {real.shape}."
        )
    errors = [
        float(((torch.from_numpy(a).double() - torch.from_numpy(b)) / 255).square().mean())
        for a, b in zip(generated, real)
    ]
    return -10 * np.log10(np.maximum(errors, _ROUNDING))
