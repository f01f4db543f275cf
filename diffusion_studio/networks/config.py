"""The configuration of the U-Net, which determines its shapes and arithmetic. It does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import options
from ..errors import OptionError
from ..options import option
from .base import NetworkConfig
from .tokens import TextConfig

MAX_LEVELS = 10
MAX_MULTIPLIER = 64


@dataclass(frozen=True)
class UNetConfig(NetworkConfig):
    """The U-Net of DDPM (2020), Improved DDPM and ADM (2021), and of programs derived from them.

    DDPM has conditioning "add", resample "conv", one head, and attention at 16x16. ADM has conditioning
    "scale_shift" (adaptive group norm), resample "residual" (BigGAN), 64 channels per head, and attention at
    32x32, 16x16 and 8x8. Level i has 1 / (patch * 2**i) of the picture's size and `channels * multipliers[i]`
    channels. `up_attention_levels` are the levels with attention on the up path if they differ from
    `attention_levels`, those on the down path. Raises `OptionError` for fields that do not fit each other.
    """

    in_channels: int = option(3, "Channels of x.", low=1, high=64)
    out_channels: int = option(
        3, "Channels of the output; twice those of x where the variance is learned.", low=1, high=128
    )
    channels: int = option(64, "Base width: channels of a level whose multiplier is 1.", low=8, high=2048)
    multipliers: tuple[float, ...] = (1, 2, 2)
    blocks: int = option(
        2, "Residual blocks per level on the way down; one more on the way up.", low=1, high=16
    )
    attention_levels: tuple[int, ...] = ()
    heads: int = option(1, "Attention heads, unless head_channels is given.", low=1, high=256)
    head_channels: int | None = option(
        None, "Channels of each attention head; overrides heads.", low=1, high=2048
    )
    conditioning: str = option(
        "scale_shift",
        "How time and class enter a block: added to its features, or as scale "
        "and shift of its second norm (adaptive group norm).",
        choices=("add", "scale_shift"),
    )
    resample: str = option(
        "conv",
        "Between levels: a strided convolution, a residual block (BigGAN), or averaging and "
        "doubling without weights.",
        choices=("conv", "residual", "plain"),
    )
    downsample_padding: str = option(
        "both",
        "Padding of the strided convolution: on both sides, or only at the end (as TensorFlow's SAME does).",
        choices=("both", "end"),
    )
    patch: int = option(
        1,
        "Side of the square patches of pixels that become one position with more channels; the output is "
        "unfolded again (pixel unshuffle and shuffle).",
        low=1,
        high=16,
    )
    dropout: float = option(0.0, "Dropout inside the residual blocks, in training.", low=0.0, high=0.99)
    norm_groups: int = option(
        32,
        "Largest number of groups of a group norm; fewer if they do not divide the channels.",
        low=1,
        high=256,
    )
    norm_eps: float = option(1e-5, "Added to the variance in group norm.", low=1e-12, high=0.1)
    time_order: str = option(
        "cos_sin", "Order of the halves of the sinusoidal embedding.", choices=("cos_sin", "sin_cos")
    )
    time_shift: int = option(
        0, "Subtracted from half the embedding's width, over which the frequencies fall.", low=0, high=1
    )
    classes: int | None = option(None, "Number of classes.", low=1, high=1_000_000)
    null_class: bool = option(False, "Whether a further class, the last, means unconditional.")
    text: TextConfig | None = None
    # Variants in published checkpoints of other programs. The defaults are the networks of the papers.
    class_embedding: str = option(
        "table",
        "How a class is embedded: table is a row of a table, sinusoidal embeds its number like a time, "
        "early adds a row to the sinusoidal embedding of time before its layers, and channels appends a row "
        "to x as constant channels.",
        choices=("table", "sinusoidal", "early", "channels"),
    )
    class_channels: int | None = option(
        None, "Number of channels of a class if class_embedding is channels.", low=1, high=4096
    )
    up_attention_levels: tuple[int, ...] | None = None
    middle: str = option(
        "attention",
        "Blocks in the middle: residual, attention, residual; or two residual blocks; or none.",
        choices=("attention", "residual", "none"),
    )
    middle_groups: int | None = option(
        None,
        "Groups of the norm of the middle attention: by default as elsewhere; 0 is no norm.",
        low=0,
        high=256,
    )
    middle_scale: float = option(1.0, "Divisor of the output of each middle block.", low=1e-3, high=1e3)
    embedding_channels: int | None = option(
        None, "Width of the embedding of time and class; by default 4 * channels.", low=1, high=16384
    )
    time_scale: float = option(
        1.0,
        "Factor of t before it is embedded: 1000 / T maps any T to the usual range.",
        low=1e-6,
        high=1e6,
    )
    center_input: bool = option(False, "Whether x is first mapped from [0, 1] to [-1, 1], as 2 x - 1.")
    unit_input: bool = option(False, "Whether x is first mapped from [-1, 1] to [0, 1], as (x + 1) / 2.")
    # Score-based models DDPM++ and NCSN++ (Song et al. 2021), in the variants of their authors, EDM and
    # diffusers.
    stem_channels: int | None = option(
        None, "Channels after the first convolution; by default those of level 0.", low=1, high=16384
    )
    norm_least: int = option(1, "Smallest number of channels in a group of a group norm.", low=1, high=256)
    resample_filter: str = option(
        "box",
        "How residual blocks change size: by averaging and repeating, or by the filter (1, 3, 3, 1).",
        choices=("box", "fir"),
    )
    resample_skip: bool = option(
        False, "Whether residual blocks that change size have a 1x1 convolution on their skip."
    )
    skip_scale: float = option(
        1.0,
        "Factor of the sums of residual blocks and attention, except in the middle.",
        low=1e-3,
        high=1e3,
    )
    up_attention: str = option(
        "each",
        "Attention on the up path: after each block of its level, or after the last one.",
        choices=("each", "last"),
    )
    input_path: str = option(
        "none", "How the noisy picture enters at each level.", choices=("none", "skip", "residual")
    )
    output_path: str = option(
        "none", "Whether each level of the up path adds to the output.", choices=("none", "skip")
    )
    time_embedding: str = option(
        "sinusoidal",
        "Frequencies of the time embedding: falling ones, or random ones that are stored with the weights.",
        choices=("sinusoidal", "fourier"),
    )
    time_channels: int | None = option(
        None, "Number of sines and cosines of t; by default as many as channels.", low=2, high=16384
    )
    time_log: bool = option(False, "Whether the logarithm of t is embedded, after time_scale.")

    def __post_init__(self) -> None:
        options.check(self, "network")
        for name, allowed, most in (
            ("multipliers", (int, float), MAX_LEVELS),
            ("attention_levels", (int,), MAX_LEVELS),
            ("up_attention_levels", (int,), MAX_LEVELS),
        ):
            value = getattr(self, name)
            if value is None and name == "up_attention_levels":
                continue
            if (
                not isinstance(value, tuple)
                or len(value) > most
                or not all(type(v) in allowed for v in value)
            ):
                raise OptionError(
                    f"network.{name}", f"must be a list of at most {most} numbers, got {value!r}."
                )
        self._check_levels()
        self._check_conditioning()

    def _check_levels(self) -> None:
        """Check that multipliers and attention levels fit the number of levels, and channels are whole."""
        if not self.multipliers or not all(0 < m <= MAX_MULTIPLIER for m in self.multipliers):
            raise OptionError(
                "network.multipliers",
                f"must be one or more numbers above 0 and up to {MAX_MULTIPLIER}, got {self.multipliers!r}.",
            )
        for name, levels in (
            ("attention_levels", self.attention_levels),
            ("up_attention_levels", self.attention_going_up),
        ):
            if not all(0 <= level < len(self.multipliers) for level in levels):
                raise OptionError(
                    f"network.{name}",
                    f"must lie in 0..{len(self.multipliers) - 1}, one level per multiplier; got {levels!r}.",
                )
        for level, (width, exact) in enumerate(zip(self.widths, self._exact_widths)):
            # 96 * (128 / 96) may differ from 128 by a rounding error
            if width < 1 or abs(exact - width) >= 1e-9 * exact:
                raise OptionError(
                    "network.multipliers",
                    f"Level {level} has {exact:g} channels; channels * multipliers must be whole.",
                )
            in_middle = level == len(self.widths) - 1 and self.middle == "attention"
            if level in self.attention_levels or level in self.attention_going_up or in_middle:
                self.heads_for(width)

    def _check_conditioning(self) -> None:
        """Check that the fields for time, class, text and picture paths fit each other."""
        if self.time_embedding == "fourier" and self.waves % 2:
            raise OptionError(
                "network.time_channels",
                f"must be even for Fourier features, which are pairs of sine and cosine; got {self.waves}.",
            )
        if self.patch > 1 and (self.input_path != "none" or self.output_path != "none"):
            raise OptionError(
                "network.patch",
                "A patch above 1 cannot be combined with input_path or output_path; patch is "
                f"{self.patch}, input_path {self.input_path!r}, output_path {self.output_path!r}.",
            )
        if (self.class_channels is not None) != (
            self.class_embedding == "channels" and self.classes is not None
        ):
            raise OptionError(
                "network.class_channels",
                "class_channels must be given if there are classes and class_embedding is 'channels', and "
                "only then.",
            )
        if self.null_class and self.classes is None:
            raise OptionError("network.null_class", "null_class needs classes.")
        if self.text is not None and not isinstance(self.text, TextConfig):
            raise OptionError("network.text", f"must be a TextConfig or None, got {self.text!r}.")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(round(width) for width in self._exact_widths)

    @property
    def _exact_widths(self) -> list[float]:
        return [self.channels * m for m in self.multipliers]

    @property
    def attention_going_up(self) -> tuple[int, ...]:
        """The levels with attention on the up path."""
        return self.attention_levels if self.up_attention_levels is None else self.up_attention_levels

    @property
    def self_attention(self) -> bool:
        return bool(self.attention_levels or self.attention_going_up) or self.middle == "attention"

    @property
    def middle_blocks(self) -> tuple[str, ...]:
        return {"attention": ("middle.0", "middle.1", "middle.2"), "residual": ("middle.0", "middle.1")}.get(
            self.middle, ()
        )

    @property
    def stem(self) -> int:
        """Channels after the first convolution."""
        return self.stem_channels or self.widths[0]

    @property
    def waves(self) -> int:
        """The width of the sinusoidal or Fourier features of t, before the layers of the embedding."""
        return self.time_channels or self.channels

    @property
    def embedding_width(self) -> int:
        """The width of the embedding of time and class."""
        return self.embedding_channels or 4 * self.channels

    @property
    def reduction(self) -> int:
        """Height and width of pictures must be multiples of this."""
        return self.patch * 2 ** (len(self.multipliers) - 1)

    def heads_for(self, width: int) -> int:
        """The number of attention heads for `width` channels. Raises `OptionError` if they do not divide."""
        if self.head_channels is not None:
            if width % self.head_channels:
                raise OptionError(
                    "network.head_channels",
                    f"{width} channels do not divide into heads of {self.head_channels}.",
                )
            return width // self.head_channels
        if width % self.heads:
            raise OptionError("network.heads", f"{width} channels do not divide into {self.heads} heads.")
        return self.heads

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> UNetConfig:
        """The inverse of `to_json`. An unknown field is an `OptionError`; a missing one has its default."""
        if isinstance(text := given.get("text"), Mapping):
            given = {
                **given,
                "text": options.build(TextConfig, text, "field of the text encoder's configuration"),
            }
        return options.build(cls, given, "field of the network's configuration")
