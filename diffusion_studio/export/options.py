"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass

from .. import options
from ..options import DependsOn, option


@dataclass(frozen=True)
class ExportOptions:
    """How frames become a file.

    Formats ignore options that have no meaning for them (a PNG has no frames per second). Pictures ignore the
    theme, trails, arrows and axes of points.
    """

    view: str = option(
        "x", "The state x, the predicted x0, or both side by side.", choices=("x", "x0", "both")
    )
    picture: int | None = option(
        None, "Number of one picture of the grid. Left out: all.", low=0, high=63, counted=True
    )
    frames: str = option(
        "all",
        "All states, every k-th, some evenly spaced in log-SNR; or the finished pictures one by one.",
        choices=("all", "every", "log_snr", "pictures"),
    )
    every: int = option(
        1, "The k in every k-th state.", low=1, high=10_000, depends=(DependsOn("frames", ("every",)),)
    )
    states: int = option(
        8, "Number of states when evenly spaced in log-SNR, and in a film strip.", low=2, high=1000
    )
    fps: float = option(20.0, "Frames per second.", low=0.5, high=50)
    hold: float = option(1.0, "Seconds for which the last frame stays.", low=0, high=60)
    delay: int = option(
        0,
        "Steps by which each picture starts after the one before it: letters appear one by one.",
        low=0,
        high=100,
    )
    ground: str = option(
        "kept",
        "Background of finished pictures as PNG: it stays, or becomes transparent where it has one colour.",
        choices=("kept", "transparent"),
    )
    bounce: bool = option(
        False,
        "Play the finished pictures forwards and then backwards, so that the film loops.",
        depends=(DependsOn("frames", ("pictures",)),),
    )
    scale: int | None = option(
        None,
        "Pixel-exact enlargement by a whole number; a cloud of points is 64 pixels wide at 1. Left out: "
        "up to 512 pixels, in a strip 256 for each state.",
        low=1,
        high=64,
    )
    theme: str = option("light", "Background of points.", choices=("light", "dark"))
    trails: int = option(0, "Number of points that draw a trail of their way.", low=0, high=500)
    arrows: str = option(
        "none",
        "Arrows of points: to their predicted x0, or the velocity of the probability flow.",
        choices=("none", "x0", "velocity"),
    )
    axes: bool = option(True, "Thin grid lines at whole numbers, for points.")
    caption: bool = option(False, "Write the step and the noise level under the picture.")

    def __post_init__(self) -> None:
        options.check(self, "export")
