"""The building blocks of the U-Net. All feature maps are (N, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .attention import attend
from .config import UNetConfig
from .conv import Conv2d
from .dropout import Dropout
from .norm import GroupNorm
from .pyramid import doubling, halving


def sinusoidal(t: torch.Tensor, width: int, order: str = "cos_sin", shift: int = 0) -> torch.Tensor:
    """Sinusoidal embedding of time labels (N,), as (N, width) (Vaswani et al. 2017).

    Frequencies fall geometrically. They and the angles are float32 for any precision of the network, because
    t reaches thousands. An odd width ends in a zero. `order` is that of cosines and sines, and `shift` is
    subtracted from the number of frequencies before they are spaced.
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / max(half - shift, 1) * torch.arange(half, device=t.device))
    angles = t.float()[:, None] * frequencies
    halves = (angles.cos(), angles.sin()) if order == "cos_sin" else (angles.sin(), angles.cos())
    return F.pad(torch.cat(halves, dim=1), (0, width % 2))


def group_norm(width: int, config: UNetConfig, most: int | None = None) -> GroupNorm:
    """A group norm with the largest allowed number of groups that divides the channels."""
    largest = max(min(most or config.norm_groups, width // config.norm_least), 1)
    groups = next(g for g in range(largest, 0, -1) if width % g == 0)
    return GroupNorm(groups, width, eps=config.norm_eps)


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2, then a convolution if `conv` is set."""

    def __init__(self, width: int, conv: bool = True) -> None:
        super().__init__()
        self.conv = Conv2d(width, width, 3, padding=1) if conv else None

    def forward(self, x: torch.Tensor, emb: torch.Tensor | None = None) -> torch.Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(x) if self.conv is not None else x


class Downsample(nn.Module):
    """Downsampling by 2: a strided convolution, or average pooling if `conv` is not set."""

    def __init__(self, width: int, conv: bool = True, padding: str = "both") -> None:
        super().__init__()
        self.pad_end = padding == "end"
        self.conv = Conv2d(width, width, 3, stride=2, padding=0 if self.pad_end else 1) if conv else None

    def forward(self, x: torch.Tensor, emb: torch.Tensor | None = None) -> torch.Tensor:
        if self.conv is None:
            return F.avg_pool2d(x, 2)
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.pad_end else x)


class ResBlock(nn.Module):
    """A residual block: norm, SiLU and convolution, twice (DDPM appendix B; ADM section 3).

    The embedding of time and class enters between the two. With `resample` "up" or "down" both paths change
    the size (BigGAN; Brock et al. 2018).
    """

    def __init__(
        self, width_in: int, width_out: int, config: UNetConfig, emb_width: int, resample: str = ""
    ) -> None:
        super().__init__()
        self.scale_shift = config.conditioning == "scale_shift"
        self.skip_scale = config.skip_scale
        self.resample = {"": lambda _: None, "up": doubling, "down": halving}[resample](config)
        self.norm1 = group_norm(width_in, config)
        self.conv1 = Conv2d(width_in, width_out, 3, padding=1)
        self.emb = nn.Linear(emb_width, 2 * width_out if self.scale_shift else width_out)
        self.norm2 = group_norm(width_out, config)
        self.dropout = Dropout(config.dropout)
        self.conv2 = zero(Conv2d(width_out, width_out, 3, padding=1))
        projects = width_in != width_out or (resample and config.resample_skip)
        self.skip = Conv2d(width_in, width_out, 1) if projects else nn.Identity()

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        h = F.silu(self.norm1(x), inplace=True)
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        e = self.emb(F.silu(emb))[:, :, None, None]
        if self.scale_shift:
            scale, shift = e.chunk(2, dim=1)
            h = torch.addcmul(shift, self.norm2(self.conv1(h)), 1 + scale)
        else:
            h = self.norm2(self.conv1(h, shift=e))
        h = self.conv2(self.dropout(F.silu(h, inplace=True)), self.skip(x))
        return h if self.skip_scale == 1 else h * self.skip_scale


class Attention(nn.Module):
    """Self-attention over all positions, with a residual connection.

    The rows of the qkv weight are ordered (3, heads, channels of a head).
    """

    def __init__(self, width: int, config: UNetConfig, groups: int | None = None) -> None:
        super().__init__()
        self.heads = config.heads_for(width)
        self.skip_scale = config.skip_scale
        self.norm = nn.Identity() if groups == 0 else group_norm(width, config, groups)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = zero(nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).view(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        x = x + self.out(mixed).transpose(1, 2).reshape(n, c, h, w)
        return x if self.skip_scale == 1 else x * self.skip_scale


class CrossAttention(nn.Module):
    """Residual cross-attention from all positions to the text (Rombach et al. 2022, section 3.3)."""

    def __init__(self, width: int, text_width: int, config: UNetConfig) -> None:
        super().__init__()
        self.heads = config.heads_for(width)
        self.norm = group_norm(width, config)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(text_width, 2 * width)
        self.out = zero(nn.Linear(width, width))

    def forward(self, x: torch.Tensor, words: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x is (N, C, H, W), words (N, L, D); mask (N, L) is true for at least one word of each picture."""
        n, c, h, w = x.shape
        q = self.q(self.norm(x).flatten(2).transpose(1, 2)).view(n, h * w, self.heads, -1).transpose(1, 2)
        k, v = self.kv(words).view(n, words.shape[1], 2, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v, mask[:, None, None]).transpose(1, 2).reshape(n, h * w, c)
        return x + self.out(mixed).transpose(1, 2).reshape(n, c, h, w)


def zero(module: nn.Module) -> nn.Module:
    """Initialise a layer to zero, so that its residual block starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
