"""What a view shows of one state: named arrays, numbers, and the tiles of its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import drawing


@dataclass(frozen=True)
class Tile:
    """One picture of a view with its title: RGB uint8 (H, W, 3). `whole` is not to be enlarged."""

    title: str
    pixels: np.ndarray
    whole: bool = False


@dataclass(frozen=True)
class Seen:
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
        return drawing.sheet(
            [(one.title, one.pixels, one.whole) for one in self.tiles],
            [*self.lines, *(f"Note: {note}" for note in self.notes)],
            side,
            self.columns,
        )
