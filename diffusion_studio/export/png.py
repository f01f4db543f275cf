"""PNG: the finished pictures, and the film strip for a paper or a slide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.arrays import enlarge, to_pil
from ..imaging.frame import Frame
from .comparison import Pair, layers
from .metadata import PNG_KEY
from .options import ExportOptions
from .render import (
    WHITE,
    Scene,
    canvas,
    check_size,
    choose,
    evenly,
    load_font,
    panel,
    paper,
    scale_of,
    shown,
    time_of,
)

if TYPE_CHECKING:
    from PIL import Image

_TILE = 256  # pixels into which a state of a film strip fits
_MAX_STRIP = 1 << 26  # pixels of a film strip


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the last state: the finished pictures, or the last state of a run that was stopped."""
    scene = Scene.of(frames[-1:], options)
    picture = to_pil(next(scene.pictures()))
    if options.ground == "transparent" and not frames[-1].of_points:
        picture.putalpha(_opacity(scene, picture.size))
    _save(picture, path, recipe_json)


def _opacity(scene: Scene, size: tuple[int, int]) -> Image.Image:
    """The alpha channel of a finished picture: 0 on the background of each tile and between tiles, 255
    elsewhere and in a caption.
    """
    from PIL import Image

    shown = enlarge(
        canvas(_with_opacities(scene.frames[-1]), replace(scene.options, theme="dark")), scene.scale
    )
    opacity = np.full(size[::-1], WHITE, np.uint8)
    begin = (size[0] - shown.shape[1]) // 2  # a caption may be wider
    opacity[: shown.shape[0], begin : begin + shown.shape[1]] = shown[..., 0]
    return Image.fromarray(opacity)


def _with_opacities(frame: Any) -> Any:
    """The frame with its pictures replaced by their opacities (N, H, W, 1)."""
    if isinstance(frame, Pair):
        return replace(frame, above=_with_opacities(frame.above), below=_with_opacities(frame.below))
    return replace(
        frame, **{name: np.stack([*map(_tile_opacity, getattr(frame, name))]) for name in ("x", "x0")}
    )


def _tile_opacity(picture: np.ndarray) -> np.ndarray:
    """The opacity (H, W, 1) uint8 of a picture (H, W, C): 0 where the first corner's colour is connected
    to the edge.
    """
    from PIL import Image, ImageDraw

    same = np.pad((picture == picture[0, 0]).all(axis=-1), 1, constant_values=True)
    around = Image.fromarray(same.astype(np.uint8)).copy()
    ImageDraw.floodfill(around, (0, 0), 2)
    return np.where(np.asarray(around)[1:-1, 1:-1] == 2, 0, WHITE).astype(np.uint8)[..., None]


@dataclass(frozen=True)
class Strip:
    """The layout of a film strip."""

    picks: list[int]  # indices of the chosen states
    labels: list[str]  # t below each state
    rows: list[tuple[int, str]]  # number of the run (0 is above) and view, x or x0
    titles: list[str]
    tile: tuple[int, int]  # width and height of a state
    column: int  # width of a state with its label
    corner: tuple[int, int]  # x of the first state, y of the labels
    size: int  # of letters
    gap: int

    @classmethod
    def of(cls, frames: Sequence[Frame], options: ExportOptions) -> Strip:
        """The layout for some frames. Raises `OptionError` if the strip would be too large."""
        if options.frames == "every":
            picks = choose(frames, options)
        else:
            picks = evenly([frame.level.log_snr for frame in frames], options.states)
        views, titles = (
            shown(options),
            [", ".join(title) for title in getattr(frames[0], "titles", ()) if title],
        )
        last = layers(frames[picks[-1]])
        rows = [(layer, view) for layer in range(len(last)) for view in views]
        scale = scale_of(frames[picks[-1]], options, _TILE)
        tile = panel(last[0], "x", options)
        height, width = tile.shape[0] * scale, tile.shape[1] * scale
        size = min(64, max(13, width // 8))
        font, gap = load_font(size), max(2, width // 32)
        labels = [label for k in picks for (label,) in [time_of(layers(frames[k])[0], "t = ") or ["clean"]]]
        column = max(width, *(round(font.getlength(label)) + gap for label in labels))
        left = gap + (round(font.getlength("x0")) + size // 2 if len(views) == 2 else 0)
        strip = cls(
            picks,
            labels,
            rows,
            titles,
            (width, height),
            column,
            (left, gap + len(rows) * (height + gap)),
            size,
            gap,
        )
        check_size(*strip.whole, _MAX_STRIP)
        return strip

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height of the strip."""
        font, (left, below) = load_font(self.size), self.corner
        texts = (round(font.getlength(title)) + 2 * self.gap for title in [*self.titles, ""])
        return (
            max(left + len(self.picks) * (self.column + self.gap), *texts),
            below + round(1.5 * self.size * (1 + len(self.titles))),
        )


def write_strip(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen number of states (evenly in log-SNR, or every k-th) side by side, with their t below.

    The view "both" has two rows, x and the predicted x0. A comparison has the rows of the other run below
    them, and a line with the settings in which the two differ. Without a scale the longer side of a state is
    at most 256 pixels.
    """
    from PIL import Image, ImageDraw

    strip = Strip.of(frames, options)
    columns = [layers(frames[k]) for k in strip.picks]
    (width, height), (left, below), gap, size = strip.tile, strip.corner, strip.gap, strip.size
    grey = all(state.x.shape[-1] == 1 for state in columns[-1])
    sheet = Image.new("L" if grey else "RGB", strip.whole, ("black", "white")[paper(options) > 0])
    draw, ink, font = ImageDraw.Draw(sheet), ("white", "black")[paper(options) > 0], load_font(size)
    for c, (states, label) in enumerate(zip(columns, strip.labels)):
        at = left + c * (strip.column + gap)
        for r, (layer, view) in enumerate(strip.rows):
            picture = _fitted(to_pil(panel(states[layer], view, options)), width, height)
            sheet.paste(
                picture,
                (
                    at + (strip.column - picture.width) // 2,
                    gap + r * (height + gap) + (height - picture.height) // 2,
                ),
            )
        draw.text((at + strip.column // 2, below), label, ink, font, anchor="ma")
    for k, title in enumerate(strip.titles):
        draw.text((gap, below + round(1.5 * size * (1 + k))), title, ink, font)
    if len(shown(options)) == 2:
        for r, (_, view) in enumerate(strip.rows):
            middle = gap + r * (height + gap) + height // 2
            draw.text((gap, middle), "x", ink, font, anchor="lm")
            if view == "x0":
                draw.text(
                    (gap + font.getlength("x"), middle + size // 4),
                    "0",
                    ink,
                    load_font(round(0.7 * size)),
                    anchor="lm",
                )
    _save(sheet, path, recipe_json)


def _fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture enlarged by the largest whole number that fits, or reduced if it is larger than the
    tile.
    """
    from PIL import Image

    times = min(width / picture.width, height / picture.height)
    times = math.floor(times) if times >= 1 else times
    return picture.resize(
        (round(picture.width * times), round(picture.height * times)),
        Image.Resampling.NEAREST if times >= 1 else Image.Resampling.BOX,
    )


def _save(picture: Image.Image, path: Path, recipe_json: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(PNG_KEY, recipe_json)
    picture.save(path, "PNG", pnginfo=info)
