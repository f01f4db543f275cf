"""Which states of a run are shown, and how each becomes a picture. Shared by all formats.

A picture is laid out at native resolution first and enlarged last, so that a palette is computed from the
network's pixels and not from scale^2 times as many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OptionError, no_such
from ..imaging.arrays import enlarge
from ..imaging.frame import Frame
from .comparison import Pair, layers, stacked
from .options import ExportOptions
from .slideshow import PICTURE
from .stagger import STAGGERED

if TYPE_CHECKING:
    from PIL import ImageFont

WHITE = 255
VISIBLE = 6.0  # absolute log-SNR beyond which states look alike
MAX_PIXELS = 1 << 24  # of one finished picture: 4096 x 4096, 50 MB as RGB


def choose(frames: Sequence[Frame], options: ExportOptions) -> list[int]:
    """Indices of the states that are shown, ascending and distinct, always with the first and the last."""
    last = len(frames) - 1
    if options.frames == "every":
        return sorted({*range(0, last + 1, options.every), last})
    if options.frames == "log_snr":
        return evenly([frame.level.log_snr for frame in frames], options.states)
    return list(range(last + 1))


def evenly(log_snr: Sequence[float], count: int) -> list[int]:
    """Indices of min(count, n) states whose log-SNRs are nearest to even steps from the first to the last.

    Beyond -6 and 6 (99.8 % and 0.2 % noise) a step counts a hundredth: a schedule that begins at -20 would
    otherwise give most of the picks to states that all look like noise.

    If `log_snr` does not ascend (a run goes into noise first, or jumps back), the indices are evenly spaced
    instead. A clean end (+inf) and a pure-noise start (-inf) are always picked, because no even distance from
    them exists.
    """
    n = len(log_snr)
    count = min(count, n)
    if any(a >= b for a, b in zip(log_snr, log_snr[1:])):
        return [round(k * (n - 1) / (count - 1)) for k in range(count)]
    head = [0] if math.isinf(log_snr[0]) else []
    tail = [n - 1] if n - 1 not in head and math.isinf(log_snr[-1]) else []
    inner = np.arange(len(head), n - len(tail))
    between = count - len(head) - len(tail)
    if between <= 0 or not len(inner):
        return sorted({0, n - 1})[-count:]
    values = np.asarray(log_snr, dtype=np.float64)[inner]
    values = np.clip(values, -VISIBLE, VISIBLE) + 0.01 * (values - np.clip(values, -VISIBLE, VISIBLE))
    picks: list[int] = []
    start = 0
    for k, target in enumerate(np.linspace(values[0], values[-1], between)):
        stop = len(inner) - (between - 1 - k)  # leaves a state for each further pick
        start += int(np.abs(values[start:stop] - target).argmin())
        picks.append(int(inner[start]))
        start += 1
    return head + picks + tail


def canvas(frame: Frame, options: ExportOptions) -> np.ndarray:
    """(H, W, C) uint8 at native resolution: the grid or the chosen picture, of x, of x0, or of both side by
    side.

    A `Pair` shows both runs, one above the other.
    """
    if isinstance(frame, Pair):
        return stacked(canvas(frame.above, options), canvas(frame.below, options), paper(options))
    panels = [panel(frame, name, options) for name in shown(options)]
    if len(panels) == 1:
        return panels[0]
    height, width, channels = panels[0].shape
    between = np.full((height, max(1, width // 64), channels), paper(options), np.uint8)
    return np.concatenate([panels[0], between, panels[1]], axis=1)


def paper(options: ExportOptions) -> int:
    """The grey level, 0 to 255, of the background."""
    return WHITE if options.theme == "light" else 0


def shown(options: ExportOptions) -> tuple[str, ...]:
    """The fields of a frame that the view shows: x, x0 or both."""
    return ("x", "x0") if options.view == "both" else (options.view,)


def panel(frame: Frame, view: str, options: ExportOptions) -> np.ndarray:
    """(H, W, C): the chosen picture of a frame's `view` (x or x0), or all of them as they are laid out."""
    images = getattr(frame, view)
    if options.picture is None:
        return frame.sheet(images, paper(options))
    check_picture(options.picture, len(images))
    return images[options.picture]


def check_picture(picture: int | None, count: int) -> None:
    """Raise `OptionError` if a run of `count` pictures has no picture of this number."""
    if picture is not None and picture >= count:
        raise no_such(
            "picture", "export.picture", "This run has", picture, count, " Leave it out for all of them."
        )


