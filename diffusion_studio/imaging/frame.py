"""One state of a run as pictures or points, in the form that is streamed, shown, stored and exported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..diffusion.schedule import NoiseLevel
from .layout import Layout


@dataclass(frozen=True)
class Frame:
    """State `index` of 0..`total` of a run, at a noise level: x and the predicted x0.

    Both are pictures (N, H, W, C), uint8 with C = 1 or 3. For a model of points they are N clouds of P
    points, (N, P, 2) float16, one cloud per seed. `calls` is the number of denoiser calls so far. `part`
    names the segment of an edited run, such as "into noise" or "before the branch"; it is empty while
    denoising. `layout` places the pictures on a sheet; without it they stand in a square grid.
    """

    index: int
    total: int
    level: NoiseLevel
    x: np.ndarray
    x0: np.ndarray
    calls: int = 0
    part: str = ""
    layout: Layout | None = None

    @property
    def of_points(self) -> bool:
        """Whether x and x0 are clouds of points."""
        return self.x.ndim == 3

    def sheet(self, images: np.ndarray, background: int = 255) -> np.ndarray:
        """Pictures (N, H, W, C) of this state on one sheet, (rows * H, columns * W, C)."""
        return (self.layout or Layout.square(len(images))).sheet(images, background)

    @property
    def nbytes(self) -> int:
        """The memory of x and x0, in bytes."""
        return self.x.nbytes + self.x0.nbytes
