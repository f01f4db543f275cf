"""What every network's configuration offers to those who describe, build and run it. No torch."""

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
    """Base of the frozen dataclasses in `kinds.CONFIGS`.

    Each has `in_channels` and `out_channels`, `reduction` (height and width must be multiples of it). What
    only some networks have is None or False here.
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
        """Whether it has self-attention over places that guidance can disturb: with a map of weights."""
        return False

    @property
    def middle_blocks(self) -> tuple[str, ...]:
        """Blocks in its middle that keep their shape, so that guidance can leave them out, by name."""
        return ()

    def time_label(self, level: NoiseLevel) -> float:
        """What the network is given for the level's time."""
        return level.t

    def given(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """What the network is given for x at that level."""
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
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> NetworkConfig:
        """Strict: an unknown field is an `OptionError`, a missing one takes its default."""
        return options.build(cls, given, "field of the network's configuration")
