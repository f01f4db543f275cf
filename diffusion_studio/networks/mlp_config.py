"""The configuration of the network for points in the plane. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .. import options
from ..errors import OptionError
from ..options import option
from .base import NetworkConfig

DIMENSIONS = 2


@dataclass(frozen=True)
class MLPConfig(NetworkConfig):
    """A small network for points in the plane.

    Sohl-Dickstein et al. 2015, section 3.1.1, use radial basis functions instead.
    """

    out_channels: int = option(2, "Outputs for each point; 4 if the variance is learned.", low=2, high=4)
    width: int = option(96, "Width of the layers.", low=8, high=1024)
    layers: int = option(4, "Hidden layers.", low=1, high=32)
    time_channels: int = option(64, "Sines and cosines of the time label.", low=2, high=1024)
    frequencies: int = option(
        5,
        "Octaves of sines and cosines of each coordinate, for fine detail.",
        low=0,
        high=12,
    )
    classes: int | None = option(None, "Number of classes.", low=1, high=1_000_000)
    null_class: bool = option(False, "Whether a further class, the last, means unconditional.")
    in_channels: ClassVar[int] = DIMENSIONS
    reduction: ClassVar[int] = 1

    def __post_init__(self) -> None:
        options.check(self, "network")
        if self.out_channels == 3:
            raise OptionError(
                "network.out_channels",
                "must be 2, or 4 for a network that learns the variance; got 3.",
            )
        if self.null_class and self.classes is None:
            raise OptionError("network.null_class", "null_class needs classes.")
