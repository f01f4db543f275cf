"""From a caption to numbers: words of a table, and pieces of the words that it lacks. No torch."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .. import options
from ..errors import OptionError
from ..options import option

PADDING, START, UNKNOWN = 0, 1, 2  # places of the first column that are no words
SPECIAL = 3  # the table's word k has the number SPECIAL + k
MAX_WORDS = 200_000
_GRAMS = (3, 4)  # lengths of pieces, in letters
_MAX_PIECES = 24  # of one word
_ROUNDED = 8  # lengths are padded to multiples, so that few shapes have to be compiled
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[,;:|]|[^\x00-\x7f\w\s]")
_SEPARATORS = ";:|"


@dataclass(frozen=True)
class TextConfig:
    """The text encoder's shapes (`nets/text.py`) and how the U-Net reads it."""

    words: int = option(0, "Words in the table.", low=0, high=MAX_WORDS)
    vectors: int | None = option(
        None,
        "Width of given word vectors that are not trained; left out, the words' vectors are learnt.",
        low=1,
        high=4096,
    )
    pieces: int = option(2048, "Vectors that the pieces of unknown words share.", low=1, high=1_000_000)
    width: int = option(128, "Width of the text sequence.", low=4, high=4096)
    layers: int = option(1, "Transformer layers.", low=0, high=48)
    heads: int = option(4, "Heads of these layers.", low=1, high=64)
    tokens: int = option(64, "Longest text, in words and commas.", low=1, high=1024)
    dropout: float = option(
        0.1,
        "Share of words taken as unknown in training, so that their pieces are learnt.",
        low=0.0,
        high=0.9,
    )
    cross: bool = option(
        True, "Whether attention levels attend to the words; the pooled text reaches all blocks."
    )
    null: bool = option(True, "Whether the empty text stands for any.")

    def __post_init__(self) -> None:
        options.check(self, "network.text")
        if self.width % self.heads:
            raise OptionError(
                "network.text.heads",
                f"The text's width {self.width} does not divide into {self.heads} heads.",
            )


def split(text: str) -> list[str]:
    """Lower-cased words of a text in order; separators become commas, other punctuation is left out."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return ["," if word in _SEPARATORS else word.replace("’", "'") for word in _TOKEN.findall(folded)]


def rounded(length: int) -> int:
    """The length to which a batch of texts is padded."""
    return -(-length // _ROUNDED) * _ROUNDED


def table_of(texts: Iterable[str], most: int = MAX_WORDS) -> tuple[str, ...]:
    """The words of all texts, the frequent ones first."""
    counted = Counter(word for text in texts for word in split(text))
    return tuple(sorted(counted, key=lambda word: (-counted[word], word))[:most])


def pieces(word: str, count: int) -> list[int]:
    """Numbers from 1 to `count` for the runs of 3 and 4 letters of <word>, by hash (Bojanowski et al.
    2017).
    """
    marked = f"<{word}>"
    grams = [marked[k : k + n] for n in _GRAMS for k in range(len(marked) - n + 1)] or [marked]
    return [1 + zlib.crc32(gram.encode()) % count for gram in grams[:_MAX_PIECES]]


class Tokenizer:
    """Texts to numbers, for a table of words and a `TextConfig`."""

    def __init__(self, words: Sequence[str], config: TextConfig) -> None:
        self.config = config
        self._places = {word: SPECIAL + k for k, word in enumerate(words)}
        self._rows: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(N, L, 1 + P) int32 for N texts, L the longest one's length (padded): a word's number and its
        pieces.

        The first token of every text is START. An `OptionError` names a text that is too long.
        """
        rows = [[self._special(START), *(self._row(word) for word in self._checked(text))] for text in texts]
        found = np.zeros((len(rows), rounded(max(map(len, rows), default=1)), 1 + _MAX_PIECES), np.int32)
        for k, row in enumerate(rows):
            found[k, : len(row)] = row
        return found

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a text that the table lacks."""
        return tuple(dict.fromkeys(word for word in split(text) if word not in self._places))

    def _checked(self, text: str) -> list[str]:
        words = split(text)
        if len(words) > self.config.tokens:
            shown = text if len(text) <= 60 else text[:57] + "..."
            raise OptionError(
                "prompt",
                f"The text {shown!r} has {len(words)} words and commas; this model reads at most "
                f"{self.config.tokens}. Make it shorter.",
            )
        return words

    def _row(self, word: str) -> np.ndarray:
        if (row := self._rows.get(word)) is not None:
            return row
        row = self._special(self._places.get(word, UNKNOWN))
        own = pieces(word, self.config.pieces)
        row[1 : 1 + len(own)] = own
        if word in self._places:  # unknown ones come from visitors and are without end
            self._rows[word] = row
        return row

    def _special(self, number: int) -> np.ndarray:
        row = np.zeros(1 + _MAX_PIECES, np.int32)
        row[0] = number
        return row
