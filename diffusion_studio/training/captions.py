"""Captions in training: which of its texts a picture gets each time, and when it gets none."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.dataset import Known
from ..errors import DataError, OptionError
from ..nets.tokens import MAX_WORDS, Tokenizer, split, table_of
from .config import TrainConfig

_PROMPTS = 8                    # for the sample sheet
_STREAM = 2                     # of the run's seed; the order of pictures is stream 1


class Captions:
    """The texts of the pictures, the table of words, and the draws. `captions` holds one or more texts for each picture,
    which may be `labelled` besides.

    What a picture gets is a function of the run's seed and of its place in the run alone, so it survives a resume and any
    size of batch. Raises `OptionError` for a caption that is too long, `DataError` for a table that cannot be read.
    """

    def __init__(self, config: TrainConfig, captions: Sequence[Sequence[str]], labelled: bool = False) -> None:
        self.train_config, self.captions = config, captions
        self.joint = config.joint_dropout if labelled and config.label_dropout and config.text_dropout else 0.0
        every = list(dict.fromkeys(text for texts in captions for text in texts))
        self.vectors: np.ndarray | None = None
        if config.text_vectors:
            self.words, self.vectors = read_vectors(config.text_vectors)
        else:
            self.words = table_of(every)
        self.config = config.text_config(len(self.words), None if self.vectors is None else self.vectors.shape[1])
        self.tokenizer = Tokenizer(self.words, self.config)
        longest = max(every, key=lambda text: len(split(text)))
        if (length := len(split(longest))) > config.text_tokens:
            raise OptionError(f"The longest caption has {length} words and commas ({longest!r:.80}); text_tokens is "
                              f"{config.text_tokens}. Ask for {length} or more, or shorten the captions.")

    def __call__(self, chosen: np.ndarray, seen: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (N, L, 1 + P) for the pictures `chosen`, the run's number `seen` and following, and (N,) whether a picture
        loses its label too."""
        texts, both = [], []
        for place, picture in enumerate(chosen, seen):
            random = np.random.Generator(np.random.Philox(key=[self.train_config.seed, _STREAM], counter=[0, 0, 0, place]))
            which, alone, joint = random.random(3)
            own = self.captions[picture]
            both.append(bool(joint < self.joint))
            texts.append("" if both[-1] or alone < self.train_config.text_dropout else own[int(which * len(own))])
        return torch.from_numpy(self.tokenizer(texts)), torch.tensor(both)

    def of_spec(self, known: Known | None) -> dict[str, Any]:
        """What the model's spec says of its text: for `TrainConfig.spec`."""
        asked = tuple(part.strip() for part in self.train_config.prompts.split("|") if part.strip())
        prompts = asked or (known.prompts if known else ())
        if not prompts:
            first = list(dict.fromkeys(texts[0] for texts in self.captions))
            prompts = tuple(first[k * len(first) // _PROMPTS] for k in range(min(_PROMPTS, len(first)))) \
                if len(first) > _PROMPTS else tuple(first)
        return {"text": self.config, "words": self.words, "prompts": prompts}


def read_vectors(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """(words, vectors (words, width) float32) of an .npz: a table that the text encoder keeps as it is."""
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as archive:
            words, vectors = archive["words"], archive["vectors"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a table of word vectors ({error}). It is an .npz with 'words' (N,) of texts "
                        "and 'vectors' (N, width) of numbers.") from error
    if words.dtype.kind != "U" or vectors.shape[:1] != words.shape or vectors.ndim != 2 or vectors.dtype.kind != "f" \
            or not 1 <= len(words) <= MAX_WORDS or not np.isfinite(vectors).all():
        raise DataError(f"{path} has words {words.dtype} {words.shape} and vectors {vectors.dtype} {vectors.shape}; wanted from 1 "
                        f"to {MAX_WORDS:,} different lower-case words and as many rows of finite numbers.")
    listed = tuple(map(str, words))
    if bad := [word for word in listed if split(word) != [word]]:
        raise DataError(f"{path} has {bad[0]!r}, which is no single lower-case word as captions are split into them.")
    if len(set(listed)) < len(listed):
        raise DataError(f"{path} has a word twice. Keep one of each.")
    return listed, vectors.astype(np.float32)
