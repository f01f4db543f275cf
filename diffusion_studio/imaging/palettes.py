"""Palettes: lists of colours to which guidance can restrict a picture. This module does not import torch."""

from __future__ import annotations

import re

import numpy as np

from ..errors import OptionError

Colour = tuple[int, int, int]

OWN = "own"  # the palette in the model's file
MOST = 4096  # colours in a model's palette
MOST_TYPED = 256  # colours in a palette that a user types
# Named palettes for every model. The greens of game-boy are those of common emulators, cga-16 is IBM's, and
# pico-8 is Lexaloffle's.
PALETTES = {
    "black-white": "#000000,#ffffff",
    "greys-4": "#000000,#555555,#aaaaaa,#ffffff",
    "game-boy": "#0f380f,#306230,#8bac0f,#9bbc0f",
    "cga-16": "#000000,#0000aa,#00aa00,#00aaaa,#aa0000,#aa00aa,#aa5500,#aaaaaa,"
    "#555555,#5555ff,#55ff55,#55ffff,#ff5555,#ff55ff,#ffff55,#ffffff",
    "pico-8": "#000000,#1d2b53,#7e2553,#008751,#ab5236,#5f574f,#c2c3c7,#fff1e8,"
    "#ff004d,#ffa300,#ffec27,#00e436,#29adff,#83769c,#ff77a8,#ffccaa",
}
_HEX = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def listed(text: str) -> tuple[Colour, ...]:
    """The colours of a comma-separated list, without duplicates.

    Raises `OptionError` for fewer than 2 or more than `MOST_TYPED` colours, and for anything but colours.
    """
    found = tuple(dict.fromkeys(read(part) for part in text.split(",") if part.strip()))
    if not 2 <= len(found) <= MOST_TYPED:
        raise OptionError(
            "palette",
            f"A palette has 2 to {MOST_TYPED} colours, got {len(found)}. Give them as #000,#f80,#fff.",
        )
    return found


def read(text: str) -> Colour:
    """(red, green, blue) 0..255 of #rgb or #rrggbb. Raises `OptionError` for any other text."""
    if not isinstance(text, str) or not (fits := _HEX.fullmatch(text.strip())):
        raise OptionError(
            "palette",
            f"Not a colour: {text!r:.40}. A palette is {OWN}, {', '.join(PALETTES)}, or colours with commas "
            "between them, such as #000,#f80,#fff.",
        )
    digits = fits[1] if len(fits[1]) == 6 else "".join(2 * one for one in fits[1])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def of_pictures(images: np.ndarray, most: int) -> tuple[str, ...]:
    """The `most` most frequent colours of pictures (N, H, W, C), uint8, as #rrggbb, most frequent first."""
    flat = np.broadcast_to(images, (*images.shape[:-1], 3)).reshape(-1, 3).astype(np.uint32)
    colours, counts = np.unique(flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2], return_counts=True)
    return tuple(f"#{one:06x}" for one in colours[np.argsort(-counts, kind="stable")[:most]])
