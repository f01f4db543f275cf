"""The network for points in the plane: residual layers on sinusoidal features of coordinates and time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .blocks import sinusoidal
from .mlp_config import DIMENSIONS, MLPConfig


class MLP(nn.Module):
    """`mlp(x, t, label)` maps points (N, ..., 2) to (N, ..., out_channels).

    t (N,) are time labels and label (N,) class indices. (N, 2) are N points with a time each. In clouds
    (N, P, 2) the P points share time and label but do not interact. Time and class scale and shift the input
    of each layer. With `config.null_class` the index `config.classes` means unconditional. Raises
    `OptionError` for inputs that do not fit.
    """

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.time = nn.Sequential(
            nn.Linear(config.time_channels, width), nn.SiLU(), nn.Linear(width, 2 * width)
        )
        self.label = (
            None if config.classes is None else nn.Embedding(config.classes + config.null_class, 2 * width)
        )
        self.first = nn.Linear(DIMENSIONS * (1 + 2 * config.frequencies), width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(config.layers))
        self.last = nn.Linear(width, config.out_channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None = None, text: None = None
    ) -> torch.Tensor:
        if x.ndim < 2 or x.shape[-1] != DIMENSIONS:
            raise OptionError(
                "points", f"This network takes points (N, ..., {DIMENSIONS}), got {tuple(x.shape)}."
            )
        if (label is None) != (self.label is None):
            raise OptionError(
                "label", "This network " + ("needs" if label is None else "takes no") + " class label."
            )
        if text is not None:
            raise OptionError("prompt", "This network takes no text.")
        emb = self.time(sinusoidal(t, self.config.time_channels).to(x.dtype))
        if label is not None and self.label is not None:
            emb = emb + self.label(label)
        scale, shift = emb.view(len(x), *[1] * (x.ndim - 2), -1).chunk(2, dim=-1)
        h = self.first(self._waves(x))
        for layer in self.layers:
            h = h + layer(F.silu(h * (1 + scale) + shift))
        return self.last(F.silu(h))

    def _waves(self, x: torch.Tensor) -> torch.Tensor:
        """The coordinates with their sines and cosines.

        The longest wave, 8, spans the data; others are octaves.
        """
        scales = 2.0 ** torch.arange(self.config.frequencies, device=x.device, dtype=x.dtype) * (math.pi / 4)
        angles = (x[..., None] * scales).flatten(-2)
        return torch.cat([x, angles.sin(), angles.cos()], dim=-1)
