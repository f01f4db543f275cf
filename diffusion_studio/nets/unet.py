"""The U-Net, configured: down through the levels, a middle, and up again with the skips of the way down."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .blocks import Attention, CrossAttention, Downsample, ResBlock, Upsample, group_norm, sinusoidal, zero
from .config import UNetConfig
from .text import TextEncoder, TextFeatures


class Stage(nn.Module):
    """One residual block, with attention after it where the level has it, and then to the text where there is one."""

    def __init__(self, block: ResBlock, attention: Attention | None, cross: CrossAttention | None = None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention
        self.cross = cross

    def forward(self, x: torch.Tensor, emb: torch.Tensor, text: TextFeatures | None = None) -> torch.Tensor:
        x = self.block(x, emb)
        if self.attention is not None:
            x = self.attention(x)
        return x if self.cross is None else self.cross(x, text.sequence, text.mask)


class Level(nn.Module):
    """The stages at one size, and the change of size after them (None at the last level of each way)."""

    def __init__(self, stages: list[Stage], resample: nn.Module | None) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.resample = resample


class UNet(nn.Module):
    """`unet(x, t, label, text)`: (N, in, H, W), (N,) time labels, (N,) class indices, texts -> (N, out, H, W).

    H and W must be multiples of `config.reduction`. With `config.null_class` the index `config.classes` means any class.
    With `config.text` the texts are tokens, which `unet.text` encodes, or what it made of them.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        emb_width = 4 * config.channels
        self.time = nn.Sequential(nn.Linear(config.channels, emb_width), nn.SiLU(), nn.Linear(emb_width, emb_width))
        self.label = None if config.classes is None else nn.Embedding(config.classes + config.null_class, emb_width)
        self.text = None if config.text is None else TextEncoder(config.text)
        self.text_emb = None if config.text is None else nn.Linear(config.text.width, emb_width)

        def cross(width: int) -> CrossAttention | None:
            return CrossAttention(width, config.text.width, config) if config.text and config.text.cross else None

        def stage(width_in: int, width_out: int, level: int) -> Stage:
            attended = level in config.attention_levels
            attention = Attention(width_out, config) if attended else None
            return Stage(ResBlock(width_in, width_out, config, emb_width), attention, cross(width_out) if attended else None)

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
        self.middle_cross = cross(width)

        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            stages = []
            for _ in range(config.blocks + 1):
                stages.append(stage(width + skips.pop(), out, level))
                width = out
            self.up.append(Level(stages, resample(out, "up") if level else None))

        self.norm_out = group_norm(width, config)
        self.conv_out = zero(nn.Conv2d(width, config.out_channels, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None = None,
                text: torch.Tensor | TextFeatures | None = None) -> torch.Tensor:
        emb = self._embed(x, t, label)
        if (text is None) != (self.text is None):
            raise OptionError("This U-Net " + ("needs a text." if text is None else "takes no text."))
        if text is not None:
            text = text if isinstance(text, TextFeatures) else self.text(text)
            emb = emb + self.text_emb(text.pooled)
        h = self.conv_in(x)
        skips = [h]
        for level in self.down:
            for stage in level.stages:
                h = stage(h, emb, text)
                skips.append(h)
            if level.resample is not None:
                h = level.resample(h, emb)
                skips.append(h)
        first, attention, second = self.middle
        h = attention(first(h, emb))
        if self.middle_cross is not None:
            h = self.middle_cross(h, text.sequence, text.mask)
        h = second(h, emb)
        for level in self.up:
            for stage in level.stages:
                h = stage(torch.cat([h, skips.pop()], dim=1), emb, text)
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
