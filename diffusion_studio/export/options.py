"""What can be chosen for an export."""

from __future__ import annotations

from dataclasses import dataclass

from .. import options
from ..options import option


@dataclass(frozen=True)
class ExportOptions:
    """How frames become a file. Formats ignore what has no meaning for them (a PNG has no frames per
    second), pictures the theme, trails, arrows and axes of points.
    """

    view: str = option(
        "x", "The state x, the predicted x0, or both side by side.", choices=("x", "x0", "both")
    )
    picture: int | None = option(
        None, "Number of one picture of the grid, from 0. Left out: all.", low=0, high=63
    )
    frames: str = option(
        "all",
        "All states, every k-th, some evenly spaced in log-SNR; or the finished pictures one by one.",
        choices=("all", "every", "log_snr", "pictures"),
    )
    every: int = option(1, "The k of every k-th.", low=1, high=10_000)
    states: int = option(8, "How many, where evenly spaced in log-SNR and in a film strip.", low=2, high=1000)
    fps: float = option(20.0, "Frames per second.", low=0.5, high=50)
    hold: float = option(1.0, "Seconds that the last frame stays.", low=0, high=60)
    delay: int = option(
        0,
        "Steps by which each picture starts after the one before it: letters appear one by one.",
        low=0,
        high=100,
    )
    ground: str = option(
        "kept",
        "Of finished pictures as PNG: what is around them stays, or becomes transparent where "
        "it has one colour.",
        choices=("kept", "transparent"),
    )
    bounce: bool = option(
        False, "The finished pictures forwards and then backwards, so that the film closes."
    )
    scale: int | None = option(
        None,
        "Crisp enlargement by a whole number; a cloud of points is 64 wide at 1. Left out: up "
        "to 512 pixels, in a strip 256 a state.",
        low=1,
        high=64,
    )
    theme: str = option("light", "Ground of points.", choices=("light", "dark"))
    trails: int = option(0, "How many points draw the way they came.", low=0, high=500)
    arrows: str = option(
        "none",
        "Where points are drawn to: their predicted x0, or the velocity of the probability flow.",
        choices=("none", "x0", "velocity"),
    )
    axes: bool = option(True, "Thin lines through the whole numbers, for points.")
    caption: bool = option(False, "The step and the noise level under the picture.")

    def __post_init__(self) -> None:
        options.check(self, "export")
