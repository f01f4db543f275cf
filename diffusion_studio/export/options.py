"""What can be chosen for an export."""

from __future__ import annotations

from dataclasses import dataclass

from .. import options
from ..options import option


@dataclass(frozen=True)
class ExportOptions:
    """How frames become a file. Formats ignore what has no meaning for them (a PNG has no frames per second)."""

    view: str = option("x", "What is shown: the state x, the predicted x0, or both side by side.",
                       choices=("x", "x0", "both"))
    fps: float = option(20.0, "Frames per second.", low=0.5, high=50)
    scale: int | None = option(None, "Enlargement by a whole number, crisp. Left out: as large as fits 512 pixels (256 for each "
                               "state of a strip).",
                               low=1, high=64)
    hold: float = option(1.0, "Seconds that the last frame stays.", low=0, high=60)
    frames: str = option("all", "Which states: all, every k-th, or a number of them evenly spaced in log-SNR.",
                         choices=("all", "every", "log_snr"))
    every: int = option(1, "The k of every k-th.", low=1, high=10_000)
    states: int = option(8, "How many states where evenly spaced in log-SNR, and in a film strip.", low=2, high=1000)
    picture: int | None = option(None, "One picture of the grid, counted from 0. Left out: all of them.",
                                 low=0, high=63)
    caption: bool = option(False, "Write the step and the noise level under the picture.")

    def __post_init__(self) -> None:
        options.check(self)
