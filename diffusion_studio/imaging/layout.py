"""Where the pictures of a run stand on their sheet: in a square grid, or as the letters of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LINE = 16  # letters of a line of text before it is wrapped at a blank


def grid_shape(count: int) -> tuple[int, int]:
    """(rows, columns) of the most nearly square grid for `count` pictures, wider than high."""
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
        """The most nearly square grid of `count` pictures, wider than high, row by row."""
        return cls.in_columns(count, grid_shape(count)[1])

    @classmethod
    def in_columns(cls, count: int, columns: int) -> Layout:
        """Row by row in a fixed number of columns."""
        places = tuple(divmod(k, columns) for k in range(count))
        return cls(math.ceil(count / columns), columns, places)

    @classmethod
    def of_lines(cls, lines: Sequence[str]) -> Layout:
        """One tile for each character that is no blank; blanks leave a gap, lines stand below each other."""
        places = tuple(
            (row, column)
            for row, line in enumerate(lines)
            for column, character in enumerate(line)
            if not character.isspace()
        )
        return cls(len(lines), max(map(len, lines)), places)

    def sheet(self, images: np.ndarray, background: int = 255, gap: int = 0) -> np.ndarray:
        """(N, H, W, C) uint8 -> one picture with `gap` pixels between the tiles; empty tiles are
        `background`.
        """
        _, height, width, channels = images.shape
        size = (self.rows * (height + gap) - gap, self.columns * (width + gap) - gap, channels)
        sheet = np.full(size, background, np.uint8)
        for image, (row, column) in zip(images, self.places):
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width] = image
        return sheet


def text_lines(text: str, most: int = LINE) -> tuple[str, ...]:
    """The lines in which a text is set: its own line breaks, and a break at a blank where a line is longer
    than `most` characters. Blanks at the ends of a line, empty lines at the start and end, are dropped.
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
