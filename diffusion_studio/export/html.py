"""One HTML file that plays a run anywhere: offline, from a mail or a disk, in a frame of another page.

Frames are embedded losslessly, x above x0 as in the app's player. Several frames share one WebP image (a
sheet), which packs better than single images. The player is the app's own logic with a small page around it.
The page's content security policy allows only what is in the file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
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
from .clouds import DrawnFrame
from .comparison import layers
from .metadata import embedded
from .options import ExportOptions
from .render import check_picture, choose

SHEET_PIXELS = 1 << 21  # of one sheet: it is decoded as a whole to show one of its frames
SHEET_SIDE = 16_383  # limit of WebP
MAX_PIXELS = 1 << 29  # of all frames together
PURE_NOISE = -1e9  # replaces a log-SNR of -inf, which JSON lacks; as in the app's player
_PAGE = Path(__file__).with_name("page")
_UI = Path(__file__).parents[1] / "ui"
_PLAYER = ("keys.mjs", "logic.mjs")  # of the app's player


@dataclass(frozen=True)
class Layout:
    """The chosen frames of one or two runs, and how they are put into sheets. Holds no pixels."""

    frames: tuple[Frame, ...]
    options: ExportOptions

    @classmethod
    def of(cls, frames: Sequence[Frame], options: ExportOptions) -> Layout:
        """Raises `OptionError` for a missing picture, or more frames than a page can hold."""
        result = cls(tuple(frames[k] for k in choose(frames, options)), options)
        sizes = [result.size(layer) for layer in range(len(layers(frames[-1])))]
        pixels = len(result.frames) * sum(width * height for width, height in sizes)
        if pixels > MAX_PIXELS or max(map(max, sizes)) > SHEET_SIDE:
            raise OptionError(
                "export.every",
                f"The page would hold {pixels / 1e6:,.0f} million pixels; the limit is "
                f"{MAX_PIXELS / 1e6:,.0f} million. Choose fewer states (every k-th) or one picture.",
            )
        return result

    def images(self, frame: Frame, half: str) -> np.ndarray:
        """The pictures (N, H, W, C) of x or x0, or only the chosen one."""
        pixels = getattr(frame, half)
        if self.options.picture is None:
            return pixels
        check_picture(self.options.picture, len(pixels))
        return pixels[self.options.picture : self.options.picture + 1]

    def size(self, layer: int) -> tuple[int, int]:
        """Width and height of a frame in a sheet: x above x0."""
        frame = layers(self.frames[-1])[layer]
        _, height, width, _ = self.images(frame, "x").shape
        placed = self.places(frame)
        return placed.columns * width, 2 * placed.rows * height

    def places(self, frame: Frame) -> places.Layout:
        """Where the pictures are on their half of a sheet."""
        chosen = self.options.picture is not None
        return (
            places.Layout.square(len(self.images(frame, "x")))
            if chosen or frame.layout is None
            else frame.layout
        )

    def per_sheet(self, layer: int) -> int:
        """The number of a run's frames that share a sheet."""
        width, height = self.size(layer)
        return max(1, min(SHEET_PIXELS // (width * height), SHEET_SIDE // height, len(self.frames)))

    def sheets(self, layer: int) -> Iterator[bytes]:
        """The frames of one run as lossless WebP images."""
        each = self.per_sheet(layer)
        for at in range(0, len(self.frames), each):
            parts = [layers(frame)[layer] for frame in self.frames[at : at + each]]
            yield _to_webp(
                np.concatenate(
                    [self.places(one).sheet(self.images(one, half)) for one in parts for half in ("x", "x0")]
                )
            )


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen states as a page with a player; the recipe comes before the pictures."""
    path.write_text(page(frames, recipe_json, options), "utf-8")


def page(frames: Sequence[Frame], recipe_json: str, options: ExportOptions) -> str:
    """The HTML text of the page."""
    layout = Layout.of(frames, options)
    style = colours() + (_PAGE / "page.css").read_text("utf-8")
    scripts = [*(_UI / "player" / name for name in _PLAYER), _PAGE / "page.js"]
    script = "".join(one.read_text("utf-8") for one in scripts)
    name = title(recipe_json)
    body = filled(_PAGE / "page.html", {"TITLE": escape(name)})
    return document(name, recipe_json, style, script, body, _player_data(layout))


def document(name: str, recipe_json: str, style: str, script: str, body: str, data: Any) -> str:
    """The HTML text of a page that stands alone: its name, style, script and body, the recipe by which it
    opens again, and the data that the script reads from the element `frames`.

    Its content policy allows this one style and script, and nothing else.
    """
    policy = (
        f"default-src 'none'; script-src {_csp_hash(script)}; style-src {_csp_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "POLICY": escape(policy),
        "TITLE": escape(name),
        "RECIPE": embedded(recipe_json),
        "STYLE": style,
        "BODY": body,
        "DATA": embedded(json.dumps(data, separators=(",", ":"), ensure_ascii=False)),
        "SCRIPT": script,
    }
    return filled(_PAGE / "document.html", parts)


@lru_cache(maxsize=1)
def colours() -> str:
    """The app's colours as a style, light and as the reader's system has it dark."""
    text = (_UI / "look.css").read_text("utf-8")
    light, dark = (body for body in re.findall(r"\{([^{}]*--ds-ground[^{}]*)\}", text))
    return f":root {{{light}}}\n@media (prefers-color-scheme: dark) {{ :root {{{dark}}} }}\n"


def filled(template: Path, parts: Mapping[str, str]) -> str:
    """The text of a template, with `parts` in the places that have their names. Parts are not searched."""
    places = re.compile(rf"\b({'|'.join(parts)})\b")
    return places.sub(lambda found: parts[found[1]], template.read_text("utf-8"))


def title(recipe_json: str) -> str:
    """A short title for a run: what it shows (text, prompt or label) and its model."""
    recipe = json.loads(recipe_json)
    what = next(
        (recipe[name] for name in ("spell", "prompt", "label") if isinstance(recipe.get(name), str)), ""
    )
    if "model" not in recipe:
        return "The forward process" if "forward" in recipe else str(recipe.get("title", "a run"))
    model = str(recipe["model"])
    return f"{what[:80]}: {model}" if what else model


def _player_data(layout: Layout) -> dict[str, Any]:
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
                "meta": [_frame_info(one) for one in states],
                "offs": _distances(layout, states),
                "sheets": [_base64(sheet) for sheet in layout.sheets(layer)],
            }
        )
    options = layout.options
    smooth = isinstance(layers(layout.frames[-1])[0], DrawnFrame)  # a drawing of points, not pixels
    figure = all(one.x is one.x0 for one in layout.frames)  # drawings of states, not states
    return {"fps": options.fps, "view": options.view, "smooth": smooth, "figure": figure, "runs": runs}


def _distances(layout: Layout, states: Sequence[Frame]) -> list[float]:
    """The mean absolute difference, 0 to 255, of each state's x0 from the last one. The page words its
    sentences by it.

    Empty for drawings of points, whose pixels are no measure of it.
    """
    if isinstance(states[-1], DrawnFrame):
        return []
    end = layout.images(states[-1], "x0").astype(np.int16)
    return [float(f"{np.abs(layout.images(one, 'x0').astype(np.int16) - end).mean():.4g}") for one in states]


def _frame_info(frame: Frame) -> list[Any]:
    """[index, t, log-SNR, network calls, part] of a frame, as the app's player receives it."""
    log_snr = None if frame.level.log_snr == math.inf else max(frame.level.log_snr, PURE_NOISE)
    return [frame.index, frame.level.t, log_snr, frame.calls, frame.part]


def _to_webp(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    to_pil(picture).convert("RGB").save(buffer, "WEBP", lossless=True, quality=75, method=4)
    return buffer.getvalue()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _csp_hash(text: str) -> str:
    """The source expression for an inline script or style in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
