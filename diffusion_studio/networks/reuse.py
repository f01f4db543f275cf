"""Features that one call of a U-Net leaves to later ones. No torch at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass
class DeepFeatures:
    """What a U-Net has computed before its last block: in neighbouring steps of a run it is much the same.

    A call that is given it computes only the first convolution, the last block and the output (DeepCache, Ma
    et al. 2024, with its shallowest branch). Empty, it is filled by the next call.
    """

    h: torch.Tensor | None = None
    picture: torch.Tensor | None = None  # of a network with an output at every size
