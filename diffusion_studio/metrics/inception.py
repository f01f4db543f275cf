"""The Inception network of FID: that of TensorFlow's 2015-12-05 graph, in the layout of its PyTorch
conversion.

It differs from the Inception v3 of the paper (Szegedy et al. 2016): average pooling leaves out padding, the
last block uses max pooling, there are 1008 classes, and pictures are resized as in TensorFlow 1. Parameters
have the names of the published conversion (pt_inception-2015-12-05), so that its weights load strictly.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

SIZE = 299
WIDTH = 2048
CLASSES = 1008


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        kernel: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width_out, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


def _mean3(x: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _max3(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


def _halve(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, stride=2)


class _A(nn.Module):
    """Block at 35x35: branches of 1x1, 5x5, two 3x3, and a pool."""

    def __init__(self, width: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(width, 64)
        self.branch5x5_1, self.branch5x5_2 = _Conv(width, 48), _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(width, 64), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(width, pooled)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch5x5_2(self.branch5x5_1(x)),
                self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                self.branch_pool(_mean3(x)),
            ],
            1,
        )


class _B(nn.Module):
    """Block from 35x35 to 17x17."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(width, 384, 3, stride=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(width, 64), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [self.branch3x3(x), self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))), _halve(x)],
            1,
        )


_WIDE: dict[str, Any] = {"kernel": (1, 7), "padding": (0, 3)}
_HIGH: dict[str, Any] = {"kernel": (7, 1), "padding": (3, 0)}


class _C(nn.Module):
    """Block at 17x17: 7x7 filters factorized into rows and columns."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(width, 192)
        self.branch7x7_1, self.branch7x7_2 = _Conv(width, inner), _Conv(inner, inner, **_WIDE)
        self.branch7x7_3 = _Conv(inner, 192, **_HIGH)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(width, inner), _Conv(inner, inner, **_HIGH)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _Conv(inner, inner, **_WIDE), _Conv(inner, inner, **_HIGH)
        self.branch7x7dbl_5 = _Conv(inner, 192, **_WIDE)
        self.branch_pool = _Conv(width, 192)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
                self.branch7x7dbl_5(self.branch7x7dbl_4(twice)),
                self.branch_pool(_mean3(x)),
            ],
            1,
        )


class _D(nn.Module):
    """Block from 17x17 to 8x8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(width, 192), _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(width, 192), _Conv(192, 192, **_WIDE)
        self.branch7x7x3_3, self.branch7x7x3_4 = _Conv(192, 192, **_HIGH), _Conv(192, 192, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        far = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), far, _halve(x)], 1)


class _E(nn.Module):
    """Block at 8x8: 3x3 filters replaced by a row and a column in parallel. The last one uses max pooling."""

    def __init__(self, width: int, by_maximum: bool) -> None:
        super().__init__()
        row, column = {"kernel": (1, 3), "padding": (0, 1)}, {"kernel": (3, 1), "padding": (1, 0)}
        self.branch1x1 = _Conv(width, 320)
        self.branch3x3_1 = _Conv(width, 384)
        self.branch3x3_2a, self.branch3x3_2b = _Conv(384, 384, **row), _Conv(384, 384, **column)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(width, 448), _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _Conv(384, 384, **row), _Conv(384, 384, **column)
        self.branch_pool = _Conv(width, 192)
        self.pool = _max3 if by_maximum else _mean3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = self.branch3x3_1(x)
        far = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(near),
                self.branch3x3_2b(near),
                self.branch3x3dbl_3a(far),
                self.branch3x3dbl_3b(far),
                self.branch_pool(self.pool(x)),
            ],
            1,
        )


class FIDInception(nn.Module):
    """(N, 3, 299, 299) from `prepare` -> (N, 2048) features, the spatial mean of the last block ("pool3")."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = _Conv(3, 32, 3, stride=2), _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = _Conv(64, 80), _Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6a = _B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d = _C(768, 128), _C(768, 160), _C(768, 160)
        self.Mixed_6e = _C(768, 192)
        self.Mixed_7a = _D(768)
        self.Mixed_7b, self.Mixed_7c = _E(1280, by_maximum=False), _E(2048, by_maximum=True)
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = _halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = _halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for block in (
            self.Mixed_5b,
            self.Mixed_5c,
            self.Mixed_5d,
            self.Mixed_6a,
            self.Mixed_6b,
            self.Mixed_6c,
            self.Mixed_6d,
            self.Mixed_6e,
            self.Mixed_7a,
            self.Mixed_7b,
            self.Mixed_7c,
        ):
            x = block(x)
        return x.mean((2, 3))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(N, 2048) features -> (N, 1008) logits without bias, which the original Inception score omits."""
        return features @ self.fc.weight.T


def prepare(rgb: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) float in 0..255 -> the original graph's input: 299x299, bilinear as in TensorFlow 1,
    (value - 128) / 128.

    TensorFlow 1 sampled at i * in / out, that is from the corner of each pixel. The PyTorch port of FID
    samples from the centre and scales by 2 / 255 - 1 instead, so its figures differ a little.
    """
    for axis in (2, 3):
        at = torch.arange(SIZE, dtype=torch.float32, device=rgb.device) * (rgb.shape[axis] / SIZE)
        low = at.floor().long()
        high = (low + 1).clamp(max=rgb.shape[axis] - 1)
        weight = (at - low).view(-1, 1) if axis == 2 else at - low
        rgb = torch.lerp(rgb.index_select(axis, low), rgb.index_select(axis, high), weight)
    return rgb.sub(128).div(128)
