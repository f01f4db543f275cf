"""The forward process of points: data that dissolves into noise, and where a network would drive every
place back.
"""

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
from ..models.model import Label, Model


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


def drift(
    model: Model, t: float, label: Label = None, side: int = 23, extent: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Places of a square grid (side^2, 2) and the way from each to the x0 predicted there, at time label t.

    The bottom row of figure 1 of Sohl-Dickstein et al. 2015: what the learned reverse process does to every
    place.
    """
    line = torch.linspace(-extent, extent, side)
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(1, -1, 2).to(model.device)
    with torch.no_grad():
        x0 = model.denoiser(label)(places, model.schedule.level(t)).x0
    return places[0].cpu().numpy(), (x0 - places)[0].cpu().numpy()
