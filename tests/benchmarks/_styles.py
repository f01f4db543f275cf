"""Which style an emoji is drawn in, by its colours and its edges: artists' palettes, outlines and shading.

A linear judge of both is right about emoji that it has never seen where networks on pixels, or on the
features of photographs, mistake one in eight. Half of what it learns from is slightly noisy, as a model's
flat areas are.
"""

from __future__ import annotations

import numpy as np
from _timing import ROOT  # noqa: F401  first of what is the project's, as it puts this checkout on the path

from diffusion_studio.metrics import linear

EDGES = (2, 4, 8, 16, 32, 64, 128)  # shades
COLOURS = 8  # of each channel
NOISE = 2.0  # shades, standard deviation
NEARLY_WHITE = 250


def fitted(pictures: np.ndarray, styles: np.ndarray, count: int) -> linear.Linear:
    """The judge of `traits`, from (N, H, W, 3) uint8 pictures and the number of each one's style, of
    `count`.
    """
    random = np.random.Generator(np.random.Philox(0))
    noisy = (
        (pictures + random.normal(0, NOISE, pictures.shape).astype(np.float32))
        .round()
        .clip(0, 255)
        .astype(np.uint8)
    )
    return linear.fit(
        np.concatenate([traits(pictures), traits(noisy)]), np.concatenate([styles, styles]), count
    )


def traits(pictures: np.ndarray) -> np.ndarray:
    """(N, D) float32 of (N, H, W, 3) uint8 pictures, sides even."""
    return np.concatenate([_colours(pictures), _edges(pictures), _white(pictures)], 1)


def _colours(pictures: np.ndarray) -> np.ndarray:
    """Square roots of the shares of colours, so that a few pixels count too."""
    r, g, b = np.moveaxis(pictures.astype(np.int64) * COLOURS // 256, -1, 0)
    places = ((r * COLOURS + g) * COLOURS + b).reshape(len(pictures), -1)
    found = np.zeros((len(pictures), COLOURS**3), np.float32)
    np.add.at(found, (np.arange(len(pictures))[:, None], places), 1)
    return np.sqrt(found / places.shape[1])


def _edges(pictures: np.ndarray) -> np.ndarray:
    """How many first and second differences reach each threshold, down and across, at the full size and at
    half of it.
    """
    n, height, width, _ = pictures.shape
    whole = pictures.astype(np.float32)
    half = whole.reshape(n, height // 2, 2, width // 2, 2, 3).mean((2, 4))
    found = []
    for scale in (whole, half):
        for axis in (1, 2):
            for order in (1, 2):
                steps = np.abs(np.diff(scale, order, axis)).max(-1)
                found += [(steps >= edge).mean((1, 2)) for edge in EDGES]
    return np.stack(found, 1).astype(np.float32)


def _white(pictures: np.ndarray) -> np.ndarray:
    """How much is background, and how many rows and columns are nothing else."""
    white = (pictures >= NEARLY_WHITE).all(-1)
    return np.stack([white.mean((1, 2)), white.all(2).mean(1), white.all(1).mean(1)], 1).astype(np.float32)
