"""The forward process of points: data that dissolves into noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..diffusion.editing import renoise
from ..diffusion.noise import Noise
from ..diffusion.schedule import NoiseSchedule
from ..diffusion.spacing import path
from ..imaging.arrays import to_float16
from ..imaging.frame import Frame


def forward(points: np.ndarray, schedule: NoiseSchedule, steps: int, seed: int = 0) -> Iterator[Frame]:
    """steps + 1 Frames of (1, P, 2) from the data (P, 2) itself to noise, each from the one before as q(x_t |
    x_s) says.

    Every Frame's x0 is the data. The chain's noise is that of one seed, so the same seed dissolves in the
    same way.
    """
    x0 = torch.from_numpy(np.asarray(points, np.float32))[None]
    levels, noise = path(schedule, steps)[::-1], Noise((seed,), tuple(points.shape))
    clean, x = to_float16(x0), x0
    for k, level in enumerate(levels):
        x = renoise(x, levels[k - 1], level, noise(k)) if k else x
        yield Frame(k, steps, level, to_float16(x), clean)
