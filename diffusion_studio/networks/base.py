"""The base class of network configurations. This module does not import torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .. import options
from ..diffusion.schedule import NoiseLevel
from ..errors import OptionError

if TYPE_CHECKING:
    import torch


class NetworkConfig:
    """Base class of the frozen dataclasses in `kinds.CONFIGS`.

    Each has `in_channels`, `out_channels` and `reduction`, of which height and width must be multiples.
    Features that only some networks have are None or False here.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]  # subclasses are dataclasses

    in_channels: int
    out_channels: int
    reduction: int
    classes: int | None = None
    null_class: bool = False
    text: Any = None
    self_condition: bool = False

    @property
    def self_attention(self) -> bool:
        """Whether the network has spatial self-attention with a weight map, which guidance can disturb."""
        return False

    @property
    def middle_blocks(self) -> tuple[str, ...]:
        """Names of middle blocks that keep the shape of their input, so that guidance can skip them."""
        return ()

    def time_label(self, level: NoiseLevel) -> float:
        """The network's time input at a level."""
        return level.t

    def network_input(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """The network's picture input for x at a level, before the scale of the parametrization."""
        return x

    def check_size(self, size: int) -> None:
        """Raise `OptionError` for pictures of a height and width that the network cannot take."""
        if size % self.reduction:
            raise OptionError(
                "size",
                f"This network takes sizes that are multiples of {self.reduction}; the pictures are "
                f"{size} wide.",
            )

    def to_json(self) -> dict[str, Any]:
        """All fields as a dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> NetworkConfig:
        """The inverse of `to_json`. An unknown field is an `OptionError`; a missing one has its default."""
        return options.build(cls, given, "field of the network's configuration")
