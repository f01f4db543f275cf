"""Arrangement of a run's pictures on a sheet: as a square grid, or as the letters of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LINE = 16  # characters per line of text before it is wrapped


def grid_shape(count: int) -> tuple[int, int]:
    """(rows, columns) of the grid for `count` pictures that is nearest to square, never higher than wide."""
    columns = math.ceil(math.sqrt(count))
    return math.ceil(count / columns), columns


@dataclass(frozen=True)
class Layout:
    """`places[k]` is the (row, column) of picture k on a sheet of `rows` x `columns` tiles."""

    rows: int
    columns: int
    places: tuple[tuple[int, int], ...]

    @classmethod
    def square(cls, count: int) -> Layout:
        """`count` pictures row by row in a grid of the shape that `grid_shape` gives."""
        return cls.in_columns(count, grid_shape(count)[1])

    @classmethod
    def in_columns(cls, count: int, columns: int) -> Layout:
        """`count` pictures row by row in a given number of columns."""
        places = tuple(divmod(k, columns) for k in range(count))
        return cls(math.ceil(count / columns), columns, places)

    @classmethod
    def of_lines(cls, lines: Sequence[str]) -> Layout:
        """One tile per character of each line, one line below the other. Blanks leave an empty tile."""
        places = tuple(
            (row, column)
            for row, line in enumerate(lines)
            for column, character in enumerate(line)
            if not character.isspace()
        )
        return cls(len(lines), max(map(len, lines)), places)

    def sheet(self, images: np.ndarray, background: int = 255, gap: int = 0) -> np.ndarray:
        """Pictures (N, H, W, C), uint8, on one sheet with `gap` pixels between the tiles.

        Gaps and empty tiles have the value `background`.
        """
        _, height, width, channels = images.shape
        size = (self.rows * (height + gap) - gap, self.columns * (width + gap) - gap, channels)
        sheet = np.full(size, background, np.uint8)
        for image, (row, column) in zip(images, self.places):
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width] = image
        return sheet


def text_lines(text: str, most: int = LINE) -> tuple[str, ...]:
    """The lines of a text, wrapped at blanks to at most `most` characters; longer words stay whole.

    Line breaks of the text are kept. Runs of blanks become one, and empty lines at both ends are dropped.
    """
    lines: list[str] = []
    for paragraph in text.expandtabs(1).splitlines():
        line = ""
        for word in paragraph.split():
            if line and len(line) + 1 + len(word) > most:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)
