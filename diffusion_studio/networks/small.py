"""The networks of `small_config`. All feature maps are (N, C, H, W)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import OptionError
from .base import NetworkConfig
from .conv import Conv2d
from .modules import ModuleList
from .small_config import LayerNormConfig, MaxPoolConfig, VectorConfig


class TwoConvs(nn.Module):
    """Convolution, norm, GELU, convolution, norm. A residual one adds x and applies GELU again.

    Norms are over all channels and positions.
    """

    def __init__(
        self, width_in: int, width_out: int, between: int | None = None, residual: bool = False
    ) -> None:
        super().__init__()
        between = between or width_out
        self.residual = residual
        self.conv1, self.norm1 = (
            Conv2d(width_in, between, 3, padding=1, bias=False),
            nn.GroupNorm(1, between),
        )
        self.conv2, self.norm2 = (
            Conv2d(between, width_out, 3, padding=1, bias=False),
            nn.GroupNorm(1, width_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm2(self.conv2(F.gelu(self.norm1(self.conv1(x)))))
        return F.gelu(x + h) if self.residual else h


class Transformer(nn.Module):
    """A transformer block: self-attention over positions and a feed-forward network (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.qkv, self.out = (
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.norm2, self.linear1, self.linear2 = (
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).view(n, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c))
        x = x + self.linear2(F.gelu(self.linear1(self.norm2(x))))
        return x.transpose(1, 2).reshape(n, c, h, w)


class Stage(nn.Module):
    """Two pairs of convolutions, the addition of the embedding, and a transformer block."""

    def __init__(self, width_in: int, width_out: int, between: int, config: MaxPoolConfig) -> None:
        super().__init__()
        self.first = TwoConvs(width_in, width_in, residual=True)
        self.second = TwoConvs(width_in, width_out, between)
        self.emb = nn.Linear(config.embedding_channels, width_out)
        self.attention = Transformer(width_out, config.heads)

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        return self.attention(self.second(self.first(x)) + self.emb(F.silu(emb))[:, :, None, None])


class MaxPoolUNet(nn.Module):
    """`unet(x, t, label)` maps (N, in, H, W) to (N, out, H, W), with H and W multiples of `config.reduction`.

    The class index `config.classes` means unconditional.
    """

    def __init__(self, config: MaxPoolConfig) -> None:
        super().__init__()
        self.config, widths = config, config.widths
        self.label = nn.Embedding(config.classes, config.embedding_channels) if config.classes else None
        self.conv_in = TwoConvs(config.in_channels, widths[0])
        self.down = nn.ModuleList(Stage(width, out, out, config) for width, out in zip(widths, widths[1:]))
        into = (widths[-1], *config.middle)
        self.middle = nn.ModuleList(TwoConvs(width, out) for width, out in zip(into, into[1:]))
        self.up, width = nn.ModuleList(), config.middle[-1]
        for skip, out in zip(reversed(widths[:-1]), config.up_widths):
            self.up.append(Stage(width + skip, out, (width + skip) // 2, config))
            width = out
        self.conv_out = Conv2d(width, config.out_channels, 1)

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None = None, text: None = None
    ) -> torch.Tensor:
        _check_input(self.config, x, label, multiple=True)
        # a power and not exp, as in the original: at t near 1000 the last bit of a frequency changes the
        # angle by 1e-4
        width = self.config.embedding_channels
        angles = t.float()[:, None] * (1 / 10_000 ** (torch.arange(0, width, 2, device=t.device) / width))
        emb = torch.cat([angles.sin(), angles.cos()], dim=1)
        if label is not None:
            assert self.label is not None and self.config.classes is not None  # `_check_input`
            known = self.label(label.clamp(max=self.config.classes - 1))
            emb = emb + torch.where((label == self.config.classes)[:, None], torch.zeros_like(known), known)
        emb, h, skips = emb.to(x.dtype), self.conv_in(x), []
        for stage in self.down:
            skips.append(h)
            h = stage(F.max_pool2d(h, 2), emb)
        for convs in self.middle:
            h = convs(h)
        for stage in self.up:
            h = F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=True)
            h = stage(torch.cat([skips.pop(), h], dim=1), emb)
        return self.conv_out(h)


class FrozenBatchNorm(nn.Module):
    """Batch norm after training: its mean and variance are weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.running_mean, self.running_var = (
            nn.Parameter(torch.zeros(width)),
            nn.Parameter(torch.ones(width)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=False)


class TwoBatchConvs(nn.Module):
    """Convolution, batch norm and GELU, twice. A residual one divides the sum of both halves by 1.414."""

    def __init__(self, width_in: int, width_out: int, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.conv1, self.norm1 = Conv2d(width_in, width_out, 3, padding=1), FrozenBatchNorm(width_out)
        self.conv2, self.norm2 = Conv2d(width_out, width_out, 3, padding=1), FrozenBatchNorm(width_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = F.gelu(self.norm1(self.conv1(x)))
        second = F.gelu(self.norm2(self.conv2(first)))
        if not self.residual:
            return second
        return ((x if x.shape == second.shape else first) + second) / 1.414


class VectorUNet(nn.Module):
    """`unet(x, t, label)` for x (N, C, 4 pool, 4 pool).

    The class index `config.classes` means unconditional.
    """

    def __init__(self, config: VectorConfig) -> None:
        super().__init__()
        self.config, width = config, config.channels
        self.conv_in = TwoBatchConvs(config.in_channels, width, residual=True)
        self.down = nn.ModuleList([TwoBatchConvs(width, width), TwoBatchConvs(width, 2 * width)])
        self.time = nn.ModuleList(_embedding(1, out, nn.GELU) for out in (2 * width, width))
        self.label = nn.ModuleList(_embedding(config.classes, out, nn.GELU) for out in (2 * width, width))
        self.widen = nn.ConvTranspose2d(2 * width, 2 * width, config.pool, stride=config.pool)
        self.norm = nn.GroupNorm(8, 2 * width)
        self.up: ModuleList[ModuleList[nn.Module]] = ModuleList(
            ModuleList(
                [
                    nn.ConvTranspose2d(2 * into, width, 2, stride=2),
                    TwoBatchConvs(width, width),
                    TwoBatchConvs(width, width),
                ]
            )
            for into in (2 * width, width)
        )
        self.conv_last, self.norm_out = Conv2d(2 * width, width, 3, padding=1), nn.GroupNorm(8, width)
        self.conv_out = Conv2d(width, config.out_channels, 3, padding=1)

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None = None, text: None = None
    ) -> torch.Tensor:
        _check_input(self.config, x, label)
        assert label is not None  # this network always has classes, and `_check_input` asks for one
        t = (t.float() / self.config.timesteps)[:, None].to(x.dtype)
        # as in training, a class is -1 at its index, and the unconditional class is all zeros
        known = -F.one_hot(label, self.config.classes + 1)[:, :-1].to(x.dtype)
        first = h = self.conv_in(x)
        skips = []
        for convs in self.down:
            h = F.max_pool2d(convs(h), 2)
            skips.append(h)
        h = F.gelu(F.avg_pool2d(h, self.config.pool))
        h = F.relu(self.norm(self.widen(h)))
        for label_mlp, time_mlp, (doubled, one, other) in zip(self.label, self.time, self.up):
            h = torch.addcmul(time_mlp(t)[:, :, None, None], label_mlp(known)[:, :, None, None], h)
            h = other(one(doubled(torch.cat([h, skips.pop()], dim=1))))
        h = F.relu(self.norm_out(self.conv_last(torch.cat([h, first], dim=1))))
        return self.conv_out(h)


class NormedConvs(nn.Module):
    """An optional norm over the whole map, then convolution and SiLU, twice."""

    def __init__(self, width_in: int, width_out: int, side: int | None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm([width_in, side, side]) if side else nn.Identity()
        self.conv1, self.conv2 = (
            Conv2d(width_in, width_out, 3, padding=1),
            Conv2d(width_out, width_out, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self.conv2(F.silu(self.conv1(self.norm(x)))))


class LayerNormUNet(nn.Module):
    """`unet(x, t)` for x (N, C, size, size). Fractional times interpolate between rows of the time table."""

    def __init__(self, config: LayerNormConfig) -> None:
        super().__init__()
        self.config, w, side = config, config.channels, config.size
        self.waves = nn.Parameter(torch.randn(config.timesteps, config.time_channels))
        self.time = nn.ModuleList()
        self.levels: ModuleList[ModuleList[NormedConvs]] = ModuleList()
        quarter = side // 4
        for at, widths in (
            (side, (config.in_channels, w, w, w)),
            (side // 2, (w, 2 * w, 2 * w, 2 * w)),
            (quarter, (2 * w, 4 * w, 4 * w, 4 * w)),
            ((quarter - 1) // 2, (4 * w, 2 * w, 2 * w, 4 * w)),
            (quarter, (8 * w, 4 * w, 2 * w, 2 * w)),
            (side // 2, (4 * w, 2 * w, w, w)),
            (side, (2 * w, w, w, w)),
        ):
            last = len(self.levels) == 6
            self.time.append(_embedding(config.time_channels, widths[0], nn.SiLU))
            self.levels.append(
                ModuleList(
                    NormedConvs(a, b, None if last and k == 2 else at)
                    for k, (a, b) in enumerate(zip(widths, widths[1:]))
                )
            )
        self.down = nn.ModuleList(
            [
                Conv2d(w, w, 4, stride=2, padding=1),
                Conv2d(2 * w, 2 * w, 4, stride=2, padding=1),
                nn.Sequential(
                    Conv2d(4 * w, 4 * w, 2), nn.SiLU(), Conv2d(4 * w, 4 * w, 4, stride=2, padding=1)
                ),
            ]
        )
        self.up = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(4 * w, 4 * w, 4, stride=2, padding=1),
                    nn.SiLU(),
                    nn.ConvTranspose2d(4 * w, 4 * w, 2),
                ),
                nn.ConvTranspose2d(2 * w, 2 * w, 4, stride=2, padding=1),
                nn.ConvTranspose2d(w, w, 4, stride=2, padding=1),
            ]
        )
        self.conv_out = Conv2d(w, config.out_channels, 3, padding=1)

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, label: None = None, text: None = None
    ) -> torch.Tensor:
        _check_input(self.config, x, label)
        t = t.float().clamp(0, self.config.timesteps - 1)
        low = t.long()
        high = (low + 1).clamp(max=self.config.timesteps - 1)
        waves = torch.lerp(self.waves[low].float(), self.waves[high].float(), (t - low)[:, None]).to(x.dtype)

        def level(k: int, h: torch.Tensor) -> torch.Tensor:
            h = h + self.time[k](waves)[:, :, None, None]
            for convs in self.levels[k]:
                h = convs(h)
            return h

        h, skips = x, []
        for k, halve in enumerate(self.down):
            h = level(k, h)
            skips.append(h)
            h = halve(h)
        h = level(3, h)
        for k, double in enumerate(self.up, 4):
            h = level(k, torch.cat([skips.pop(), double(h)], dim=1))
        return self.conv_out(h)


def _embedding(width: int, out: int, activation: type[nn.Module]) -> nn.Sequential:
    """Two linear layers with an activation between them."""
    return nn.Sequential(nn.Linear(width, out), activation(), nn.Linear(out, out))


def _check_input(
    config: NetworkConfig, x: torch.Tensor, label: torch.Tensor | None, multiple: bool = False
) -> None:
    """Raise `OptionError` unless x and the label fit the network. `multiple` allows multiples of its size."""
    fits = [side % config.reduction == 0 if multiple else side == config.reduction for side in x.shape[2:]]
    if x.shape[1] != config.in_channels or not all(fits):
        raise OptionError(
            "pictures",
            f"This U-Net takes (N, {config.in_channels}, H, W) with H and W "
            f"{'multiples of' if multiple else 'of'} {config.reduction}, got {tuple(x.shape)}.",
        )
    if (label is None) != (config.classes is None):
        raise OptionError(
            "label", "This U-Net " + ("needs" if label is None else "takes no") + " class label."
        )
