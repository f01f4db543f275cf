"""Configurations of small U-Nets of well-known tutorials, which `UNetConfig` cannot express.

This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import options
from ..diffusion.schedule import NoiseLevel
from ..errors import OptionError
from ..options import option
from .base import NetworkConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MaxPoolConfig(NetworkConfig):
    """dome272's U-Net: max pooling, bilinear upsampling, and a transformer block after each change of size.

    `widths` are the channels on the down path, `middle` those of the middle convolutions, and `up_widths`
    those on the up path. Time and class are added after each change of size.
    """

    in_channels: int = option(3, "Channels of x.", low=1, high=64)
    out_channels: int = option(3, "Channels of the output.", low=1, high=128)
    widths: tuple[int, ...] = (64, 128, 256, 256)
    middle: tuple[int, ...] = (512, 512, 256)
    up_widths: tuple[int, ...] = (128, 64, 64)
    heads: int = option(4, "Heads of each attention.", low=1, high=256)
    embedding_channels: int = option(256, "Width of the embedding of time and class.", low=2, high=16384)
    classes: int | None = option(None, "Number of classes.", low=1, high=1_000_000)
    null_class: bool = option(
        False, "Whether a further class, the last, means unconditional: nothing is added to the time."
    )

    def __post_init__(self) -> None:
        options.check(self, "network")
        for name, low, high in (("widths", 2, 10), ("middle", 1, 16), ("up_widths", 1, 9)):
            value = getattr(self, name)
            if (
                not isinstance(value, tuple)
                or not low <= len(value) <= high
                or not all(type(one) is int and 1 <= one <= 65536 for one in value)
            ):
                raise OptionError(
                    f"network.{name}",
                    f"must be a list of {low} to {high} numbers of channels, got {value!r:.200}.",
                )
        if len(self.up_widths) != len(self.widths) - 1:
            raise OptionError(
                "network.up_widths",
                f"must be a list of {len(self.widths) - 1} numbers, one fewer than widths; got "
                f"{len(self.up_widths)}.",
            )
        if wrong := [one for one in (*self.widths[1:], *self.up_widths) if one % self.heads]:
            raise OptionError("network.heads", f"{wrong[0]} channels do not divide into {self.heads} heads.")
        if self.embedding_channels % 2:
            raise OptionError("network.embedding_channels", f"must be even, got {self.embedding_channels}.")
        if self.null_class and self.classes is None:
            raise OptionError("network.null_class", "null_class needs classes.")

    @property
    def self_attention(self) -> bool:
        return True

    @property
    def middle_blocks(self) -> tuple[str, ...]:
        into = (self.widths[-1], *self.middle)
        return tuple(f"middle.{k}" for k, (one, out) in enumerate(zip(into, into[1:])) if one == out)

    @property
    def reduction(self) -> int:
        """Height and width of pictures must be multiples of this."""
        return 2 ** (len(self.widths) - 1)


@dataclass(frozen=True)
class VectorConfig(NetworkConfig):
    """TeaPearce's U-Net for MNIST: down to one vector and up again, scaled by class and shifted by time.

    It was trained on pictures in [0, 1]; `network_input` converts x at the same signal-to-noise ratio. The
    unconditional class is a vector of zeros.
    """

    in_channels: int = option(1, "Channels of x.", low=1, high=64)
    out_channels: int = option(1, "Channels of the output.", low=1, high=128)
    channels: int = option(128, "Base width (n_feat).", low=8, high=4096)
    pool: int = option(
        7,
        "Height and width of the coarsest map, which is averaged: a quarter of the picture's.",
        low=1,
        high=1024,
    )
    classes: int = option(10, "Number of classes.", low=1, high=1_000_000)
    null_class: bool = option(True, "Whether a further class, the last, means unconditional.")
    timesteps: int = option(400, "The label at time 1.", low=1, high=100_000)
    unit_range: bool = option(True, "Whether the network's pictures lie in [0, 1] instead of [-1, 1].")

    def __post_init__(self) -> None:
        options.check(self, "network")
        if self.channels % 8:
            raise OptionError("network.channels", f"must be a multiple of 8, got {self.channels}.")

    @property
    def reduction(self) -> int:
        return 4 * self.pool

    def check_size(self, size: int) -> None:
        if size != 4 * self.pool:
            raise OptionError(
                "size",
                f"This network takes only pictures of {4 * self.pool}x{4 * self.pool}; these are {size} "
                "wide.",
            )

    def network_input(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """x for pictures y' in [0, 1], with the same signal-to-noise ratio.

        For y = 2 y' - 1, alpha y + sigma eps = (2 alpha) y' + sigma eps - alpha. Adding alpha gives a state
        of y', which is then scaled so that its coefficients satisfy alpha^2 + sigma^2 = 1.
        """
        return (x + level.alpha) * (1 + 3 * level.alpha**2) ** -0.5 if self.unit_range else x


@dataclass(frozen=True)
class LayerNormConfig(NetworkConfig):
    """BrianPulfer's U-Net for MNIST: layer norms over whole maps, which fix the size of pictures.

    The time embedding is added before each level.
    """

    in_channels: int = option(1, "Channels of x.", low=1, high=64)
    out_channels: int = option(1, "Channels of the output.", low=1, high=128)
    channels: int = option(10, "Base width; coarser levels are two and four times as wide.", low=1, high=4096)
    size: int = option(28, "Height and width of the pictures: four times an odd number.", low=12, high=4096)
    timesteps: int = option(1000, "Rows of the table of times.", low=1, high=100_000)
    time_channels: int = option(100, "Columns of the table of times.", low=1, high=16384)

    def __post_init__(self) -> None:
        options.check(self, "network")
        if self.size % 8 != 4:
            raise OptionError("network.size", f"must be four times an odd number, got {self.size}.")

    @property
    def middle_blocks(self) -> tuple[str, ...]:
        return ("levels.3.1",)

    @property
    def reduction(self) -> int:
        return self.size

    def check_size(self, size: int) -> None:
        if size != self.size:
            raise OptionError(
                "size",
                f"This network takes only pictures of {self.size}x{self.size}; these are {size} wide.",
            )
