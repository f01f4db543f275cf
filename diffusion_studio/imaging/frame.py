"""One state of a run as pictures or points: what is streamed, shown, kept and exported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..diffusion.schedule import NoiseLevel


@dataclass(frozen=True)
class Frame:
    """State `index` of 0..`total` at its level: x and the predicted x0, each uint8 (N, H, W, C) with C = 1 or
    3.

    Of a model of points they are float16 (N, P, 2): N clouds, one for each seed, of P points (`of_points`).
    `calls` is how often the denoiser was asked up to here, `part` names the stretch of an edited run: "into
    noise", "before the branch"; empty where a run is denoised.
    """

    index: int
    total: int
    level: NoiseLevel
    x: np.ndarray
    x0: np.ndarray
    calls: int = 0
    part: str = ""

    @property
    def of_points(self) -> bool:
        return self.x.ndim == 3

    @property
    def nbytes(self) -> int:
        """Memory that the pictures hold."""
        return self.x.nbytes + self.x0.nbytes
