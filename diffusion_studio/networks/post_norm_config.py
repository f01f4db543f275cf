"""The configuration of lucidrains' U-Net, which normalises after its convolutions.

This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import options
from ..diffusion.schedule import NoiseLevel
from ..errors import OptionError
from ..options import option
from .base import NetworkConfig

MAX_LEVELS = 10


@dataclass(frozen=True)
class PostNormConfig(NetworkConfig):
    """The U-Net of lucidrains' denoising-diffusion-pytorch.

    Each level has two blocks and an attention; both blocks have a skip connection to the up path. Level i has
    1 / 2**i of the picture's size and `widths[i]` channels, and passes on `widths[i + 1]`. Attention is
    linear in the number of positions (Katharopoulos et al. 2020; Shen et al. 2021), except on the levels
    `full_attention` and in the middle. Raises `OptionError` for fields that do not fit each other.
    """

    in_channels: int = option(3, "Channels of x.", low=1, high=64)
    out_channels: int = option(
        3, "Channels of the output; twice those of x where the variance is learned.", low=1, high=128
    )
    channels: int = option(64, "Base width; the time embedding is four times as wide.", low=2, high=2048)
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    full_attention: tuple[int, ...] = (3,)
    heads: tuple[int, ...] = (4, 4, 4, 4)
    head_channels: tuple[int, ...] = (32, 32, 32, 32)
    memory: int = option(4, "Number of learned keys and values in each attention.", low=0, high=4096)
    norm: str = option(
        "rms",
        "Norm after a convolution: RMS norm of each position over its channels, or group norm.",
        choices=("rms", "group"),
    )
    norm_groups: int = option(8, "Groups of a group norm.", low=1, high=256)
    standardized: bool = option(False, "Whether a block's convolutions are standardised (Qiao et al. 2019).")
    attention_norm: str = option("rms", "Norm before an attention.", choices=("rms", "layer", "layer_bias"))
    divided: bool = option(False, "Whether linear attention divides its values by the number of positions.")
    cosine_scale: float | None = option(
        None,
        "Scale of cosine attention: each channel of queries and keys is normalised over the positions.",
        low=1e-3,
        high=1e3,
    )
    down: str = option(
        "unshuffle",
        "Downsampling: 2x2 positions become channels, or a strided 4x4 convolution.",
        choices=("unshuffle", "strided"),
    )
    learned_waves: int | None = option(
        None,
        "Number of learned frequencies of the time embedding; by default they fall and are fixed.",
        low=1,
        high=4096,
    )
    wave_period: float = option(
        10_000.0, "Longest period of the fixed frequencies, divided by 2 pi.", low=1.0, high=1e9
    )
    time: str = option(
        "t",
        "The network's time input: the label t, or the log-SNR of the level.",
        choices=("t", "log_snr"),
    )
    self_condition: bool = option(
        False, "Whether the network also takes its last x0 (Chen et al. 2022, Analog Bits)."
    )
    classes: int | None = option(None, "Number of classes.", low=1, high=1_000_000)
    null_class: bool = option(False, "Whether a further class, the last, means unconditional.")

    def __post_init__(self) -> None:
        options.check(self, "network")
        levels = len(self.widths) - 1 if isinstance(self.widths, tuple) else 0
        for name, low, high in (("widths", 1, 65536), ("heads", 1, 256), ("head_channels", 1, 2048)):
            value, wanted = getattr(self, name), levels + (name == "widths")
            if (
                not isinstance(value, tuple)
                or len(value) != wanted
                or not 1 <= levels <= MAX_LEVELS
                or not all(type(one) is int and low <= one <= high for one in value)
            ):
                raise OptionError(
                    f"network.{name}",
                    f"must be a list of numbers from {low} to {high}, "
                    f"{'one more than levels (at most 10)' if name == 'widths' else 'one a level'}, got "
                    f"{value!r:.200}.",
                )
        if not isinstance(self.full_attention, tuple) or not all(
            type(one) is int and 0 <= one < levels for one in self.full_attention
        ):
            raise OptionError(
                "network.full_attention",
                f"must list levels from 0 to {levels - 1}, got {self.full_attention!r:.200}.",
            )
        if self.norm == "group" and (wrong := [w for w in self.widths if w % self.norm_groups]):
            raise OptionError(
                "network.norm_groups", f"{wrong[0]} channels do not divide into {self.norm_groups} groups."
            )
        if self.classes is None and self.null_class:
            raise OptionError("network.null_class", "null_class needs classes.")

    @property
    def self_attention(self) -> bool:
        return True  # the attention in the middle is full

    @property
    def middle_blocks(self) -> tuple[str, ...]:
        return "middle.0", "middle.1", "middle.2"

    @property
    def levels(self) -> int:
        return len(self.widths) - 1

    @property
    def reduction(self) -> int:
        """Height and width of pictures must be multiples of this."""
        return 2 ** (self.levels - 1)

    def time_label(self, level: NoiseLevel) -> float:
        return level.log_snr if self.time == "log_snr" else level.t
