"""The U-Net of `UNetConfig`: a down path of levels, a middle, and an up path with skip connections."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .blocks import Attention, CrossAttention, Downsample, ResBlock, Upsample, group_norm, sinusoidal, zero
from .config import UNetConfig
from .conv import Conv2d
from .modules import ModuleList
from .pyramid import InputStep, OutputStep, fourier
from .reuse import DeepFeatures
from .text import TextEncoder, TextFeatures


class Stage(nn.Module):
    """A residual block, followed by optional self-attention and cross-attention to the text."""

    def __init__(
        self, block: ResBlock, attention: Attention | None, cross: CrossAttention | None = None
    ) -> None:
        super().__init__()
        self.block = block
        self.attention = attention
        self.cross = cross

    def forward(self, x: torch.Tensor, emb: torch.Tensor, text: TextFeatures | None = None) -> torch.Tensor:
        x = self.block(x, emb)
        if self.attention is not None:
            x = self.attention(x)
        if self.cross is None:
            return x
        assert text is not None  # UNet._encode_text has checked it
        return self.cross(x, text.sequence, text.mask)


class Level(nn.Module):
    """The stages at one size, and the change of size after them (None at the last level of each path)."""

    def __init__(self, stages: list[Stage], resample: nn.Module | None) -> None:
        super().__init__()
        self.stages = ModuleList(stages)
        self.resample = resample


class UNet(nn.Module):
    """`unet(x, t, label, text)` maps (N, in, H, W) to (N, out, H, W).

    t (N,) are time labels and label (N,) class indices. H and W must be multiples of `config.reduction`. With
    `config.null_class` the index `config.classes` means unconditional. With `config.text`, `text` holds
    tokens or the features that `unet.text` computes from them. Raises `OptionError` for inputs that do not
    fit.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        emb_width = config.embedding_width
        self.time = waves_to_embedding(config)
        self.frequencies = None  # random ones, which training does not change
        if config.time_embedding == "fourier":
            self.frequencies = nn.Parameter(16 * torch.randn(config.waves // 2), False)
        self.label = None
        if config.classes is not None:
            width = {
                "table": emb_width,
                "early": config.waves,
                "sinusoidal": None,
                "channels": config.class_channels,
            }[config.class_embedding]
            rows = config.classes + config.null_class
            self.label = waves_to_embedding(config) if width is None else nn.Embedding(rows, width)
        self.text = None if config.text is None else TextEncoder(config.text)
        self.text_emb = None if config.text is None else nn.Linear(config.text.width, emb_width)

        def cross(width: int) -> CrossAttention | None:
            return (
                CrossAttention(width, config.text.width, config)
                if config.text and config.text.cross
                else None
            )

        def stage(width_in: int, width_out: int, level: int, attended: tuple[int, ...]) -> Stage:
            attention = Attention(width_out, config) if level in attended else None
            return Stage(
                ResBlock(width_in, width_out, config, emb_width),
                attention,
                cross(width_out) if attention else None,
            )

        def resample(width: int, way: str) -> nn.Module:
            if config.resample == "residual":
                return ResBlock(width, width, config, emb_width, resample=way)
            conv = config.resample == "conv"
            return (
                Upsample(width, conv)
                if way == "up"
                else Downsample(width, conv, padding=config.downsample_padding)
            )

        widths, last, square = config.widths, len(config.widths) - 1, config.patch**2
        self.conv_in = Conv2d(
            config.in_channels * square + (config.class_channels or 0), config.stem, 3, padding=1
        )
        self.down: ModuleList[Level] = ModuleList()
        width, skips = config.stem, [config.stem]
        for level, out in enumerate(widths):
            stages = [
                stage(width if k == 0 else out, out, level, config.attention_levels)
                for k in range(config.blocks)
            ]
            self.down.append(Level(stages, resample(out, "down") if level < last else None))
            skips += [out] * (config.blocks + (level < last))
            width = out

        self.input_path = None
        if config.input_path != "none":
            carried = [
                config.in_channels,
                *(widths if config.input_path == "residual" else [config.in_channels] * last),
            ]
            self.input_path = nn.ModuleList(InputStep(carried[k], widths[k], config) for k in range(last))

        inner = dataclasses.replace(config, skip_scale=1.0)
        parts = {"attention": (ResBlock, Attention, ResBlock), "residual": (ResBlock, ResBlock), "none": ()}[
            config.middle
        ]
        self.middle = nn.ModuleList(
            Attention(width, inner, config.middle_groups)
            if part is Attention
            else ResBlock(width, width, inner, emb_width)
            for part in parts
        )
        self.middle_cross = cross(width) if Attention in parts else None

        self.up: ModuleList[Level] = ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            stages = []
            for k in range(config.blocks + 1):
                attended = (
                    config.attention_going_up if config.up_attention == "each" or k == config.blocks else ()
                )
                stages.append(stage(width + skips.pop(), out, level, attended))
                width = out
            self.up.append(Level(stages, resample(out, "up") if level else None))

        self.output_path = None
        if config.output_path == "skip":
            self.output_path = nn.ModuleList(
                OutputStep(out, group_norm(out, config), config) for out in reversed(widths[1:])
            )
        self.norm_out = group_norm(width, config)
        self.conv_out = zero(Conv2d(width, config.out_channels * square, 3, padding=1))

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        label: torch.Tensor | None = None,
        text: torch.Tensor | TextFeatures | None = None,
        deep: DeepFeatures | None = None,
    ) -> torch.Tensor:
        """See the class. An empty `deep` is filled by the call; a filled one replaces the deep levels."""
        emb = self._embed(x, t, label)
        text = self._encode_text(text)
        if text is not None and self.text_emb is not None:
            emb = emb + self.text_emb(text.pooled)
        picture = 2 * x - 1 if self.config.center_input else (x + 1) / 2 if self.config.unit_input else x
        h = F.pixel_unshuffle(picture, self.config.patch)
        if self.config.class_channels and self.label is not None:
            h = torch.cat([h, self.label(label).to(h)[:, :, None, None].expand(-1, -1, *h.shape[2:])], dim=1)
        h = self.conv_in(h)
        if deep is not None and deep.h is not None:
            h, picture = self.up[-1].stages[-1](torch.cat([deep.h, h], dim=1), emb, text), deep.picture
        else:
            h, skips = self._down(h, emb, text, picture)
            h = self._middle(h, emb, text)
            h, picture = self._up(h, skips, emb, text, deep)
        out = F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(h), inplace=True)), self.config.patch)
        return out if picture is None else out + picture

    def _encode_text(self, text: torch.Tensor | TextFeatures | None) -> TextFeatures | None:
        """The features of a text given as tokens. Raises `OptionError` for a missing or unexpected text."""
        if (text is None) != (self.text is None):
            raise OptionError(
                "prompt", "This U-Net " + ("needs a text." if text is None else "takes no text.")
            )
        if isinstance(text, torch.Tensor):
            assert self.text is not None
            return self.text(text)
        return text

    def _down(
        self, h: torch.Tensor, emb: torch.Tensor, text: TextFeatures | None, picture: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The features after the down path, and those of the skip connections."""
        skips = [h]
        for k, level in enumerate(self.down):
            for stage in level.stages:
                h = stage(h, emb, text)
                skips.append(h)
            if level.resample is not None:
                h = level.resample(h, emb)
                if self.input_path is not None:
                    h, picture = self.input_path[k](h, picture)
                skips.append(h)
        return h, skips

    def _middle(self, h: torch.Tensor, emb: torch.Tensor, text: TextFeatures | None) -> torch.Tensor:
        for part in self.middle:
            h = part(h) if isinstance(part, Attention) else part(h, emb)
            if isinstance(part, Attention) and self.middle_cross is not None:
                assert text is not None  # _encode_text has checked it
                h = self.middle_cross(h, text.sequence, text.mask)
            if self.config.middle_scale != 1:
                h = h / self.config.middle_scale
        return h

    def _up(
        self,
        h: torch.Tensor,
        skips: list[torch.Tensor],
        emb: torch.Tensor,
        text: TextFeatures | None,
        deep: DeepFeatures | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The features after the up path, and the sum of the levels' outputs with `output_path`.

        An empty `deep` gets both as they are before the last block, whose skip connection comes from the
        first convolution.
        """
        picture = None
        for k, level in enumerate(self.up):
            for stage in level.stages:
                if deep is not None and len(skips) == 1:
                    deep.h, deep.picture = h, picture
                h = stage(torch.cat([h, skips.pop()], dim=1), emb, text)
            if level.resample is not None:
                if self.output_path is not None:
                    picture = self.output_path[k](h, picture)
                h = level.resample(h, emb)
        return h, picture

    def _embed(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        """The embedding of time and class. Raises `OptionError` for an x or a label that does not fit."""
        if x.shape[1] != self.config.in_channels or any(side % self.config.reduction for side in x.shape[2:]):
            raise OptionError(
                "pictures",
                f"This U-Net takes (N, {self.config.in_channels}, H, W) with H and W multiples of "
                f"{self.config.reduction}, got {tuple(x.shape)}.",
            )
        if (label is None) != (self.label is None):
            raise OptionError(
                "label", "This U-Net " + ("needs" if label is None else "takes no") + " class label."
            )
        if len(t) > 1 and t.stride(0) == 0:
            t = t[:1]  # expanded from one time: one embedding serves all pictures
        waves = self._waves(self._time(t)).to(x.dtype)
        if self.config.class_embedding == "early" and self.label is not None:
            return self.time(waves + self.label(label))
        emb = self.time(waves)
        if self.label is None or label is None or self.config.class_channels:
            return emb
        known = label if self.config.class_embedding == "table" else self._waves(label).to(x.dtype)
        return emb + self.label(known)

    def _time(self, t: torch.Tensor) -> torch.Tensor:
        t = t if self.config.time_scale == 1 else t.float() * self.config.time_scale
        return t.float().log() if self.config.time_log else t

    def _waves(self, t: torch.Tensor) -> torch.Tensor:
        if self.frequencies is not None:
            return fourier(t, self.frequencies, self.config.time_order)
        return sinusoidal(t, self.config.waves, self.config.time_order, self.config.time_shift)


def waves_to_embedding(config: UNetConfig) -> nn.Sequential:
    """The two layers that compute the embedding of time or class from its sinusoidal features."""
    width = config.embedding_width
    return nn.Sequential(nn.Linear(config.waves, width), nn.SiLU(), nn.Linear(width, width))
