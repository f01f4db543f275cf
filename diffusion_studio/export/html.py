"""One HTML file that plays a run anywhere: offline, from a mail or a disk, in a frame of another page.

The frames are embedded losslessly, x over x0 as the app's player has them, several in one WebP (a sheet): it
packs better than one by one. The player is the app's own logic with a small page around it. The page's
content policy allows what is in the file and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..imaging import layout as places
from ..imaging.arrays import to_pil
from ..imaging.frame import Frame
from .beside import layers
from .clouds import DrawnFrame
from .metadata import embedded
from .options import ExportOptions
from .render import check_picture, choose

SHEET_PIXELS = 1 << 21  # of one sheet, which is decoded as a whole when one of its frames is looked at
SHEET_SIDE = 16_383  # the most that WebP has
MAX_PIXELS = 1 << 29  # of all frames together
PURE_NOISE = -1e9  # stands for -inf, which JSON lacks; as in the app's player
_PAGE = Path(__file__).with_name("page")
_LOGIC = Path(__file__).parents[1] / "ui" / "player" / "logic.mjs"
_PLACES = re.compile(r"\b(POLICY|TITLE|RECIPE|STYLE|FRAMES|SCRIPT)\b")


@dataclass(frozen=True)
class Layout:
    """The chosen frames of the one or two runs, and how many of them share a sheet. Holds no pixels."""

    frames: tuple[Frame, ...]
    options: ExportOptions

    @classmethod
    def of(cls, frames: Sequence[Frame], options: ExportOptions) -> Layout:
        """Raises `OptionError` for a picture that is not there, or frames that are too many for a page."""
        made = cls(tuple(frames[k] for k in choose(frames, options)), options)
        sizes = [made.size(layer) for layer in range(len(layers(frames[-1])))]
        pixels = len(made.frames) * sum(width * height for width, height in sizes)
        if pixels > MAX_PIXELS or max(map(max, sizes)) > SHEET_SIDE:
            raise OptionError(
                "export.every",
                f"The page would hold {pixels / 1e6:,.0f} million pixels; the limit is "
                f"{MAX_PIXELS / 1e6:,.0f} million. Choose fewer states (every k-th) or one picture.",
            )
        return made

    def images(self, frame: Frame, half: str) -> np.ndarray:
        """(N, H, W, C): the pictures of x or x0, or the chosen one of them."""
        found = getattr(frame, half)
        if self.options.picture is None:
            return found
        check_picture(self.options.picture, len(found))
        return found[self.options.picture : self.options.picture + 1]

    def size(self, layer: int) -> tuple[int, int]:
        """Width and height of a frame in a sheet: x over x0."""
        frame = layers(self.frames[-1])[layer]
        _, height, width, _ = self.images(frame, "x").shape
        placed = self.places(frame)
        return placed.columns * width, 2 * placed.rows * height

    def places(self, frame: Frame) -> places.Layout:
        """Where the pictures stand on their half of a sheet."""
        chosen = self.options.picture is not None
        return (
            places.Layout.square(len(self.images(frame, "x")))
            if chosen or frame.layout is None
            else frame.layout
        )

    def per_sheet(self, layer: int) -> int:
        """How many frames of a run share a sheet."""
        width, height = self.size(layer)
        return max(1, min(SHEET_PIXELS // (width * height), SHEET_SIDE // height, len(self.frames)))

    def sheets(self, layer: int) -> Iterator[bytes]:
        """The frames of one run as lossless WebPs."""
        each = self.per_sheet(layer)
        for at in range(0, len(self.frames), each):
            parts = [layers(frame)[layer] for frame in self.frames[at : at + each]]
            yield _packed(
                np.concatenate(
                    [self.places(one).sheet(self.images(one, half)) for one in parts for half in ("x", "x0")]
                )
            )


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen states as a page that plays by itself, the recipe in front of the pictures."""
    path.write_text(page(frames, recipe_json, options), "utf-8")


def page(frames: Sequence[Frame], recipe_json: str, options: ExportOptions) -> str:
    """The whole text of the page."""
    layout = Layout.of(frames, options)
    style = (_PAGE / "page.css").read_text("utf-8")
    script = _LOGIC.read_text("utf-8") + (_PAGE / "page.js").read_text("utf-8")
    parts = {
        "POLICY": escape(
            f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
            "base-uri 'none'; form-action 'none'"
        ),
        "TITLE": escape(title(recipe_json)),
        "RECIPE": embedded(recipe_json),
        "STYLE": style,
        "FRAMES": embedded(json.dumps(_data(layout), separators=(",", ":"), ensure_ascii=False)),
        "SCRIPT": script,
    }
    return _PLACES.sub(lambda found: parts[found[1]], _template())


def title(recipe_json: str) -> str:
    """What a run shows, in a few words of its recipe."""
    recipe = json.loads(recipe_json)
    what = next(
        (recipe[name] for name in ("spell", "prompt", "label") if isinstance(recipe.get(name), str)), ""
    )
    model = str(recipe.get("model", "a run"))
    return f"{what[:80]}: {model}" if what else model


def _data(layout: Layout) -> dict[str, Any]:
    runs = []
    titles = getattr(layout.frames[0], "titles", ((), ()))
    for layer in range(len(layers(layout.frames[-1]))):
        states = [layers(frame)[layer] for frame in layout.frames]
        images = layout.images(states[-1], "x")
        runs.append(
            {
                "about": ", ".join(titles[layer]) if layer < len(titles) else "",
                "count": len(images),
                "columns": layout.places(states[-1]).columns,
                "rows": layout.places(states[-1]).rows,
                "places": layout.places(states[-1]).places,
                "tile": list(images.shape[1:3]),
                "total": states[-1].total,
                "perSheet": layout.per_sheet(layer),
                "meta": [_meta(one) for one in states],
                "offs": _distances(layout, states),
                "sheets": [_text(sheet) for sheet in layout.sheets(layer)],
            }
        )
    options = layout.options
    smooth = isinstance(layers(layout.frames[-1])[0], DrawnFrame)  # a drawing of points, not pixels
    return {"fps": options.fps, "view": options.view, "smooth": smooth, "runs": runs}


def _distances(layout: Layout, states: Sequence[Frame]) -> list[float]:
    """How far each state's x0 is from the last one's: the mean absolute difference, from 0 to 255. Empty for
    drawings of points, whose pixels say nothing of it. The page's sentences come from it, as in the app.
    """
    if isinstance(states[-1], DrawnFrame):
        return []
    end = layout.images(states[-1], "x0").astype(np.int16)
    return [float(f"{np.abs(layout.images(one, 'x0').astype(np.int16) - end).mean():.4g}") for one in states]


def _meta(frame: Frame) -> list[Any]:
    """[index, t, log-SNR, network calls, part], as the app's player is told of a frame."""
    log_snr = None if frame.level.log_snr == math.inf else max(frame.level.log_snr, PURE_NOISE)
    return [frame.index, frame.level.t, log_snr, frame.calls, frame.part]


def _packed(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    to_pil(picture).convert("RGB").save(buffer, "WEBP", lossless=True, quality=75, method=4)
    return buffer.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _source(text: str) -> str:
    """What a content policy calls this one script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@lru_cache(maxsize=1)
def _template() -> str:
    return (_PAGE / "page.html").read_text("utf-8")
