"""Small U-Nets of well-known teaching programs, whose arithmetic is no variant of `UNetConfig`'s. No
torch.
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
    """dome272's U-Net: pooling by maxima, bilinear doubling, attention with a feed-forward after each change
    of size.

    `widths` go down, `middle` are the convolutions below, `up_widths` go up; time (and class) are added after
    each change.
    """

    in_channels: int = option(3, "Channels of x.", low=1, high=64)
    out_channels: int = option(3, "Channels of the output.", low=1, high=128)
    widths: tuple[int, ...] = (64, 128, 256, 256)
    middle: tuple[int, ...] = (512, 512, 256)
    up_widths: tuple[int, ...] = (128, 64, 64)
    heads: int = option(4, "Heads of every attention.", low=1, high=256)
    embedding_channels: int = option(256, "Width of the embedding of time and class.", low=2, high=16384)
    classes: int | None = option(
        None, "Number of classes the network can be asked for.", low=1, high=1_000_000
    )
    null_class: bool = option(
        False, "Whether one more class, the last, stands for any: nothing is added to the time."
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
                f"{len(self.widths)} widths go down, so {len(self.widths) - 1} go up; got "
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
        """Pictures' height and width must be multiples of this."""
        return 2 ** (len(self.widths) - 1)


@dataclass(frozen=True)
class VectorConfig(NetworkConfig):
    """TeaPearce's U-Net for MNIST: down to one vector, and up again, scaled by the class and shifted by the
    time.

    Trained on pictures in [0, 1]: `given` brings x to that, at the same signal-to-noise ratio. The class
    "any" is zeros.
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
    classes: int = option(10, "Number of classes the network can be asked for.", low=1, high=1_000_000)
    null_class: bool = option(True, "Whether one more class, the last, stands for any.")
    timesteps: int = option(400, "The label that is time 1.", low=1, high=100_000)
    unit_range: bool = option(True, "Whether its pictures lie in [0, 1], not in [-1, 1].")

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
                f"This network takes pictures of {4 * self.pool}x{4 * self.pool} alone; these are {size} "
                "wide.",
            )

    def given(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """With y = 2 y' - 1 in [-1, 1]: alpha y + sigma eps = (2 alpha) y' + sigma eps - alpha, scaled to
        unit variance.
        """
        return (x + level.alpha) * (1 + 3 * level.alpha**2) ** -0.5 if self.unit_range else x


@dataclass(frozen=True)
class LayerNormConfig(NetworkConfig):
    """BrianPulfer's U-Net for MNIST: norms over whole pictures, so of one size; the time added before each
    level.
    """

    in_channels: int = option(1, "Channels of x.", low=1, high=64)
    out_channels: int = option(1, "Channels of the output.", low=1, high=128)
    channels: int = option(
        10, "Base width; the coarser levels have two and four times as many.", low=1, high=4096
    )
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
                f"This network takes pictures of {self.size}x{self.size} alone; these are {size} wide.",
            )
