"""The noisy classifier for classifier guidance: the down path of a U-Net, and attention pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .attention import attend
from .blocks import Attention, Downsample, ResBlock, group_norm, sinusoidal
from .classifier_config import ClassifierConfig
from .modules import ModuleList
from .unet import Level, Stage


class AttentionPool(nn.Module):
    """Attention pooling (N, C, H, W) -> (N, out) (Radford et al. 2021, section 2.4).

    The mean of all positions attends to itself and to each position. Only its query is computed, because only
    its output is used.
    """

    def __init__(self, width: int, positions: int, heads: int, out: int) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(torch.randn(positions + 1, width) / width**0.5)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c = x.shape[:2]
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + self.place.to(x.dtype)
        q = self.query(tokens[:, :1]).view(n, 1, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(tokens).view(n, tokens.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(attend(q, k, v).transpose(1, 2).reshape(n, c))


class NoisyClassifier(nn.Module):
    """`classifier(x, t)` gives logits (N, classes) for x (N, C, size, size) at time labels t (N,)."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config, body = config, config.body
        emb_width = 4 * config.channels
        self.time = nn.Sequential(
            nn.Linear(config.channels, emb_width), nn.SiLU(), nn.Linear(emb_width, emb_width)
        )
        self.conv_in = nn.Conv2d(config.in_channels, body.widths[0], 3, padding=1)
        self.down: ModuleList[Level] = ModuleList()
        width, last = body.widths[0], len(body.widths) - 1
        for level, out in enumerate(body.widths):
            stages = []
            for _ in range(config.blocks):
                attention = Attention(out, body) if level in config.attention_levels else None
                stages.append(Stage(ResBlock(width, out, body, emb_width), attention))
                width = out
            resample = None
            if level < last:
                resample = (
                    ResBlock(out, out, body, emb_width, resample="down")
                    if config.resample == "residual"
                    else Downsample(out)
                )
            self.down.append(Level(stages, resample))
        self.middle = nn.ModuleList(
            [
                ResBlock(width, width, body, emb_width),
                Attention(width, body),
                ResBlock(width, width, body, emb_width),
            ]
        )
        self.norm_out = group_norm(width, body)
        self.pool = AttentionPool(
            width, (config.size // body.reduction) ** 2, body.heads_for(width), config.classes
        )

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        expected = self.config.in_channels, self.config.size, self.config.size
        if tuple(x.shape[1:]) != expected:
            raise OptionError(
                "pictures",
                f"This classifier takes (N, {', '.join(map(str, expected))}), got {tuple(x.shape)}.",
            )
        emb = self.time(sinusoidal(t, self.config.channels).to(x.dtype))
        h = self.conv_in(x)
        for level in self.down:
            for stage in level.stages:
                h = stage(h, emb)
            if level.resample is not None:
                h = level.resample(h, emb)
        first, attention, second = self.middle
        h = second(attention(first(h, emb)), emb)
        return self.pool(F.silu(self.norm_out(h), inplace=True))
