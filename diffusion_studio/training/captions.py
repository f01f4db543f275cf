"""Captions in training: which of a picture's texts it gets each time, and when it gets none."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.dataset import KnownDataset
from ..errors import DataError, OptionError
from ..networks.tokens import MAX_WORDS, Tokenizer, rounded, split, table_of
from .config import TrainConfig

_PROMPTS = 8  # for the sample sheet
_STREAM, _PARTS_STREAM = 2, 3  # of the run's seed; the order of pictures is stream 1


class Captions:
    """The texts of the pictures, the vocabulary, and the random choice among texts.

    `captions` holds one or more texts for each picture; `labelled` is whether the pictures also have labels.
    The text of a picture is a function of the run's seed and of the picture's place in the run, so it does
    not depend on a resume or on the batch size. Raises `OptionError` for a caption that is too long,
    `DataError` for word vectors that cannot be read.
    """

    def __init__(
        self, config: TrainConfig, captions: Sequence[Sequence[str]], labelled: bool = False
    ) -> None:
        self.train_config, self.captions = config, captions
        self.joint = (
            config.joint_dropout if labelled and config.label_dropout and config.text_dropout else 0.0
        )
        every = list(dict.fromkeys(text for texts in captions for text in texts))
        self.vectors: np.ndarray | None = None
        if config.text_vectors:
            self.words, self.vectors = read_vectors(config.text_vectors)
        else:
            self.words = table_of(every)
        self.config = config.text_config(
            len(self.words), None if self.vectors is None else self.vectors.shape[1]
        )
        self.tokenizer = Tokenizer(self.words, self.config)
        lists = {text: split(text) for text in every}
        longest = max(every, key=lambda text: len(lists[text]))
        if (length := len(lists[longest])) > config.text_tokens:
            raise OptionError(
                "text_tokens",
                f"The longest caption has {length} words and commas ({longest!r:.80}); text_tokens is "
                f"{config.text_tokens}. Ask for {length} or more, or shorten the captions.",
            )
        # Row 0 is padding and row 1 the start token. A text is a list of row numbers, a batch one look-up.
        places = {
            word: 2 + k
            for k, word in enumerate(dict.fromkeys(word for words in lists.values() for word in words))
        }
        rows = self.tokenizer(["", *places])
        self._rows = np.concatenate([np.zeros_like(rows[:1, 0]), rows[:1, 0], rows[1:, 1]])
        self._texts = {
            text: np.array([1, *(places[word] for word in words)]) for text, words in lists.items()
        }
        self._texts[""] = np.array([1])
        self._comma = places.get(",", -1)
        self._longest = 1 + max(map(len, lists.values()))
        self.one_length = False  # whether all batches are padded to the longest text, for a compiled network

    def __call__(self, chosen: np.ndarray, seen: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The texts of the pictures `chosen`, which are number `seen` and following of the run.

        Returns tokens (N, L, 1 + P), and (N,) whether a picture loses its label too.
        """
        which, alone, joint = _uniform(self.train_config.seed, seen, len(chosen))
        both = joint < self.joint
        drop = both | (alone < self.train_config.text_dropout)
        own = [self.captions[int(picture)] for picture in chosen]
        chosen_texts = [
            "" if none else known[int(u * len(known))] for known, u, none in zip(own, which, drop)
        ]
        texts = [self._texts[text] for text in chosen_texts]
        if self.train_config.part_dropout:
            texts = self._drop_parts(texts, seen)
        length = self._longest if self.one_length else max(map(len, texts))
        numbers = np.zeros((len(texts), rounded(length)), np.int64)
        for k, text in enumerate(texts):
            numbers[k, : len(text)] = text
        return torch.from_numpy(self._rows[numbers]), torch.from_numpy(both)

    def _drop_parts(self, texts: list[np.ndarray], seen: int) -> list[np.ndarray]:
        """The texts, a share `part_dropout` of which keep only some of their parts, in order and at least
        one.
        """
        chance, count, which = _uniform(self.train_config.seed, seen, len(texts), _PARTS_STREAM)
        result = []
        for text, thin, u, chosen in zip(texts, chance < self.train_config.part_dropout, count, which):
            ends = np.flatnonzero(text == self._comma)
            if thin and len(ends):
                parts = np.split(text[1:], ends - 1)  # all parts but the first begin with a comma
                kept = random.Random(int(chosen * 2**53)).sample(range(len(parts)), 1 + int(u * len(parts)))
                joined = np.concatenate([parts[k] for k in sorted(kept)])
                text = np.concatenate([text[:1], joined[int(joined[0] == self._comma) :]])
            result.append(text)
        return result

    def spec_fields(self, known: KnownDataset | None) -> dict[str, Any]:
        """The arguments of `TrainConfig.spec` that describe the model's text."""
        asked = tuple(part.strip() for part in self.train_config.prompts.split("|") if part.strip())
        prompts = asked or (known.prompts if known else ())
        if not prompts:
            first = list(dict.fromkeys(texts[0] for texts in self.captions))
            prompts = (
                tuple(first[k * len(first) // _PROMPTS] for k in range(min(_PROMPTS, len(first))))
                if len(first) > _PROMPTS
                else tuple(first)
            )
        return {"text": self.config, "words": self.words, "prompts": prompts}


def _uniform(seed: int, first: int, count: int, stream: int = _STREAM) -> np.ndarray:
    """(3, count) numbers in [0, 1) for the places first, first + 1, ...: outputs of SplitMix64 (Steele et
    al. 2014).
    """
    start = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
    place = np.arange(3 * first + 1, 3 * (first + count) + 1, dtype=np.uint64)
    z = start + place * np.uint64(0x9E3779B97F4A7C15)  # overflow is intended
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).reshape(count, 3).T * 2.0**-53


def read_hold_out(path: str | Path) -> list[str]:
    """The non-empty lines of a text file with parts of captions. Raises `DataError` if there are none."""
    try:
        lines = [line.strip() for line in Path(path).expanduser().read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of captions to hold out ({error}).") from error
    if not any(lines):
        raise DataError(
            f"{path} is empty. Write one or more parts of a caption in each line, such as: orc, half plate"
        )
    return [line for line in lines if line]


def read_vectors(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Read (words, vectors) from an .npz: a fixed word table for the text encoder. `vectors` is (words,
    width) float32.

    Raises `DataError` for anything else.
    """
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as archive:
            words, vectors = archive["words"], archive["vectors"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a table of word vectors ({error}). It is an .npz with 'words' (N,) of "
            "texts and 'vectors' (N, width) of numbers."
        ) from error
    if (
        words.dtype.kind != "U"
        or vectors.shape[:1] != words.shape
        or vectors.ndim != 2
        or vectors.dtype.kind != "f"
        or not 1 <= len(words) <= MAX_WORDS
        or not np.isfinite(vectors).all()
    ):
        raise DataError(
            f"{path} has words {words.dtype} {words.shape} and vectors {vectors.dtype} {vectors.shape}; "
            f"wanted from 1 to {MAX_WORDS:,} different lower-case words and as many rows of finite numbers."
        )
    listed = tuple(map(str, words))
    if bad := [word for word in listed if split(word) != [word]]:
        raise DataError(
            f"{path} has {bad[0]!r}, which is no single lower-case word as captions are split into them."
        )
    if len(set(listed)) < len(listed):
        raise DataError(f"{path} has a word twice. Keep one of each.")
    return listed, vectors.astype(np.float32)
