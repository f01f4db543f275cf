"""A small text encoder, trained with the U-Net that reads it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .attention import attend
from .tokens import PADDING, SPECIAL, UNKNOWN, TextConfig


class TextFeatures(NamedTuple):
    """Encoded texts: `sequence` (N, L, D), `mask` (N, L) true where there is a word, `pooled` (N, D)."""

    sequence: torch.Tensor
    mask: torch.Tensor
    pooled: torch.Tensor

    @staticmethod
    def cat(parts: list[TextFeatures]) -> TextFeatures:
        """Those of all parts in order, padded to one length; the padding is masked."""
        longest = max(part.mask.shape[1] for part in parts)
        grown = [longest - part.mask.shape[1] for part in parts]
        return TextFeatures(
            torch.cat([F.pad(part.sequence, (0, 0, 0, more)) for part, more in zip(parts, grown)]),
            torch.cat([F.pad(part.mask, (0, more)) for part, more in zip(parts, grown)]),
            torch.cat([part.pooled for part in parts]),
        )

    def expand(self, count: int) -> TextFeatures:
        """The features of one text for `count` pictures, or those of `count` texts as they are."""
        return (
            self
            if len(self.mask) == count
            else TextFeatures(*(part.expand(count, *part.shape[1:]) for part in self))
        )


class TextEncoder(nn.Module):
    """`encoder(tokens)`: (N, L, 1 + P) numbers of a `Tokenizer` -> TextFeatures.

    A known word has a vector of its own, any other the sum of its pieces' vectors over the root of their
    number (in the manner of fastText; Bojanowski et al. 2017). In training some words are taken as unknown,
    so that the pieces learn. With `config.vectors` the words' vectors are given ones (`set_vectors`) that
    stay as they are: words that no caption has then still lie near their kin.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        given = config.vectors is not None
        learnt = not given and config.words > 0
        self.special = nn.Embedding(SPECIAL, config.width)
        nn.init.zeros_(self.special.weight[UNKNOWN:])  # it is added to the pieces
        self.words = nn.Parameter(
            torch.randn(config.words, config.vectors or config.width), requires_grad=learnt
        )
        self.project = nn.Identity() if config.vectors is None else nn.Linear(config.vectors, config.width)
        self.pieces = nn.Parameter(torch.randn(config.pieces + 1, config.width))
        self.places = nn.Parameter(0.1 * torch.randn(config.tokens + 1, config.width))
        self.layers = nn.ModuleList([TextLayer(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        self.pool = nn.Linear(config.width, config.width)

    def set_vectors(self, vectors: np.ndarray) -> None:
        """Fill the table of given vectors, (words, config.vectors)."""
        if self.config.vectors is None or vectors.shape != tuple(self.words.shape):
            raise OptionError(
                "text_vectors",
                f"The text encoder takes word vectors of shape {tuple(self.words.shape)}, "
                f"got {vectors.shape}.",
            )
        with torch.no_grad():
            self.words.copy_(torch.from_numpy(np.asarray(vectors, np.float32)))

    def forward(self, tokens: torch.Tensor) -> TextFeatures:
        word, pieces = tokens[..., 0].long(), tokens[..., 1:].long()
        mask = word != PADDING
        if self.training and self.config.dropout:
            word = torch.where(
                (torch.rand(word.shape, device=word.device) < self.config.dropout) & (word >= SPECIAL),
                UNKNOWN,
                word,
            )
        x = self._vectors(word, pieces)
        last = self.config.tokens  # only masked padding lies beyond
        x = x + self.places[torch.arange(word.shape[1], device=word.device).clamp(max=last)]
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        share = mask.to(x.dtype)[..., None]
        return TextFeatures(x, mask, F.silu(self.pool((x * share).sum(1) / share.sum(1))))

    def _vectors(self, word: torch.Tensor, pieces: torch.Tensor) -> torch.Tensor:
        x = self.special(word.clamp(max=SPECIAL - 1))
        spelt = F.embedding_bag(pieces.flatten(0, 1), self.pieces, mode="sum", padding_idx=0).view(x.shape)
        spelt = (
            spelt * (pieces > 0).sum(-1, keepdim=True).clamp(min=1).to(x.dtype).rsqrt()
        )  # as long as a word's vector
        x = x + torch.where((word == UNKNOWN)[..., None], spelt, 0)
        if not len(self.words):
            return x
        known = self.project(F.embedding((word - SPECIAL).clamp(min=0), self.words))
        return torch.where((word >= SPECIAL)[..., None], known.to(x.dtype), x)


class TextLayer(nn.Module):
    """Self-attention over the words, then a two-layer network, each after a norm and around a skip."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        q, k, v = (
            self.qkv(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = attend(q, k, v, mask[:, None, None])
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.wide(self.norm2(x))
