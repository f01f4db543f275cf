"""The curve of divergence of a race, drawn: RMS of x0 against the first lane's, over log-SNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..export.render import load_font
from .clocks import VISIBLE
from .results import RaceRuns

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
# The colours of the lanes: Okabe & Ito (2008), which people with red-green blindness can tell apart. The
# first lane, against which the others are measured, is grey.
COLOURS: tuple[Colour | None, ...] = (
    None,
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
)
_FINE = 3  # drawn this many times finer, then averaged
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 52, 22, 34


class CurvePlot:
    """The curves of all lanes; the first one is the zero line. `at` adds a marker for each lane."""

    def __init__(
        self, race: RaceRuns, width: int, ink: Colour, ground: Colour, enlarged: float = 1.0
    ) -> None:
        """`enlarged` scales the letters, margins and height."""
        self.enlarged = enlarged
        self.height = round(150 * enlarged)
        self.edges = [round(one * enlarged) for one in (_LEFT, _RIGHT, _TOP, _BOTTOM)]
        self.race, self.width, self.ink, self.ground = race, width, ink, ground
        self.faint: Colour = _mixed(ink, ground, 0.82)
        self.grey: Colour = _mixed(ink, ground, 0.4)
        finite = [
            frame.level.log_snr
            for lane in race.lanes
            for frame in lane.frames
            if math.isfinite(frame.level.log_snr)
        ] or [0.0]
        low, high = (min(max(one, -VISIBLE), VISIBLE) for one in (min(finite), max(finite)))
        self.low, self.high = low, max(high, low + 1)
        values = [value for lane in race.lanes if lane.curve is not None for value in lane.curve.rms]
        self.most = max([*values, 1e-3])

    def place(self, log_snr: float, value: float) -> tuple[float, float]:
        """Where a point of the curve lies, in pixels."""
        left, right, top, bottom = self.edges
        across, down = self.width - left - right, self.height - top - bottom
        if math.isinf(log_snr):
            x = left if log_snr < 0 else self.width - right / 2
        else:
            held = min(max(log_snr, self.low), self.high)
            x = left + across * (held - self.low) / (self.high - self.low)
        return x, top + down * (1 - value / self.most)

    def value(self, number: int, log_snr: float) -> float:
        """The height of a lane's curve at the log-SNR of one of its states."""
        curve = self.race.lanes[number].curve
        if curve is None or not curve.log_snr:
            return 0.0
        at = int(np.clip(np.searchsorted(curve.log_snr, log_snr), 0, len(curve.rms) - 1))
        return curve.rms[at]

    def at(self, numbers: Sequence[int] | None, tick: float | None) -> Image.Image:
        """The plot with a marker on each lane's curve at its frame; none where `numbers` is None."""
        from PIL import Image, ImageDraw

        fine = self._lines.copy()
        draw = ImageDraw.Draw(fine)
        if tick is not None and self.race.recipe.clock == "log-snr":
            x = self.place(tick, 0)[0] * _FINE
            top, bottom = self.edges[2], self.height - self.edges[3]
            draw.line((x, top * _FINE, x, bottom * _FINE), self.grey, _FINE)
        for number, place in enumerate(numbers or ()):
            level = self.race.lanes[number].frames[place].level.log_snr
            x, y = (_FINE * one for one in self.place(level, self.value(number, level)))
            draw.ellipse((x - 14, y - 14, x + 14, y + 14), COLOURS[number] or self.grey, self.ground, 4)
        whole = fine.resize((self.width, self.height), Image.Resampling.BOX)
        self._words(ImageDraw.Draw(whole))
        return whole

    @cached_property
    def _lines(self) -> Image.Image:
        from PIL import Image, ImageDraw

        fine = Image.new("RGB", (self.width * _FINE, self.height * _FINE), self.ground)
        draw = ImageDraw.Draw(fine)
        for value in (self.most, self.most / 2):
            self._line(draw, [(-math.inf, value), (math.inf, value)], self.faint, 1)
        self._line(draw, [(-math.inf, 0), (math.inf, 0)], self.grey, 2)
        for number, lane in enumerate(self.race.lanes):
            if lane.curve is not None:
                points = list(zip(lane.curve.log_snr, lane.curve.rms))
                self._line(draw, points, COLOURS[number] or self.grey, 2)
                for point in points:  # a dot for each state
                    x, y = (_FINE * one for one in self.place(*point))
                    draw.ellipse((x - 7, y - 7, x + 7, y + 7), COLOURS[number] or self.grey)
        return fine

    def _line(self, draw, points: Sequence[tuple[float, float]], colour: Colour, width: int) -> None:
        placed = [tuple(_FINE * one for one in self.place(*point)) for point in points]
        draw.line(placed, colour, width * _FINE, joint="curve")

    def _words(self, draw) -> None:
        font = load_font(round(12 * self.enlarged))
        draw.text((0, 0), "RMS of x0 from lane 1's, over log-SNR", self.ink, font)
        for value in (0.0, self.most):
            y = self.place(0, value)[1]
            draw.text((self.edges[0] - 6, y), f"{value:.2g}", self.grey, font, anchor="rm")
        step = next(one for one in (1, 2, 5, 10, 20, 50, 100, 1000) if (self.high - self.low) / one <= 8)
        below = self.height - self.edges[3] + 6
        last = self.width - self.edges[1] / 2
        for mark in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            x = self.place(mark * step, 0)[0]
            if x < last - 34 * self.enlarged:
                draw.text((x, below), str(mark * step), self.grey, font, anchor="ma")
        draw.text((last, below), "clean", self.grey, font, anchor="ma")


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    """A colour on the way from one to the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other))
    return red, green, blue
