"""The network of `PostNormConfig`. All feature maps are (N, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .conv import Conv2d
from .modules import ModuleList
from .post_norm_config import PostNormConfig

_EPS = 1e-5


class ChannelNorm(nn.Module):
    """Normalisation of each position over its channels.

    "rms" divides by the root mean square; "layer" subtracts the mean and divides by the standard deviation.
    """

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.centred = kind != "rms"
        self.weight = nn.Parameter(torch.ones(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1)) if kind == "layer_bias" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.centred:
            return F.normalize(x, dim=1) * (self.weight * x.shape[1] ** 0.5)
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        x = (x - mean) * (variance + _EPS).rsqrt() * self.weight
        return x if self.bias is None else x + self.bias


class StandardizedConv(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (Qiao et al. 2019, eq. 5)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        return self._conv_forward(x, (self.weight - mean) * (variance + _EPS).rsqrt(), self.bias)


class Half(nn.Module):
    """Convolution, norm, optional scale and shift, SiLU."""

    def __init__(self, width_in: int, width_out: int, config: PostNormConfig) -> None:
        super().__init__()
        self.conv = (StandardizedConv if config.standardized else Conv2d)(width_in, width_out, 3, padding=1)
        self.norm = (
            ChannelNorm(width_out, "rms")
            if config.norm == "rms"
            else nn.GroupNorm(config.norm_groups, width_out, eps=_EPS)
        )

    def forward(
        self, x: torch.Tensor, scale_shift: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> torch.Tensor:
        x = self.norm(self.conv(x))
        if scale_shift is not None:
            scale, shift = scale_shift
            x = torch.addcmul(shift, x, 1 + scale)
        return F.silu(x, inplace=True)


class Block(nn.Module):
    """A residual block of two halves. The embedding scales and shifts the first."""

    def __init__(self, width_in: int, width_out: int, config: PostNormConfig) -> None:
        super().__init__()
        self.emb = nn.Linear((8 if config.classes else 4) * config.channels, 2 * width_out)
        self.first = Half(width_in, width_out, config)
        self.second = Half(width_out, width_out, config)
        self.skip = Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        scale, shift = self.emb(F.silu(emb))[:, :, None, None].chunk(2, dim=1)
        return self.second(self.first(x, (scale, shift))) + self.skip(x)


class Attention(nn.Module):
    """Attention over all positions and learned memory, with a residual connection: full or linear.

    Linear attention applies softmax to q over the channels of a head and to k over the positions, so that k v
    can be multiplied first and the cost is linear in the number of positions (Shen et al. 2021, eq. 4).
    """

    def __init__(self, width: int, heads: int, channels: int, full: bool, config: PostNormConfig) -> None:
        super().__init__()
        self.heads, self.full, self.divided = heads, full, config.divided and not full
        self.cosine = config.cosine_scale if full else None
        self.norm = ChannelNorm(width, config.attention_norm)
        self.qkv = Conv2d(width, 3 * heads * channels, 1, bias=False)
        size = (config.memory, channels) if full else (channels, config.memory)
        self.memory = nn.Parameter(torch.randn(2, heads, *size)) if config.memory else None
        self.out = Conv2d(heads * channels, width, 1)
        self.norm_out = nn.Identity() if full else ChannelNorm(width, config.attention_norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, _, h, w = x.shape
        # each (N, heads, channels, positions)
        q, k, v = self.qkv(self.norm(x)).view(n, 3, self.heads, -1, h * w).unbind(1)
        if self.full:
            q, k, v = (part.transpose(2, 3) for part in (q, k, v))
        if self.memory is not None:
            k, v = (
                torch.cat([kept.expand(n, *kept.shape), part], dim=2 if self.full else 3)
                for kept, part in zip(self.memory, (k, v))
            )
        mixed = (
            self._full(q, k, v).transpose(2, 3)
            if self.full
            else self._linear(q, k, v / (h * w) if self.divided else v)
        )
        return self.norm_out(self.out(mixed.reshape(n, -1, h, w))) + x

    def _full(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if self.cosine is not None:
            q, k = F.normalize(q, dim=2), F.normalize(k, dim=2)  # over positions, as in the original
        return F.scaled_dot_product_attention(q, k, v, scale=self.cosine)

    def _linear(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        context = k.softmax(dim=3) @ v.transpose(2, 3)  # (N, heads, channels of k, channels of v)
        return context.transpose(2, 3) @ (q.softmax(dim=2) * q.shape[2] ** -0.5)


class Level(nn.Module):
    """Two blocks, an attention, and the change of size or channels after them."""

    def __init__(self, first: Block, second: Block, attention: Attention, resample: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.attention, self.resample = first, second, attention, resample


class PostNormUNet(nn.Module):
    """`unet(x, t, label, text, before)` maps (N, in, H, W) to (N, out, H, W).

    t (N,) are times and label (N,) class indices. H and W must be multiples of `config.reduction`. With
    `config.null_class` the index `config.classes` means unconditional. `before` is the last x0 for a
    self-conditioned network (None means zeros). `text` must be None. Raises `OptionError` for inputs that do
    not fit.
    """

    def __init__(self, config: PostNormConfig) -> None:
        super().__init__()
        self.config, widths, top = config, config.widths, config.levels - 1
        emb = 4 * config.channels
        self.waves = nn.Parameter(torch.randn(config.learned_waves)) if config.learned_waves else None
        self.time = _two_layers(
            2 * config.learned_waves + 1 if config.learned_waves else config.channels, emb
        )
        self.label = nn.Embedding(config.classes, config.channels) if config.classes else None
        self.any_label = nn.Parameter(torch.randn(config.channels)) if config.null_class else None
        self.label_mlp = _two_layers(config.channels, emb) if config.classes else None

        def attention(width: int, level: int, full: bool) -> Attention:
            return Attention(width, config.heads[level], config.head_channels[level], full, config)

        self.conv_in = Conv2d(config.in_channels * (1 + config.self_condition), widths[0], 7, padding=3)
        self.down: ModuleList[Level] = ModuleList()
        self.up: ModuleList[Level] = ModuleList()
        for level, (width, out) in enumerate(zip(widths, widths[1:])):
            change = (
                Conv2d(width, out, 3, padding=1)
                if level == top
                else _Unshuffle(width, out)
                if config.down == "unshuffle"
                else Conv2d(width, out, 4, stride=2, padding=1)
            )
            self.down.append(
                Level(
                    Block(width, width, config),
                    Block(width, width, config),
                    attention(width, level, level in config.full_attention),
                    change,
                )
            )
        self.middle = nn.ModuleList(
            [
                Block(widths[-1], widths[-1], config),
                attention(widths[-1], top, True),
                Block(widths[-1], widths[-1], config),
            ]
        )
        for level in range(top, -1, -1):
            width, out = widths[level + 1], widths[level]
            change = _Upsample(width, out) if level else Conv2d(width, out, 3, padding=1)
            self.up.append(
                Level(
                    Block(width + out, width, config),
                    Block(width + out, width, config),
                    attention(width, level, level in config.full_attention),
                    change,
                )
            )
        self.last = Block(2 * widths[0], widths[0], config)
        self.conv_out = Conv2d(widths[0], config.out_channels, 1)

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        label: torch.Tensor | None = None,
        text: None = None,
        before: torch.Tensor | None = None,
    ) -> torch.Tensor:
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
        emb = self._embed(t, label, x.dtype)
        if self.config.self_condition:
            x = torch.cat([torch.zeros_like(x) if before is None else before, x], dim=1)
        first = h = self.conv_in(x)
        skips = []
        for level in self.down:
            h = level.first(h, emb)
            skips.append(h)
            h = level.attention(level.second(h, emb))
            skips.append(h)
            h = level.resample(h)
        block, attention, other = self.middle
        h = other(attention(block(h, emb)), emb)
        for level in self.up:
            h = level.first(torch.cat([h, skips.pop()], dim=1), emb)
            h = level.attention(level.second(torch.cat([h, skips.pop()], dim=1), emb))
            h = level.resample(h)
        return self.conv_out(self.last(torch.cat([h, first], dim=1), emb))

    def _embed(self, t: torch.Tensor, label: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
        """The embedding of time and class. Angles are float32, because t reaches thousands."""
        t = t.float()[:, None]
        if self.waves is not None:
            angles = t * self.waves.float() * (2 * math.pi)
            waves = torch.cat([t, angles.sin(), angles.cos()], dim=1)
        else:
            half = self.config.channels // 2
            fall = math.log(self.config.wave_period) / max(half - 1, 1)
            angles = t * torch.exp(torch.arange(half, device=t.device) * -fall)
            waves = F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, self.config.channels % 2))
        emb = self.time(waves.to(dtype))
        if label is None:
            return emb
        assert self.label is not None and self.label_mlp is not None and self.config.classes is not None
        known = self.label(label.clamp(max=self.config.classes - 1))
        if self.any_label is not None:
            known = torch.where((label == self.config.classes)[:, None], self.any_label, known)
        return torch.cat([emb, self.label_mlp(known)], dim=1)


class _Unshuffle(nn.Module):
    """Downsampling by 2: 2x2 positions become channels, then a 1x1 convolution."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = Conv2d(4 * width, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pixel_unshuffle(x, 2))


class _Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2, then a convolution."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = Conv2d(width, out, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _two_layers(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))
