"""Draw frames of points as frames of pictures, at the export's size, when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..diffusion.schedule import NoiseLevel
from ..imaging import point_plot as plot
from ..imaging.frame import Frame
from ..imaging.layout import Layout, grid_shape
from .options import ExportOptions

UNIT = 64  # pixels of one cloud at scale 1
_ARROWS = 350  # most points of a cloud that have an arrow
KEPT_BYTES = 96 << 20  # limit of the cache of drawn pictures
_REACH = {"x0": 0.3, "velocity": 0.3}  # arrow length as a share of the way: whole arrows would overlap


def drawn(
    frames: Sequence[Frame], options: ExportOptions, fit: int
) -> tuple[list[DrawnFrame], ExportOptions]:
    """The frames as pictures (N, side, side, 3), and the options to lay them out (scale 1).

    A cloud is 64 pixels wide times the scale. Without a scale it is so wide that the grid, or the single
    cloud, fits `fit` pixels.
    """
    across = max(grid_shape(len(frames[-1].x))) if options.picture is None else 1
    side = UNIT * options.scale if options.scale is not None else fit // across
    run = _Run(tuple(frames), options, side)
    return [DrawnFrame(run, k) for k in range(len(frames))], replace(options, scale=1)


@dataclass(frozen=True)
class _Run:
    """What the frames of a run share. The colour of a point follows from its position in the first frame."""

    frames: tuple[Frame, ...]
    options: ExportOptions
    side: int

    @property
    def theme(self) -> plot.Theme:
        return plot.THEMES[self.options.theme]

    @cached_property
    def colours(self) -> list[np.ndarray]:
        return [plot.wheel(cloud, self.theme) for cloud in placed(self.frames[0], "x")]

    @cached_property
    def _kept(self) -> dict[tuple[int, str], np.ndarray]:
        return {}

    def picture(self, k: int, view: str) -> np.ndarray:
        """All clouds of frame k, (N, side, side, 3) uint8. They are cached, because formats ask several
        times.
        """
        if (k, view) not in self._kept:
            pictures = self._draw(k, view)
            if (len(self._kept) + 1) * pictures.nbytes > KEPT_BYTES:
                self._kept.clear()
            self._kept[k, view] = pictures
        return self._kept[k, view]

    def _draw(self, k: int, view: str) -> np.ndarray:
        clouds = placed(self.frames[k], view)
        chosen = range(len(clouds)) if self.options.picture is None else [self.options.picture]
        pictures = np.zeros((len(clouds), self.side, self.side, 3), np.uint8)
        for n in chosen:
            if n < len(clouds):  # otherwise `panel` raises the error
                pictures[n] = plot.canvas(
                    clouds[n],
                    self.colours[n],
                    self.side,
                    self.theme,
                    self._lines(k, n, view),
                    self.options.axes,
                )
        return pictures

    def _lines(self, k: int, n: int, view: str) -> tuple[plot.Lines, ...]:
        lines, colours = [], self.colours[n]
        if self.options.trails and k and view == "x":
            selected = spread(len(colours), self.options.trails)
            ways = np.stack([placed(frame, "x")[n][selected] for frame in self.frames[: k + 1]], axis=1)
            lines.append(plot.Lines(tuple(ways), colours[selected]))
        if self.options.arrows != "none" and view == "x":
            selected = spread(len(colours), _ARROWS)
            start = placed(self.frames[k], "x")[n][selected]
            step = _REACH[self.options.arrows] * flow(self.frames[k], self.options.arrows)[n][selected]
            lines.append(
                plot.Lines(
                    tuple(np.stack([start, start + step], axis=1)), colours[selected], heads=True, opacity=0.8
                )
            )
        return tuple(lines)


@dataclass(frozen=True)
class DrawnFrame:
    """A frame of points with the attributes of a frame of pictures."""

    run: _Run
    place: int

    @property
    def index(self) -> int:
        return self._frame.index

    @property
    def total(self) -> int:
        return self._frame.total

    @property
    def level(self) -> NoiseLevel:
        return self._frame.level

    @property
    def calls(self) -> int:
        return self._frame.calls

    @property
    def part(self) -> str:
        return self._frame.part

    @property
    def layout(self) -> Layout | None:
        return self._frame.layout

    def sheet(self, images: np.ndarray, background: int = 255) -> np.ndarray:
        return self._frame.sheet(images, background)

    @property
    def x(self) -> np.ndarray:
        return self.run.picture(self.place, "x")

    @property
    def x0(self) -> np.ndarray:
        return self.run.picture(self.place, "x0")

    @property
    def _frame(self) -> Frame:
        return self.run.frames[self.place]


def placed(frame: Frame, view: str) -> np.ndarray:
    """The coordinates of the frame's points, (N, P, 2) float64."""
    return getattr(frame, view).astype(np.float64)


def flow(frame: Frame, kind: str) -> np.ndarray:
    """The vector from each point to where its arrow leads, (N, P, 2).

    "x0" is the difference to the predicted x0. "velocity" is that of the probability-flow ODE, sigma x0 -
    alpha eps: dx per unit of half log-SNR, divided by alpha sigma (v of Salimans & Ho 2022, reversed).
    """
    x, x0 = placed(frame, "x"), placed(frame, "x0")
    alpha, sigma = frame.level.alpha, frame.level.sigma
    if kind == "x0" or not sigma:
        return x0 - x
    spread = math.hypot(alpha, sigma)  # beyond 1 a frame holds x / spread (see `segments.run_segments`)
    return (sigma * x0 - alpha * (max(1.0, spread) * x - alpha * x0) / sigma) / spread


def spread(count: int, most: int) -> np.ndarray:
    """Up to `most` indices below `count`, evenly spaced. The points of a cloud are in random order, so
    this is a random subset.
    """
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
