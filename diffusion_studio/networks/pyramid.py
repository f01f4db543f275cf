"""Parts of NCSN++ (Song et al. 2021, appendix H): smooth resampling, input and output at each level."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .config import UNetConfig
from .conv import Conv2d


def _fir(x: torch.Tensor) -> torch.Tensor:
    """The filter (1, 3, 3, 1) in both directions, with sum 1, for each channel of x: (C, 1, 4, 4)."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    return torch.outer(row, row).expand(x.shape[1], 1, 4, 4)


class SmoothDown(nn.Module):
    """Downsampling by 2 with an anti-aliasing filter.

    `padding` is 0 if a convolution before it has already padded for the filter.
    """

    def __init__(self, padding: int = 1) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, _fir(x), stride=2, padding=self.padding, groups=x.shape[1])


class SmoothUp(nn.Module):
    """Upsampling by 2 with the filter of `SmoothDown`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose2d(x, 4 * _fir(x), stride=2, padding=1, groups=x.shape[1])


class PlainDown(nn.Module):
    """Downsampling by 2 by averaging."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, 2)


class PlainUp(nn.Module):
    """Upsampling by 2 by repeating."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halving(config: UNetConfig) -> nn.Module:
    """The downsampling without weights for a configuration."""
    return SmoothDown() if config.resample_filter == "fir" else PlainDown()


def doubling(config: UNetConfig) -> nn.Module:
    """The upsampling without weights for a configuration."""
    return SmoothUp() if config.resample_filter == "fir" else PlainUp()


class InputStep(nn.Module):
    """The input of the downsampled noisy picture at one level of the down path: (h, picture) -> (h, picture).

    "skip" adds a projection of the picture to the features. "residual" adds the convolved picture, and passes
    on the sum as the picture.
    """

    def __init__(self, width_in: int, width_out: int, config: UNetConfig) -> None:
        super().__init__()
        self.residual = config.input_path == "residual"
        smooth = config.resample_filter == "fir"
        # the convolution also pads for the filter, because the original merges both into one filter
        kernel, padding = (3, 1 + smooth) if self.residual else (1, 0)
        self.conv = Conv2d(width_in, width_out, kernel, padding=padding)
        self.down = (SmoothDown(padding=0) if smooth else PlainDown()) if self.residual else halving(config)

    def forward(self, h: torch.Tensor, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.residual:
            picture = self.down(picture)
            return h + self.conv(picture), picture
        assert self.conv.bias is not None
        out = (
            self.down(F.conv2d(picture, self.conv.weight, padding=self.conv.padding))
            + self.conv.bias[:, None, None]
        )
        h = (h + out) * math.sqrt(0.5)
        return h, h


class OutputStep(nn.Module):
    """The contribution of one level of the up path to the output picture."""

    def __init__(self, width: int, norm: nn.Module, config: UNetConfig) -> None:
        super().__init__()
        self.norm = norm
        self.conv = Conv2d(width, config.out_channels, 3, padding=1)
        self.up = doubling(config)

    def forward(self, h: torch.Tensor, picture: torch.Tensor | None) -> torch.Tensor:
        """The sum of the contributions so far, at the size of the next level."""
        out = self.conv(F.silu(self.norm(h)))
        return self.up(out if picture is None else picture + out)


def fourier(t: torch.Tensor, frequencies: torch.Tensor, order: str) -> torch.Tensor:
    """Random Fourier features (N, 2 F) of labels (N,) for frequencies (F,), float32 (Tancik et al. 2020)."""
    angles = t.float()[:, None] * frequencies.float() * 2 * math.pi
    return torch.cat(
        (angles.cos(), angles.sin()) if order == "cos_sin" else (angles.sin(), angles.cos()), dim=1
    )
