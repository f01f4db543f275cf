"""One state of a run as pictures or points: what is streamed, shown, kept and exported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..diffusion.schedule import NoiseLevel
from .layout import Layout


@dataclass(frozen=True)
class Frame:
    """State `index` of 0..`total` at its level: x and the predicted x0, each uint8 (N, H, W, C) with C = 1 or
    3.

    Of a model of points they are float16 (N, P, 2): N clouds, one for each seed, of P points (`of_points`).
    `calls` is how often the denoiser was asked up to here, `part` names the stretch of an edited run: "into
    noise", "before the branch"; empty where a run is denoised. `layout` says where the pictures stand; left
    out, in a square grid.
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
        return self.x.ndim == 3

    def sheet(self, images: np.ndarray, background: int = 255) -> np.ndarray:
        """(N, H, W, C) pictures of this state -> the (rows*H, columns*W, C) sheet on which they stand."""
        return (self.layout or Layout.square(len(images))).sheet(images, background)

    @property
    def nbytes(self) -> int:
        """Memory that the pictures hold."""
        return self.x.nbytes + self.x0.nbytes
