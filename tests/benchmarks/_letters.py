"""Figures of coloured letters that need no network: colour, coverage and growth of ink, nearest glyphs.

Pictures are (N, H, W, 3) uint8, ink on white. Coverage is (N, H, W) uint8, 255 where ink covers a pixel
wholly. Colours are numbers, places in COLOURS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from _timing import ROOT  # noqa: F401  first of what is the project's, as it puts this checkout on the path

from diffusion_studio.errors import DataError
from scripts.letters_data import COLOURS, HELD_OUT_LOOK, LOOKS, WEIGHTS, coloured, look_of

COLOUR_NAMES = tuple(COLOURS)
DARKNESS = 255 - np.array(list(COLOURS.values()), np.float32)  # (12, 3): what full ink takes from white
FULL = 0.9  # pixels with this share of the most ink are taken for the ink's colour
# A thin stroke covers no pixel wholly, so each colour is looked for at less than full coverage too. Black at
# half coverage is gray; of all glyphs one in 6,000 has less than that, of hairline ones one in 190.
LEAST_COVERED = np.where(np.array(COLOUR_NAMES) == "black", 0.5, 0.25).astype(np.float32)
NO_INK = 40.0  # the least distance from white in RGB
NONE = -1  # the colour of a picture without ink


class Recoloured:
    """Glyphs as pictures in given colours, made when they are asked for: `Recoloured(coverage,
    colours)[chosen]`.
    """

    def __init__(self, coverage: np.ndarray, colours: np.ndarray) -> None:
        self.coverage, self.colours = coverage, colours
        self.shape = (*coverage.shape, 3)

    def __len__(self) -> int:
        return len(self.coverage)

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        return coloured(self.coverage[chosen], self.colours[chosen])


def split_caption(caption: str) -> tuple[int, str]:
    """(colour, look) of "gold bold blackletter". A `DataError` where it does not begin with a colour and end
    in a look.
    """
    colour, _, look = caption.partition(" ")
    if colour not in COLOURS or not look or look_of(look) not in LOOKS:
        raise DataError(
            f"A caption is one of the colours {', '.join(COLOURS)}, and a look that ends in "
            f"{', '.join(LOOKS)}; got {caption!r}. Give the file that scripts/letters_data.py wrote."
        )
    return COLOUR_NAMES.index(colour), look


def coverage(pictures: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """How much ink of its colour (N,) each pixel has: the projection on the line from white to it."""
    found = np.empty(pictures.shape[:3], np.uint8)
    for k in range(0, len(pictures), 4096):
        dark = DARKNESS[colours[k : k + 4096]][:, None, None]
        part = ((255 - pictures[k : k + 4096].astype(np.float32)) * dark).sum(-1) / np.square(dark).sum(-1)
        found[k : k + 4096] = np.rint(255 * part.clip(0, 1))
    return found


def ink_colours(pictures: np.ndarray) -> np.ndarray:
    """(N,) the nearest colour of the ink, NONE without ink. What counts is the mean of the pixels with the
    most ink.
    """
    dark = (255 - pictures.astype(np.float32)).reshape(len(pictures), -1, 3)
    total = dark.sum(2)
    most = total >= FULL * total.max(1, keepdims=True)
    ink = (dark * most[..., None]).sum(1) / most.sum(1)[:, None]
    covered = (ink @ DARKNESS.T / np.square(DARKNESS).sum(1)).clip(LEAST_COVERED, 1)
    nearest = np.linalg.norm(ink[:, None] - covered[..., None] * DARKNESS, axis=2).argmin(1)
    return np.where(np.linalg.norm(ink, axis=1) < NO_INK, NONE, nearest)


def dealt_colours(looks: Sequence[str], held_out: bool, random: np.random.Generator) -> np.ndarray:
    """(N,) a colour for each look, of those that training had it in, or of those that were held out of it."""
    choices = {
        look: [k for k, name in enumerate(COLOUR_NAMES) if (HELD_OUT_LOOK[name] == look) == held_out]
        for look in LOOKS
    }
    return np.array([random.choice(choices[look_of(one)]) for one in looks])


def growing(ink: np.ndarray) -> np.ndarray:
    """(characters,) bool: whether the mean ink (characters, weights) grows strictly from each weight to the
    next.
    """
    return (np.diff(ink, axis=1) > 0).all(1)


def ink_of_glyphs(
    glyphs: np.ndarray, labels: np.ndarray, looks: Sequence[str], look: str, characters: int
) -> np.ndarray:
    """(characters, weights) mean ink of real glyphs of a look without further words; NaN where there are
    none.
    """
    looks = np.asarray(looks)
    share = glyphs.reshape(len(glyphs), -1).mean(1) / 255
    found = np.full((characters, len(WEIGHTS)), np.nan)
    for w, weight in enumerate(WEIGHTS):
        of_weight = looks == f"{weight} {look}".strip()
        for c in np.unique(labels[of_weight]):
            found[c, w] = share[of_weight & (labels == c)].mean()
    return found


def nearest(
    made: np.ndarray, made_labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray
) -> np.ndarray:
    """(N,) Euclidean distance of each coverage, in 0 to 1, to the nearest real one of the same character."""
    found = np.full(len(made), np.inf, np.float32)
    for label in np.unique(made_labels):
        some = made_labels == label
        of_label = torch.from_numpy(real[real_labels == label].reshape(-1, real[0].size) / np.float32(255))
        if len(of_label):
            mine = torch.from_numpy(made[some].reshape(-1, real[0].size) / np.float32(255))
            exact = "donot_use_mm_for_euclid_dist"  # the other way loses small distances
            found[some] = torch.cdist(mine, of_label, compute_mode=exact).amin(1).numpy()
    return found
