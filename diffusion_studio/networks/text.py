"""A small text encoder, which is trained together with its U-Net."""

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
    """Encoded texts: `sequence` (N, L, D), `mask` (N, L), which is true for words, and `pooled` (N, D)."""

    sequence: torch.Tensor
    mask: torch.Tensor
    pooled: torch.Tensor

    @staticmethod
    def cat(parts: list[TextFeatures]) -> TextFeatures:
        """The features of all parts in order, padded to a common length. The padding is masked."""
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
            # copies: with one text for all rows attention computes in another order, and other last bits
            else TextFeatures(*(part.repeat(count, *[1] * (part.ndim - 1)) for part in self))
        )


class TextEncoder(nn.Module):
    """`encoder(tokens)` maps the (N, L, 1 + P) tokens of a `Tokenizer` to TextFeatures.

    A word of the table has its own vector. For other words the sum of the vectors of their pieces is divided
    by the square root of their number (as in fastText; Bojanowski et al. 2017). In training some words are
    treated as unknown, so that the vectors of pieces are learned. With `config.vectors` the vectors of words
    are given by `set_vectors` and stay fixed, so that words that no caption contains still lie near similar
    ones.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        given = config.vectors is not None
        learnt = not given and config.words > 0
        self.special = nn.Embedding(SPECIAL, config.width)
        nn.init.zeros_(self.special.weight[UNKNOWN:])  # it is added to the sum of the pieces
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
        """Set the fixed word vectors, (words, config.vectors). Raises `OptionError` for another shape."""
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
        last = self.config.tokens  # later positions are masked padding
        x = x + self.places[torch.arange(word.shape[1], device=word.device).clamp(max=last)]
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        share = mask.to(x.dtype)[..., None]
        return TextFeatures(x, mask, F.silu(self.pool((x * share).sum(1) / share.sum(1))))

    def _vectors(self, word: torch.Tensor, pieces: torch.Tensor) -> torch.Tensor:
        """The vector of each token, (N, L, D), from its word or from its pieces."""
        x = self.special(word.clamp(max=SPECIAL - 1))
        spelt = F.embedding_bag(pieces.flatten(0, 1), self.pieces, mode="sum", padding_idx=0).view(x.shape)
        # scaled to the length of a word's vector
        spelt = spelt * (pieces > 0).sum(-1, keepdim=True).clamp(min=1).to(x.dtype).rsqrt()
        x = x + torch.where((word == UNKNOWN)[..., None], spelt, 0)
        if not len(self.words):
            return x
        known = self.project(F.embedding((word - SPECIAL).clamp(min=0), self.words))
        return torch.where((word >= SPECIAL)[..., None], known.to(x.dtype), x)


class TextLayer(nn.Module):
    """A transformer layer with norms before self-attention and feed-forward network."""

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
