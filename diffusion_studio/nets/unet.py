"""The U-Net, configured: down through the levels, a middle, and up again with the skips of the way down."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .blocks import Attention, Downsample, ResBlock, Upsample, group_norm, sinusoidal, zero
from .config import UNetConfig


class Stage(nn.Module):
    """One residual block, with attention after it where the level has it."""

    def __init__(self, block: ResBlock, attention: Attention | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        x = self.block(x, emb)
        return x if self.attention is None else self.attention(x)


class Level(nn.Module):
    """The stages at one size, and the change of size after them (None at the last level of each way)."""

    def __init__(self, stages: list[Stage], resample: nn.Module | None) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.resample = resample


class UNet(nn.Module):
    """`unet(x, t, label)`: (N, in, H, W), (N,) time labels, (N,) class indices -> (N, out, H, W).

    H and W must be multiples of `config.reduction`. With `config.null_class` the index `config.classes` means any class.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        emb_width = 4 * config.channels
        self.time = nn.Sequential(nn.Linear(config.channels, emb_width), nn.SiLU(), nn.Linear(emb_width, emb_width))
        self.label = None if config.classes is None else nn.Embedding(config.classes + config.null_class, emb_width)

        def stage(width_in: int, width_out: int, level: int) -> Stage:
            attention = Attention(width_out, config) if level in config.attention_levels else None
            return Stage(ResBlock(width_in, width_out, config, emb_width), attention)

        def resample(width: int, way: str) -> nn.Module:
            if config.resample == "residual":
                return ResBlock(width, width, config, emb_width, resample=way)
            return Upsample(width) if way == "up" else Downsample(width, padding=config.downsample_padding)

        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        width, skips = widths[0], [widths[0]]
        for level, out in enumerate(widths):
            stages = [stage(width if k == 0 else out, out, level) for k in range(config.blocks)]
            self.down.append(Level(stages, resample(out, "down") if level < last else None))
            skips += [out] * (config.blocks + (level < last))
            width = out

        self.middle = nn.ModuleList([ResBlock(width, width, config, emb_width), Attention(width, config),
                                     ResBlock(width, width, config, emb_width)])

        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            stages = []
            for _ in range(config.blocks + 1):
                stages.append(stage(width + skips.pop(), out, level))
                width = out
            self.up.append(Level(stages, resample(out, "up") if level else None))

        self.norm_out = group_norm(width, config)
        self.conv_out = zero(nn.Conv2d(width, config.out_channels, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        emb = self._embed(x, t, label)
        h = self.conv_in(x)
        skips = [h]
        for level in self.down:
            for stage in level.stages:
                h = stage(h, emb)
                skips.append(h)
            if level.resample is not None:
                h = level.resample(h, emb)
                skips.append(h)
        first, attention, second = self.middle
        h = second(attention(first(h, emb)), emb)
        for level in self.up:
            for stage in level.stages:
                h = stage(torch.cat([h, skips.pop()], dim=1), emb)
            if level.resample is not None:
                h = level.resample(h, emb)
        return self.conv_out(F.silu(self.norm_out(h), inplace=True))

    def _embed(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        if x.shape[1] != self.config.in_channels or any(side % self.config.reduction for side in x.shape[2:]):
            raise OptionError(f"This U-Net takes (N, {self.config.in_channels}, H, W) with H and W multiples of "
                              f"{self.config.reduction}, got {tuple(x.shape)}.")
        if (label is None) != (self.label is None):
            raise OptionError("This U-Net " + ("needs" if label is None else "takes no") + " class label.")
        waves = sinusoidal(t, self.config.channels, self.config.time_order, self.config.time_shift)
        emb = self.time(waves.to(x.dtype))
        return emb if self.label is None else emb + self.label(label)
