"""The settings of views. No torch: the command line makes its flags of them."""

from __future__ import annotations

from dataclasses import dataclass

from .. import options
from ..errors import OptionError
from ..options import option

MOST_AGAIN = 64


@dataclass(frozen=True)
class Settings:
    """Settings of the views; each view says which of them it reads."""

    picture: int = option(0, "Number of the picture in the run.", low=0, high=10_000, counted=True)
    place: str | None = option(
        None, "A pixel as ROW,COLUMN, both from 0: its own sum, or where it looks. Left out: the middle."
    )
    word: str | None = option(None, "A word of the prompt. Left out: all of them.")
    layer: str | None = option(None, "One attention layer by its name. Left out: all, averaged.")
    head: int | None = option(
        None, "Number of one attention head. Left out: all, averaged.", low=0, high=1000, counted=True
    )
    block: str | None = option(None, "A block of the network by its name. Left out: the middle.")
    part: str = option(
        "block",
        "What is scaled: the block's output, what it adds to its input, or the skip that enters it.",
        choices=("block", "branch", "skip"),
    )
    factor: float = option(0.0, "By how much it is scaled: 0 leaves it out.", low=-10.0, high=10.0)
    tolerance: float = option(
        0.1,
        "How near x0 has to stay to its end to count as decided; pictures go from -1 to 1.",
        low=1e-4,
        high=2,
    )
    again: int = option(
        16, "New runs from this state, for the critical window; 0 makes none.", low=0, high=MOST_AGAIN
    )
    seed: int = option(0, "Seed of what a view draws at random.", low=0, high=2**63 - 1)
    terms: int = option(50, "Steps of the bound or the flow for the view 'surprise'.", low=2, high=4000)
    by: str = option(
        "bound",
        "How surprise is measured: by the variational bound, or by the flow.",
        choices=("bound", "flow"),
    )

    def __post_init__(self) -> None:
        options.check(self)

    def at(self, height: int, width: int) -> tuple[int, int]:
        """`place` as row and column of a picture; the middle where it is left out."""
        if self.place is None:
            return height // 2, width // 2
        try:
            row, column = (int(part) for part in self.place.split(","))
        except ValueError:
            raise OptionError(
                "place", f"A place is ROW,COLUMN, such as 3,14; got {self.place!r:.40}."
            ) from None
        if not (0 <= row < height and 0 <= column < width):
            raise OptionError(
                "place",
                f"The picture has the rows 0 to {height - 1} and the columns 0 to {width - 1}; got "
                f"{self.place}.",
            )
        return row, column
