"""PNG: the finished pictures, and the film strip for a paper or a slide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..frame import Frame
from ..images import enlarge, to_pil
from .metadata import PNG_KEY
from .options import ExportOptions
from .render import Scene, check_size, choose, evenly, load_font, panel, paper, scale_of, shown, time_of

if TYPE_CHECKING:
    from PIL import Image

_TILE = 256                   # a film strip's states are smaller than a picture that stands alone
_MAX_STRIP = 1 << 26


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the last state: the finished pictures, or where a run that was stopped had got to."""
    scene = Scene.of(frames[-1:], options)
    _save(to_pil(next(scene.pictures())), path, recipe_json)


def write_strip(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen number of states, evenly in log-SNR (or every k-th), side by side with their t underneath.

    Two rows, x and the predicted x0, where the view is both. Where no scale is given, the longer side of a
    state fits 256 pixels.
    """
    from PIL import Image, ImageDraw

    if options.frames == "every":
        picks = choose(frames, options)
    else:
        picks = evenly([frame.level.log_snr for frame in frames], options.states)
    states = [frames[k] for k in picks]
    rows = shown(options)
    scale = scale_of(states[-1], options, _TILE)
    tile = panel(states[-1].x, options)
    height, width = tile.shape[0] * scale, tile.shape[1] * scale

    size = min(64, max(13, width // 8))
    font, gap = load_font(size), max(2, width // 32)
    labels = [time_of(state, "t = ") or ["clean"] for state in states]
    column = max(width, *(round(font.getlength(label)) + gap for label, in labels))
    left = gap + (round(font.getlength("x0")) + size // 2 if len(rows) == 2 else 0)
    whole = (left + len(states) * (column + gap), gap + len(rows) * (height + gap) + round(1.5 * size))
    check_size(*whole, _MAX_STRIP)

    sheet = Image.new("L" if tile.shape[-1] == 1 else "RGB", whole, ("black", "white")[paper(options) > 0])
    draw, ink = ImageDraw.Draw(sheet), ("white", "black")[paper(options) > 0]
    for c, (state, (label,)) in enumerate(zip(states, labels)):
        at = left + c * (column + gap)
        for r, view in enumerate(rows):
            picture = to_pil(enlarge(panel(getattr(state, view), options), scale))
            sheet.paste(picture, (at + (column - width) // 2, gap + r * (height + gap)))
        draw.text((at + column // 2, gap + len(rows) * (height + gap)), label, ink, font, anchor="ma")
    if len(rows) == 2:
        for r, view in enumerate(rows):
            middle = gap + r * (height + gap) + height // 2
            draw.text((gap, middle), "x", ink, font, anchor="lm")
            if view == "x0":
                draw.text((gap + font.getlength("x"), middle + size // 4), "0", ink, load_font(round(0.7 * size)),
                          anchor="lm")
    _save(sheet, path, recipe_json)


def _save(picture: Image.Image, path: Path, recipe_json: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(PNG_KEY, recipe_json)
    picture.save(path, "PNG", pnginfo=info)
