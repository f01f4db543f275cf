"""The configuration of the noisy classifier. This module does not import torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import options
from ..errors import OptionError
from ..options import option
from .config import UNetConfig


@dataclass(frozen=True)
class ClassifierConfig:
    """The down path and middle of a U-Net, then attention pooling (Dhariwal & Nichol 2021, section 4.1).

    The fields have the meaning that they have in `UNetConfig`. `size` is fixed, because attention pooling has
    weights for each position.
    """

    in_channels: int = option(3, "Channels of x.", low=1, high=64)
    classes: int = option(10, "Number of classes.", low=2, high=1_000_000)
    size: int = option(32, "Height and width of pictures.", low=1, high=4096)
    channels: int = option(64, "Base width.", low=8, high=2048)
    multipliers: tuple[float, ...] = (1, 2, 2)
    blocks: int = option(2, "Residual blocks per level.", low=1, high=16)
    attention_levels: tuple[int, ...] = ()
    heads: int = option(1, "Attention heads, unless head_channels is given.", low=1, high=256)
    head_channels: int | None = option(
        None, "Channels of each attention head; overrides heads.", low=1, high=2048
    )
    conditioning: str = option("scale_shift", "How time reaches a block.", choices=("add", "scale_shift"))
    resample: str = option(
        "residual",
        "Between levels: a strided convolution, or a residual block (BigGAN).",
        choices=("conv", "residual"),
    )
    dropout: float = option(0.0, "Dropout inside the residual blocks, in training.", low=0.0, high=0.99)
    norm_groups: int = option(32, "Largest number of groups of a group norm.", low=1, high=256)

    def __post_init__(self) -> None:
        options.check(self, "network")
        if self.size % self.body.reduction:
            raise OptionError(
                "network.size",
                f"This classifier takes sizes that are multiples of {self.body.reduction}; the pictures are "
                f"{self.size} wide.",
            )

    @property
    def body(self) -> UNetConfig:
        """The configuration of the U-Net whose blocks the classifier uses."""
        return UNetConfig(
            in_channels=self.in_channels,
            out_channels=self.in_channels,
            channels=self.channels,
            multipliers=self.multipliers,
            blocks=self.blocks,
            attention_levels=self.attention_levels,
            heads=self.heads,
            head_channels=self.head_channels,
            conditioning=self.conditioning,
            resample=self.resample,
            dropout=self.dropout,
            norm_groups=self.norm_groups,
        )

    def to_json(self) -> dict[str, Any]:
        """All fields as a dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> ClassifierConfig:
        """The inverse of `to_json`. An unknown field is an `OptionError`; a missing one has its default."""
        return options.build(cls, given, "field of the classifier's configuration")
