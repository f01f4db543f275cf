"""Make the training data of the letters model from letters32.npz: coloured glyphs with captions.

    python scripts/letters_data.py letters32.npz runs/letters.npz

Each glyph is drawn on white in some of twelve named colours. The caption is the colour followed by the look:
"gold bold blackletter". The label is the character. A glyph has --colours colours, and more if its look is
rare.

Held out of the training split are 5 % of the typefaces of each look, and for each colour one look (black
mono, gray serif, ...), so that a model can be tested on unseen combinations. The test split has each glyph of
the held-out typefaces once, in any of the twelve colours. The same --seed gives the same file, byte for byte.

letters32.npz has `image` (N, 32, 32) uint8 ink coverage, `label` (N,) into `label_names`, `caption` (N,) of
looks, and `font` (N,) into `font_names`. `diffusion-studio train --data` reads the result; `held_fonts` in it
has the names of the held-out typefaces.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

COLOURS = {
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "brown": (122, 72, 32),
    "red": (220, 38, 38),
    "orange": (249, 115, 22),
    "gold": (212, 160, 23),
    "green": (22, 163, 74),
    "teal": (13, 148, 136),
    "blue": (37, 99, 235),
    "navy": (30, 42, 120),
    "purple": (124, 58, 237),
    "pink": (236, 72, 153),
}
LOOKS = ("serif", "sans", "slab", "mono", "script", "handwritten", "display", "blackletter", "pixel")
# by increasing ink; regular has no word
WEIGHTS = ("hairline", "light", "", "semibold", "bold", "black")
HELD_OUT_LOOK = {
    "black": "mono",
    "gray": "serif",
    "brown": "script",
    "red": "sans",
    "orange": "slab",
    "gold": "blackletter",
    "green": "handwritten",
    "teal": "display",
    "blue": "pixel",
    "navy": "serif",
    "purple": "sans",
    "pink": "mono",
}
HELD_OUT_SHARE = 0.05  # of the typefaces of each look
LEAST_OF_A_LOOK = 6000  # pictures of a look to aim at: glyphs of rare looks get more colours
WANTED = ("image", "label", "label_names", "caption", "font", "font_names")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="letters32.npz")
    parser.add_argument("out", type=Path, help="the .npz to write, about 1 GB")
    parser.add_argument("--colours", type=int, default=3, help="least colours of a glyph (default 3)")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if not 1 <= asked.colours <= len(COLOURS) - 2:  # a look is held out of up to two colours
        parser.error(f"--colours must be from 1 to {len(COLOURS) - 2}, got {asked.colours}.")
    if asked.out.suffix != ".npz":
        parser.error(f"The file to write must end in .npz, got {asked.out.name!r}.")
    made = coloured_letters(read(asked.source), asked.colours, asked.seed)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(asked.out, **made)
    print(
        f"{asked.out}: {len(made['x_train']):,} training pictures, {len(made['x_test']):,} test pictures of "
        f"{len(made['held_fonts'])} held-out typefaces"
    )


def read(source: Path) -> dict[str, np.ndarray]:
    """The arrays of letters32.npz. Exits with a message if they are missing or a look is unknown."""
    try:
        with np.load(source, allow_pickle=False) as archive:
            if missing := [name for name in WANTED if name not in archive]:
                held = ", ".join(archive.files)
                sys.exit(f"{source} has no {', '.join(missing)}; it holds {held}. Give letters32.npz.")
            found = {name: archive[name] for name in WANTED}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        sys.exit(f"{source} cannot be read as an .npz: {error}")
    if unknown := sorted({look_of(str(one)) for one in np.unique(found["caption"])} - {*LOOKS}):
        sys.exit(f"Captions in {source} end in {', '.join(unknown)}; known looks are {', '.join(LOOKS)}.")
    return found


def coloured_letters(letters: dict[str, np.ndarray], per_glyph: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays to write: training and test pictures with labels and captions, and the names of held-out
    typefaces.
    """
    ink, caption, font = (letters[name] for name in ("image", "caption", "font"))
    looks = np.array([look_of(str(one)) for one in caption])
    rng = np.random.default_rng(seed)
    held = held_out_fonts(looks, font, rng)
    is_test = np.isin(font, held)
    rows, colours = training_colours(looks, ~is_test, per_glyph, rng)
    test = np.flatnonzero(is_test)
    test_colours = rng.integers(len(COLOURS), size=len(test))
    names = list(COLOURS)
    return {
        "x_train": coloured(ink[rows], colours),
        "y_train": letters["label"][rows],
        "classes": letters["label_names"],
        "captions": np.array([captions(names[c], str(caption[k])) for k, c in zip(rows, colours)]),
        "x_test": coloured(ink[test], test_colours),
        "y_test": letters["label"][test],
        "test_captions": np.array([f"{names[c]} {caption[k]}" for k, c in zip(test, test_colours)]),
        "held_fonts": letters["font_names"][held],
    }


def held_out_fonts(looks: np.ndarray, font: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The indices of the held-out typefaces: HELD_OUT_SHARE of the typefaces of each look, at least one."""
    found: list[int] = []
    for look in LOOKS:
        fonts = np.unique(font[looks == look])
        found += list(
            rng.choice(fonts, min(len(fonts), max(1, round(HELD_OUT_SHARE * len(fonts)))), replace=False)
        )
    return np.unique(found)


def training_colours(
    looks: np.ndarray, is_train: np.ndarray, per_glyph: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The glyph and the colour of each training picture, both (M,), in random order, without the held-out
    pairs.
    """
    rows, colours = [], []
    for look in LOOKS:
        allowed = [k for k, name in enumerate(COLOURS) if HELD_OUT_LOOK[name] != look]
        glyphs = np.flatnonzero((looks == look) & is_train)
        count = min(len(allowed), max(per_glyph, -(-LEAST_OF_A_LOOK // max(1, len(glyphs)))))
        for glyph in glyphs:
            rows += [glyph] * count
            colours += list(rng.choice(allowed, count, replace=False))
    order = rng.permutation(len(rows))
    return np.array(rows)[order], np.array(colours)[order]


def coloured(ink: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8: ink of coverage (N, H, W), 0 to 255, on white, in the colours with these indices
    (N,).
    """
    shades = np.array(list(COLOURS.values()), np.float32)
    found = np.empty((*ink.shape, 3), np.uint8)
    for k in range(0, len(ink), 4096):  # in parts, because floats take four times the memory
        part = ink[k : k + 4096, ..., None].astype(np.float32) / 255
        found[k : k + 4096] = np.rint(255 - part * (255 - shades[colours[k : k + 4096], None, None]))
    return found


def look_of(caption: str) -> str:
    """The class of a look, which is its last word: "blackletter" for "bold blackletter"."""
    return caption.split()[-1]


def captions(colour: str, look: str) -> Sequence[str]:
    """The captions of a picture, of which training draws one at a time.

    Four of six are complete, one leaves out the class of the look, one the colour. None leaves out the
    weight, because no word for the weight means regular. The colour stays before the weight "black": without
    it a red "black sans" would read like a black "sans".
    """
    *style, _ = look.split()
    full = f"{colour} {look}"
    without_colour = full if look.split()[0] in COLOURS else look
    return full, full, full, full, " ".join([colour, *style]), without_colour


if __name__ == "__main__":
    main()