def scale_of(frame: Frame, options: ExportOptions, fit: int) -> int:
    """The chosen enlargement, or the largest at which a panel (without gap and caption) fits `fit` pixels."""
    if options.scale is not None:
        return options.scale
    height, width, _ = panel(layers(frame)[0], "x", options).shape
    if frame.layout is not None and options.picture is None:
        fit *= 2  # spelled text is wide and low
    return max(1, fit // max(height, width))


def check_size(width: int, height: int, limit: int) -> None:
    """Raise `OptionError` for a picture of more than `limit` pixels, which would take too much memory."""
    if width * height > limit:
        raise OptionError(
            "export.scale",
            f"The picture would have {width} x {height} = {width * height / 1e6:.0f} million pixels; the "
            f"limit is {limit / 1e6:.0f} million. Choose a smaller scale, fewer states or one picture.",
        )


@dataclass(frozen=True)
class Scene:
    """The chosen states, and how each becomes a finished picture. Holds no pixels."""

    frames: tuple[Frame, ...]
    options: ExportOptions
    scale: int

    @classmethod
    def of(cls, frames: Sequence[Frame], options: ExportOptions, fit: int = 512) -> Scene:
        """Raises `OptionError` for a missing picture or a size beyond `MAX_PIXELS`."""
        scene = cls(
            tuple(frames[k] for k in choose(frames, options)), options, scale_of(frames[-1], options, fit)
        )
        height, width, _ = canvas(frames[-1], options).shape
        check_size(width * scene.scale, height * scene.scale, MAX_PIXELS)
        return scene

    def native(self, k: int) -> np.ndarray:
        """The canvas (H, W, C) of state k at native resolution."""
        return canvas(self.frames[k], self.options)

    def pictures(self) -> Iterator[np.ndarray]:
        """The finished pictures (H, W, C) of all states, one at a time."""
        return (self.finish(self.native(k), k) for k in range(len(self.frames)))

    def finish(self, native: np.ndarray, k: int, greys: np.ndarray | None = None) -> np.ndarray:
        """The canvas of state k enlarged and with its caption: (H, W, C), or (H, W) for palette indices.

        For indices, `greys` (256,) gives the palette index of each grey.
        """
        picture = enlarge(native, self.scale)
        if self._caption is None:
            return picture
        strip, ground = self._caption.draw(self.frames[k]), paper(self.options)
        strip = strip if ground else WHITE - strip
        if greys is None:
            strip = np.repeat(strip[..., None], picture.shape[-1], axis=-1)
        else:
            strip = greys[strip]
        background = ground if greys is None else int(greys[ground])
        side = strip.shape[1] - picture.shape[1]
        if side:  # the caption is wider than the picture
            around = [(0, 0), (side // 2, side - side // 2), *[(0, 0)] * (picture.ndim - 2)]
            picture = np.pad(picture, around, constant_values=background)
        return np.concatenate([picture, strip])

    @cached_property
    def _caption(self) -> Caption | None:
        if not self.options.caption:
            return None
        return Caption.fitting(self.frames, self.native(-1).shape[1] * self.scale)


@dataclass(frozen=True)
class Caption:
    """A strip of text under the picture, laid out once for all states so that the text does not jump."""

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    places: tuple[tuple[tuple[int, int], ...], ...]  # x and y of each part, for each line
    width: int
    height: int

    @classmethod
    def fitting(cls, frames: Sequence[Frame], width: int) -> Caption:
        """A caption with as many parts in a row as fit `width`; it is wider only if a single part does not
        fit.
        """
        size = min(24, max(13, width // 30))
        font, margin = load_font(size), size // 2
        texts = [lines(frame) for frame in frames]
        lined = [
            [math.ceil(max(map(font.getlength, parts))) for parts in zip_longest(*line, fillvalue="")]
            for line in zip(*texts)
        ]
        width = max(width, max(map(max, lined)) + 2 * margin)
        places, top = [], margin - round(1.3 * size)
        for widths in lined:
            left, top, placed = margin, top + round(1.3 * size), []
            for part in widths:
                if left > margin and left + part + margin > width:
                    left, top = margin, top + round(1.3 * size)
                placed.append((left, top))
                left += part + round(1.5 * size)
            places.append(tuple(placed))
        return cls(font, tuple(places), width, top + size + margin)

    def draw(self, frame: Frame) -> np.ndarray:
        """The strip (height, width) uint8, black on white with soft edges."""
        from PIL import Image, ImageDraw

        strip = Image.new("L", (self.width, self.height), WHITE)
        for places, line in zip(self.places, lines(frame)):
            for place, text in zip(places, line):
                ImageDraw.Draw(strip).text(place, text, fill=0, font=self.font)
        return np.asarray(strip)


def lines(frame: Frame) -> list[list[str]]:
    """The lines of a state's caption, each as a list of parts.

    A `Pair` has one line for each run, which starts with the settings in which it differs.
    """
    titles = getattr(frame, "titles", ((),))
    return [[*title, *caption_parts(one)] for one, title in zip(layers(frame), titles)]


def caption_parts(frame: Frame) -> list[str]:
    """The parts of a state's caption."""
    if frame.part == PICTURE:
        return [f"picture {frame.index + 1} of {frame.total + 1}"]
    if frame.part.startswith(STAGGERED):
        return [f"frame {frame.index + 1} of {frame.total + 1}", frame.part]
    part = [frame.part] if frame.part else []
    return [f"step {frame.index}/{frame.total}", *time_of(frame, "t "), *_log_snr(frame), *part]


def time_of(frame: Frame, prefix: str) -> list[str]:
    """The time label t of a frame's level; empty at the clean end, where the network is not called."""
    t = frame.level.t
    if frame.part == PICTURE or frame.part.startswith(STAGGERED):
        return [str(frame.index + 1)]
    if frame.level.sigma == 0:
        return []
    return [f"{prefix}{t:.0f}" if t == round(t) else f"{prefix}{t:.4g}"]


def _log_snr(frame: Frame) -> list[str]:
    value = frame.level.log_snr
    return ["clean"] if value == math.inf else [f"log-SNR {value:.1f}"]


def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that captions look the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
