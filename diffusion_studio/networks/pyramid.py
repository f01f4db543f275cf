"""What NCSN++ (Song et al. 2021, appendix H) has besides: smooth resampling, and the picture at every size
on both ways.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .config import UNetConfig
from .conv import Conv2d


def _fir(x: torch.Tensor) -> torch.Tensor:
    """The filter (1, 3, 3, 1) in both directions, of sum 1, once for every channel of x."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    return torch.outer(row, row).expand(x.shape[1], 1, 4, 4)


class SmoothDown(nn.Module):
    """Halving without aliases: filtered, then every other pixel. `padding` is what a convolution before it
    left to pad.
    """

    def __init__(self, padding: int = 1) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, _fir(x), stride=2, padding=self.padding, groups=x.shape[1])


class SmoothUp(nn.Module):
    """Doubling by the same filter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose2d(x, 4 * _fir(x), stride=2, padding=1, groups=x.shape[1])


class PlainDown(nn.Module):
    """Halving by averaging."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, 2)


class PlainUp(nn.Module):
    """Doubling by repeating."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halving(config: UNetConfig) -> nn.Module:
    """The resampling without weights that the configuration asks for."""
    return SmoothDown() if config.resample_filter == "fir" else PlainDown()


def doubling(config: UNetConfig) -> nn.Module:
    """Its counterpart on the way up."""
    return SmoothUp() if config.resample_filter == "fir" else PlainUp()


class InputStep(nn.Module):
    """One level of the way down on which the noisy picture itself, ever smaller, is fed in: `(h, picture)` ->
    both, changed.

    "skip" adds the picture's projection to the features; "residual" carries on what a convolution made of it.
    """

    def __init__(self, width_in: int, width_out: int, config: UNetConfig) -> None:
        super().__init__()
        self.residual = config.input_path == "residual"
        smooth = config.resample_filter == "fir"
        # the convolution pads for the filter too, as both are one filter to the original
        kernel, padding = (3, 1 + smooth) if self.residual else (1, 0)
        self.conv = Conv2d(width_in, width_out, kernel, padding=padding)
        self.down = (SmoothDown(padding=0) if smooth else PlainDown()) if self.residual else halving(config)

    def forward(self, h: torch.Tensor, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.residual:
            picture = self.down(picture)
            return h + self.conv(picture), picture
        assert self.conv.bias is not None
        made = (
            self.down(F.conv2d(picture, self.conv.weight, padding=self.conv.padding))
            + self.conv.bias[:, None, None]
        )
        h = (h + made) * math.sqrt(0.5)
        return h, h


class OutputStep(nn.Module):
    """One level of the way up that adds its share to the picture that comes out."""

    def __init__(self, width: int, norm: nn.Module, config: UNetConfig) -> None:
        super().__init__()
        self.norm = norm
        self.conv = Conv2d(width, config.out_channels, 3, padding=1)
        self.up = doubling(config)

    def forward(self, h: torch.Tensor, picture: torch.Tensor | None) -> torch.Tensor:
        """What has come out down to this level, at the size of the next."""
        made = self.conv(F.silu(self.norm(h)))
        return self.up(made if picture is None else picture + made)


def fourier(t: torch.Tensor, frequencies: torch.Tensor, order: str) -> torch.Tensor:
    """(N,) labels and (F,) frequencies -> (N, 2 F) random Fourier features (Tancik et al. 2020), in
    float32.
    """
    angles = t.float()[:, None] * frequencies.float() * 2 * math.pi
    return torch.cat(
        (angles.cos(), angles.sin()) if order == "cos_sin" else (angles.sin(), angles.cos()), dim=1
    )
