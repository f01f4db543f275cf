"""The tokenizer: captions as numbers of words, and of pieces of unknown words. It does not import torch."""

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

PADDING, START, UNKNOWN = 0, 1, 2  # numbers of tokens that are not words
SPECIAL = 3  # word k of the table has the number SPECIAL + k
MAX_WORDS = 200_000
_GRAM_LENGTHS = (3, 4)  # lengths of pieces, in characters
_MAX_PIECES = 24  # of one word
_LENGTH_STEP = 8  # lengths are padded to multiples of this, so that few shapes are compiled
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[,;:|]|[^\x00-\x7f\w\s]")
_SEPARATORS = ";:|"


@dataclass(frozen=True)
class TextConfig:
    """The shapes of the text encoder (`text.py`), and how the U-Net uses its output."""

    words: int = option(0, "Words in the table.", low=0, high=MAX_WORDS)
    vectors: int | None = option(
        None,
        "Width of fixed word vectors; by default word vectors are learned.",
        low=1,
        high=4096,
    )
    pieces: int = option(2048, "Number of vectors for pieces of unknown words.", low=1, high=1_000_000)
    width: int = option(128, "Width of the text sequence.", low=4, high=4096)
    layers: int = option(1, "Transformer layers.", low=0, high=48)
    heads: int = option(4, "Attention heads of these layers.", low=1, high=64)
    tokens: int = option(64, "Longest text, in words and commas.", low=1, high=1024)
    dropout: float = option(
        0.1,
        "Share of words treated as unknown in training, so that pieces are learned.",
        low=0.0,
        high=0.9,
    )
    cross: bool = option(
        True, "Whether attention levels attend to the words. The pooled text reaches all blocks either way."
    )
    null: bool = option(True, "Whether the empty text means unconditional.")

    def __post_init__(self) -> None:
        options.check(self, "network.text")
        if self.width % self.heads:
            raise OptionError(
                "network.text.heads",
                f"The text's width {self.width} does not divide into {self.heads} heads.",
            )


def split(text: str) -> list[str]:
    """The lower-case words of a text in order. Separators become commas; other punctuation is dropped."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return ["," if word in _SEPARATORS else word.replace("’", "'") for word in _TOKEN.findall(folded)]


def rounded(length: int) -> int:
    """The length to which a batch of texts is padded."""
    return -(-length // _LENGTH_STEP) * _LENGTH_STEP


def table_of(texts: Iterable[str], most: int = MAX_WORDS) -> tuple[str, ...]:
    """The `most` most frequent words of all texts, the most frequent first."""
    counted = Counter(word for text in texts for word in split(text))
    return tuple(sorted(counted, key=lambda word: (-counted[word], word))[:most])


def pieces(word: str, count: int) -> list[int]:
    """Hashes from 1 to `count` of the 3-grams and 4-grams of "<word>" (Bojanowski et al. 2017)."""
    marked = f"<{word}>"
    grams = [marked[k : k + n] for n in _GRAM_LENGTHS for k in range(len(marked) - n + 1)] or [marked]
    return [1 + zlib.crc32(gram.encode()) % count for gram in grams[:_MAX_PIECES]]


class Tokenizer:
    """Converts texts to numbers, for a table of words and a `TextConfig`."""

    def __init__(self, words: Sequence[str], config: TextConfig) -> None:
        self.config = config
        self._places = {word: SPECIAL + k for k, word in enumerate(words)}
        self._rows: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The tokens of N texts, (N, L, 1 + P) int32: for each word its number and those of its pieces.

        L is the padded length of the longest text. Each text starts with START. Raises `OptionError` for a
        text of more than `config.tokens` words and commas.
        """
        rows = [[self._special(START), *(self._row(word) for word in self._words_of(text))] for text in texts]
        found = np.zeros((len(rows), rounded(max(map(len, rows), default=1)), 1 + _MAX_PIECES), np.int32)
        for k, row in enumerate(rows):
            found[k, : len(row)] = row
        return found

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a text that are not in the table."""
        return tuple(dict.fromkeys(word for word in split(text) if word not in self._places))

    def _words_of(self, text: str) -> list[str]:
        """The words of a text. Raises `OptionError` for too many."""
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
        """The number of a word and those of its pieces."""
        if (row := self._rows.get(word)) is not None:
            return row
        row = self._special(self._places.get(word, UNKNOWN))
        own = pieces(word, self.config.pieces)
        row[1 : 1 + len(own)] = own
        if word in self._places:  # caching unknown words, of which there is no end, would fill the memory
            self._rows[word] = row
        return row

    def _special(self, number: int) -> np.ndarray:
        row = np.zeros(1 + _MAX_PIECES, np.int32)
        row[0] = number
        return row
