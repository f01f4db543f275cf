"""The result of a view: named arrays, numbers, and the tiles of its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import drawing
from .figure import Curves, Film

OVER_RUN = "Over the run"  # the group of what shows all states


@dataclass(frozen=True)
class Tile:
    """One picture of a view with its title: RGB uint8 (H, W, 3). `whole` pixels keep their size.

    Tiles of one `group` stand in rows of their own. `plays` is the same as data over all states of the run,
    for a page that draws it and moves through it.
    """

    title: str
    pixels: np.ndarray
    whole: bool = False
    group: str = ""
    plays: Curves | Film | None = None


def chart(curves: Curves, marker: float | None = None) -> Tile:
    """Curves as a tile; `marker` is the place on their x axis that the picture marks."""
    title = f"log10 {curves.title}" if curves.log else curves.title
    drawn = drawing.curves(
        [(name, xs, curves.heights(ys)) for name, xs, ys in curves.series],
        f"{title}, over {curves.x}" if curves.x else title,
        marker,
        (480, 240),
        curves.zero,
    )
    return Tile("", drawn, whole=True, group=OVER_RUN, plays=curves)


@dataclass(frozen=True)
class ViewResult:
    """`arrays` by name (their shapes are in the docstring of the function that made them), `numbers` that
    say the main result, `lines` of text for people, and `tiles` to draw. `notes` say what was assumed or
    left out.
    """

    view: str
    step: int
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
    tiles: Sequence[Tile] = ()
    notes: Sequence[str] = ()
    columns: int | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def image(self, side: int = 160) -> np.ndarray:
        """The view as one RGB picture (H, W, 3) uint8, each tile about `side` pixels wide."""
        return self.sheet([*self.lines, *(f"Note: {note}" for note in self.notes)], side)

    def sheet(self, lines: Sequence[str], side: int = 160) -> np.ndarray:
        """The tiles as one RGB picture with lines of text below."""
        tiles = [(one.title, one.pixels, one.whole) for one in self.tiles]
        return drawing.sheet(tiles, lines, side, self.columns, [one.group for one in self.tiles])
