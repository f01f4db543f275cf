"""A race or a grid drawn as one picture for each tick: runs, titles, curve and clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from ..diffusion.schedule import CLEAN
from ..export import ExportOptions
from ..export.clouds import drawn
from ..export.render import canvas, load_font
from ..imaging.arrays import enlarge, to_pil
from .clocks import CLOCKS
from .curve_plot import COLOURS, CurvePlot
from .lanes import Lane
from .results import GridRuns, RaceRuns, Runs

if TYPE_CHECKING:
    from PIL import Image

_FIT = 240  # pixels of a panel, where no scale is given
_FIT_GRID = 720  # pixels of all panels of a grid side by side
_NARROWEST = 190  # pixels of a lane, for its words
_GAP, _MARGIN, _LINE = 16, 14, 19
_SIZE, _MOST_SIZE = 14, 28  # of letters
_STRIP = (
    5.0  # log-SNR, either way, within which a strip has its states: beyond, noise or picture is all there is
)
GROUNDS = {"light": (255, 255, 255), "dark": (11, 14, 20)}
INKS = {"light": (30, 34, 42), "dark": (226, 230, 237)}
_PALE = {"light": (95, 102, 115), "dark": (150, 161, 181)}

S = TypeVar("S", bound=Runs)


@dataclass(frozen=True)
class TickFrame:
    """A tick in the form that the file writers take: a frame of one picture, drawn on demand."""

    drawing: Drawing[Any]
    index: int
    total: int
    level = CLEAN
    calls = 0
    part = ""
    layout = None
    of_points = False

    @property
    def x(self) -> np.ndarray:
        return self.drawing.picture(self.index)[None]

    x0 = x

    def sheet(self, images: np.ndarray, background: int = 255) -> np.ndarray:
        return images[0]


class Drawing(Generic[S]):
    """What the drawings of a race and a grid share: the panels of their runs, and words."""

    def __init__(self, shown: S, options: ExportOptions) -> None:
        self.shown, self.options = shown, options
        self.tells_time = True
        self._runs = [self._pictures(lane.frames) for lane in self._lanes]
        height, width, _ = canvas(self._runs[0][0], self._laid).shape
        self.scale = self._scale(height, width)
        self.panel = width * self.scale, height * self.scale
        self._last: tuple[int, np.ndarray] | None = None

    @property
    def _lanes(self) -> tuple[Lane, ...]:
        return self.shown.lanes

    def _pictures(self, frames: Sequence[Any]) -> Sequence[Any]:
        return drawn(frames, self.options, self._fit)[0] if frames[0].of_points else frames

    @property
    def _fit(self) -> int:
        return _FIT

    @property
    def _laid(self) -> ExportOptions:
        return replace(self.options, frames="all", delay=0)

    def _scale(self, height: int, width: int) -> int:
        if self._lanes[0].frames[0].of_points:
            return 1  # drawn at its size
        wide = width // 2 if self.options.view == "both" else width
        return self.options.scale or max(1, self._fit // max(height, wide))

    def frames(self) -> list[TickFrame]:
        """One frame for each tick of the clock."""
        count = len(self.shown.ticks)
        return [TickFrame(self, k, count - 1) for k in range(count)]

    def picture(self, tick: int) -> np.ndarray:
        """(H, W, 3) uint8: everything at a tick. Writers ask for the last tick often, so one is kept."""
        if self._last is None or self._last[0] != tick:
            made = self._ground.copy()
            self.draw(made, tick)
            self._last = tick, np.asarray(made)
        return self._last[1]

    def draw(self, whole: Image.Image, tick: int) -> None:
        raise NotImplementedError

    @property
    def _ground(self) -> Image.Image:
        raise NotImplementedError

    def _panel(self, number: int, place: int) -> Image.Image:
        """The frame of a run as an enlarged picture."""
        return to_pil(enlarge(canvas(self._runs[number][place], self._laid), self.scale)).convert("RGB")

    def _tick_text(self, tick: int) -> str:
        clock = CLOCKS[self.shown.recipe.clock]
        return f"{clock.label.lower()}: {clock.tick_text(float(self.shown.ticks[tick]))}"

    @property
    def ink(self) -> tuple[int, int, int]:
        return INKS[self.options.theme]

    @property
    def pale(self) -> tuple[int, int, int]:
        return _PALE[self.options.theme]

    def _heading(self, width: int, size: int = _SIZE) -> list[str]:
        """The lines above everything: what all runs have."""
        return wrapped(self.shown.common, width, size)

    def _blank(self, width: int, height: int) -> Image.Image:
        from PIL import Image

        return Image.new("RGB", (width, height), GROUNDS[self.options.theme])


class RaceDrawing(Drawing[RaceRuns]):
    """Lanes side by side, up to three in a row, each with the settings in which it differs and its progress.
    Below them are the curve of divergence and the clock.
    """

    @cached_property
    def _columns(self) -> int:
        count = len(self._lanes)
        return count if count <= 3 else -(-count // 2)

    @cached_property
    def _lane(self) -> int:
        """Width of a lane."""
        return max(self.panel[0], _NARROWEST)

    @cached_property
    def _titles(self) -> list[list[str]]:
        every = self.shown.titles
        named = [", ".join(title) or "the same settings" for title in every]
        return [wrapped(f"{k + 1}   {title}", self._lane) for k, title in enumerate(named)]

    @cached_property
    def _heights(self) -> tuple[int, int]:
        """Of the titles, and of a whole lane."""
        title = max(map(len, self._titles)) * _LINE
        extra = any(lane.distance is not None for lane in self._lanes)
        return title, title + self.panel[1] + (2 + extra) * _LINE + 8

    @cached_property
    def _plot(self) -> CurvePlot:
        return CurvePlot(self.shown, self._width - 2 * _MARGIN, self.ink, GROUNDS[self.options.theme])

    @cached_property
    def _width(self) -> int:
        return 2 * _MARGIN + self._columns * self._lane + (self._columns - 1) * _GAP

    @cached_property
    def _top(self) -> int:
        """Where the lanes begin."""
        return _MARGIN + len(self._heading(self._width - 2 * _MARGIN)) * _LINE + 6

    @cached_property
    def _bottom(self) -> int:
        """Where the lanes end."""
        rows = -(-len(self._lanes) // self._columns)
        return self._top + rows * (self._heights[1] + _GAP)

    def _at(self, number: int) -> tuple[int, int]:
        row, column = divmod(number, self._columns)
        return _MARGIN + column * (self._lane + _GAP), self._top + row * (self._heights[1] + _GAP)

    @cached_property
    def _ground(self) -> Image.Image:
        from PIL import ImageDraw

        whole = self._blank(self._width, self._bottom + self._plot.height + _LINE + _MARGIN)
        draw, font = ImageDraw.Draw(whole), load_font(_SIZE)
        for k, line in enumerate(self._heading(self._width - 2 * _MARGIN)):
            draw.text((_MARGIN, _MARGIN + k * _LINE), line, self.pale, font)
        for number, lines in enumerate(self._titles):
            left, top = self._at(number)
            lane = COLOURS[number] or self.pale
            draw.rectangle((left, top + 3, left + 11, top + 14), fill=lane)
            for k, text in enumerate(lines):
                text = text.partition("   ")[2] if k == 0 else text
                draw.text((left + (18 if k == 0 else 0), top + k * _LINE), text, self.ink, font)
        return whole

    def draw(self, whole: Image.Image, tick: int) -> None:
        from PIL import ImageDraw

        draw, font = ImageDraw.Draw(whole), load_font(_SIZE)
        numbers = self.shown.numbers(tick)
        for number, place in enumerate(numbers):
            left, top = self._at(number)
            top += self._heights[0] + 2
            whole.paste(self._panel(number, place), (left, top))
            for k, text in enumerate(self._progress(number, place)):
                draw.text((left, top + self.panel[1] + 4 + k * _LINE), text, self.pale, font)
        draw.text((_MARGIN, self._bottom), self._tick_text(tick), self.ink, font)
        whole.paste(self._plot.at(numbers, float(self.shown.ticks[tick])), (_MARGIN, self._bottom + _LINE))

    def _progress(self, number: int, place: int) -> list[str]:
        lane = self._lanes[number]
        frame = lane.frames[place]
        calls = CLOCKS["calls"].place([frame], [0.0])[0]
        lines = [
            lane.step_text(place, own=False),
            f"{calls:.0f} of {lane.calls} calls, {lane.seconds[place]:.2f} s",
        ]
        if lane.distance is not None:
            lines.append(f"{lane.distance:.3f} from the reference" if frame.index == frame.total else "")
        return lines

    def strip(self, count: int) -> np.ndarray:
        """(H, W, 3): a row for each lane with the states of `count` ticks, and the curve. Letters grow with
        the pictures, so that they can be read where the strip is shown small.
        """
        from PIL import ImageDraw

        ticks, gap = self._strip_ticks(count), 6
        size = max(_SIZE, min(_MOST_SIZE, self.panel[0] // 9))
        font, line = load_font(size), round(size * 1.4)
        width = max(len(ticks) * (self.panel[0] + gap), 2 * _NARROWEST)
        plot = CurvePlot(self.shown, width - gap, self.ink, GROUNDS[self.options.theme], size / 12)
        row = line + self.panel[1] + gap
        heading = self._heading(width, size)
        first = _MARGIN + len(heading) * line
        below = first + len(self._lanes) * row
        whole = self._blank(width + 2 * _MARGIN, below + line + gap + plot.height + _MARGIN)
        draw = ImageDraw.Draw(whole)
        for k, text in enumerate(heading):
            draw.text((_MARGIN, _MARGIN + k * line), text, self.pale, font)
        for number, title in enumerate(self.shown.titles):
            top, lane = first + number * row, self._lanes[number]
            mark = (_MARGIN, top + size // 4, _MARGIN + size * 3 // 4, top + size)
            draw.rectangle(mark, fill=COLOURS[number] or self.pale)
            words = [*title, f"{lane.calls} calls", f"{lane.took:.2f} s measured while it ran"]
            words += [] if lane.distance is None else [f"{lane.distance:.3f} from the reference"]
            draw.text((_MARGIN + size * 5 // 4, top), ", ".join(words), self.ink, font)
            for column, tick in enumerate(ticks):
                picture = self._panel(number, self.shown.numbers(tick)[number])
                whole.paste(picture, (_MARGIN + column * (self.panel[0] + gap), top + line))
        clock = CLOCKS[self.shown.recipe.clock]
        for column, tick in enumerate(ticks):
            middle = _MARGIN + column * (self.panel[0] + gap) + self.panel[0] // 2
            text = clock.tick_text(float(self.shown.ticks[tick]))
            draw.text((middle, below), text, self.pale, font, anchor="ma")
        whole.paste(plot.at(None, None), (_MARGIN, below + line + gap))
        return np.asarray(whole)

    def _strip_ticks(self, count: int) -> list[int]:
        """The ticks of a strip, evenly spaced, with the first and the last. On the clock of noise levels
        those between are taken where the picture visibly changes.
        """
        every = self.shown.ticks
        if self.shown.recipe.clock != "log-snr" or count < 3:
            return evenly_spaced(len(every), count)
        inner = [k for k, tick in enumerate(every) if 0 < k < len(every) - 1 and -_STRIP <= tick <= _STRIP]
        if len(inner) < count - 2:
            return evenly_spaced(len(every), count)
        return [0, *(inner[k] for k in evenly_spaced(len(inner), count - 2)), len(every) - 1]


class GridDrawing(Drawing[GridRuns]):
    """Cells in rows and columns with the values on the axes, and the clock below."""

    @property
    def _fit(self) -> int:
        return max(48, min(_FIT, _FIT_GRID // self.shown.recipe.columns))

    @cached_property
    def _words(self) -> tuple[list[list[str]], list[list[str]]]:
        """The lines of each value along x and along y."""
        recipe = self.shown.recipe
        return (
            [wrapped(word, self._cell[0]) for word in recipe.x.words()],
            [] if recipe.y is None else [wrapped(word, 150) for word in recipe.y.words()],
        )

    @cached_property
    def _cell(self) -> tuple[int, int]:
        font = load_font(_SIZE)
        longest = max(font.getlength(part) for word in self.shown.recipe.x.words() for part in word.split())
        return max(self.panel[0], min(round(longest) + 4, 150)), self.panel[1]

    @cached_property
    def _corner(self) -> tuple[int, int]:
        """Left and top of the first cell."""
        recipe, font = self.shown.recipe, load_font(_SIZE)
        words = [line for word in self._words[1] for line in word]
        words += [] if recipe.y is None else [recipe.y.name]
        left = max((round(font.getlength(one)) + 12 for one in words), default=0)
        return _MARGIN + left, self._top + (1 + max(map(len, self._words[0]))) * _LINE + 4

    @cached_property
    def _title(self) -> list[str]:
        wide = self.shown.recipe.columns * (self._cell[0] + 6)
        return self._heading(max(wide, _NARROWEST))

    @cached_property
    def _top(self) -> int:
        """Where the words along x begin."""
        return _MARGIN + len(self._title) * _LINE + 6

    def _at(self, number: int) -> tuple[int, int]:
        row, column = divmod(number, self.shown.recipe.columns)
        left, top = self._corner
        return left + column * (self._cell[0] + 6), top + row * (self._cell[1] + 6)

    @cached_property
    def _ground(self) -> Image.Image:
        from PIL import ImageDraw

        recipe, font = self.shown.recipe, load_font(_SIZE)
        right, bottom = self._at(recipe.rows * recipe.columns - 1)
        titles = max(round(font.getlength(line)) for line in self._title)
        width = max(
            right + self._cell[0], self._corner[0] + round(font.getlength(recipe.x.name)), _MARGIN + titles
        )
        whole = self._blank(width + _MARGIN, bottom + self._cell[1] + _LINE + _MARGIN)
        draw = ImageDraw.Draw(whole)
        for k, line in enumerate(self._title):
            draw.text((_MARGIN, _MARGIN + k * _LINE), line, self.pale, font)
        draw.text((self._corner[0], self._top), recipe.x.name, self.pale, font)
        for column, lines in enumerate(self._words[0]):
            for k, text in enumerate(lines):
                middle = self._at(column)[0] + self.panel[0] // 2
                draw.text((middle, self._top + (k + 1) * _LINE), text, self.ink, font, anchor="ma")
        if recipe.y is not None:
            draw.text((_MARGIN, self._corner[1] - _LINE - 4), recipe.y.name, self.pale, font)
        for row, lines in enumerate(self._words[1]):
            top = self._at(row * recipe.columns)[1] + (self.panel[1] - len(lines) * _LINE) // 2
            for k, text in enumerate(lines):
                draw.text((_MARGIN, top + k * _LINE), text, self.ink, font)
        return whole

    def draw(self, whole: Image.Image, tick: int) -> None:
        from PIL import ImageDraw

        for number, place in enumerate(self.shown.numbers(tick)):
            whole.paste(self._panel(number, place), self._at(number))
        if not self.tells_time:
            return
        where = self._corner[0], whole.height - _LINE - 6
        ImageDraw.Draw(whole).text(where, self._tick_text(tick), self.pale, load_font(_SIZE))


def drawing(shown: RaceRuns | GridRuns, options: ExportOptions) -> RaceDrawing | GridDrawing:
    """The drawing of a race or of a grid."""
    return RaceDrawing(shown, options) if isinstance(shown, RaceRuns) else GridDrawing(shown, options)


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """`wanted` of `count` numbers, evenly, the first and the last among them."""
    return sorted({round(float(one)) for one in np.linspace(0, count - 1, min(wanted, count))})


def wrapped(text: str, width: int, size: int = _SIZE) -> list[str]:
    """The lines of a text, broken at blanks to fit a width in pixels; a longer word stands alone."""
    font, lines = load_font(size), [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
