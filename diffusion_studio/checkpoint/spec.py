"""The spec of a model, which a checkpoint's header holds.

It does not import torch, to list models quickly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from numbers import Integral
from typing import Any

from .. import options
from ..diffusion.schedule import SCHEDULES, Linear, NoiseSchedule
from ..errors import OptionError
from ..imaging import palettes
from ..imaging.arrays import colour
from ..networks import kinds, tokens
from ..networks.base import NetworkConfig
from ..networks.config import UNetConfig
from ..networks.mlp_config import DIMENSIONS, MLPConfig
from ..networks.tokens import Tokenizer
from ..options import option

PARAMETRIZATION_NAMES = ("eps", "x0", "v", "mean", "edm", "flow", "consistency")
DEFAULT_NAMES = (
    "label",
    "count",
    "steps",
    "sampler",
    "spacing",
    "guidance",
    "clip",
    "stretch",
    "prompt",
    "negative",
    "negative_label",
    "guidance_shape",
    "guidance_rescale",
    "threshold",
    "threshold_most",
    "clip_range",
    "guidance_scales",
    "weaker",
    "interval",
    "projection",
    "classifier",
    "change",
    "palette",
    "cfg_zero",
    "self_guidance",
    "points",
)
# Fields that older headers do not have. They are written only if they are not at their default, so that older
# headers stay equal.
LATER = ("palette", "black_margin", "background")
PICTURES, POINTS = "pictures", "points"  # values of `ModelSpec.makes`


@dataclass(frozen=True)
class ModelSpec:
    """A model: its network, the process that it was trained with, and its conditions.

    A U-Net generates pictures (C, H, W). The network of an `MLPConfig` generates points (2,); `image_size`
    and `channels` have no meaning for it. With `low_res` the network enlarges: it also takes a small picture,
    so its input has twice the channels. `labels` are the names of the classes in order, `words` is the table
    of the text encoder, `prompts` are examples, and `palette` holds the colours (#rrggbb) of its pictures.
    `defaults` are settings of a recipe that suit the model. `provenance` is free text by key: data, licence,
    attribution, command, images_seen, hours, ... Raises `OptionError` for fields that do not fit each other.
    """

    name: str = option("", "The model's name.")
    network: NetworkConfig = field(default_factory=UNetConfig)
    schedule: NoiseSchedule = field(default_factory=Linear)
    parametrization: str = option("eps", "What the network predicts.", choices=PARAMETRIZATION_NAMES)
    sigma_data: float = option(
        0.5,
        "Standard deviation of the data, for the parametrizations edm and consistency.",
        low=1e-4,
        high=1e4,
    )
    image_size: int = option(32, "Height and width of pictures.", low=1, high=4096)
    channels: int = option(3, "1 for grey pictures, 3 for RGB.", low=1, high=3)
    learned_variance: bool = option(False, "Whether half of the output is the variance of ancestral steps.")
    low_res: int | None = option(
        None,
        "Height and width of the pictures that the model enlarges, if it does.",
        low=1,
        high=4096,
    )
    black_margin: float = option(
        0.0, "How far below -1 exactly black pixels were in training.", low=0.0, high=1.0
    )
    background: str = option(
        "black",
        "Background of the training pictures, onto which transparent parts of given pictures are laid: "
        "black, grey, white or #rrggbb.",
    )
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    palette: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options.check(self)
        if not isinstance(self.network, NetworkConfig) or not isinstance(self.schedule, NoiseSchedule):
            raise OptionError("network", "A ModelSpec needs a network's configuration and a NoiseSchedule.")
        for name in ("labels", "words", "prompts", "palette"):
            given = getattr(self, name)
            if not isinstance(given, tuple) or not all(isinstance(one, str) for one in given):
                raise OptionError(name, f"must be a list of texts, got {given!r:.200}.")
        if self.parametrization == "mean" and not self.schedule.discrete:
            raise OptionError(
                "parametrization",
                "The parametrization mean needs a schedule with timesteps, and this one is in continuous "
                "time. Choose a schedule with a table of betas, or another parametrization.",
            )
        if self.channels == 2:
            raise OptionError("channels", "Pictures have 1 or 3 channels, got 2.")
        if not isinstance(self.defaults, Mapping) or not isinstance(self.provenance, Mapping):
            raise OptionError("defaults", "defaults and provenance must be objects of names and values.")
        for name in self.defaults:
            if name not in DEFAULT_NAMES:
                raise options.unknown("recipe default", name, DEFAULT_NAMES)
        self._check_colours()
        self._check_shape()
        self._check_tables()

    def _check_colours(self) -> None:
        """Check that the palette and the background hold valid colours."""
        if len(self.palette) > palettes.MOST:
            raise OptionError(
                "palette",
                f"A model's palette has at most {palettes.MOST} colours, got {len(self.palette):,}.",
            )
        for one in self.palette:
            palettes.read(one)
        colour(self.background)

    def _check_tables(self) -> None:
        """Check the numbers of words and labels against the network's tables."""
        words = self.network.text.words if self.network.text else 0
        if len(self.words) != words:
            raise OptionError(
                "words", f"The network's text encoder has {words} words and the table {len(self.words)}."
            )
        if len(self.labels) != (self.network.classes or 0):
            raise OptionError(
                "labels",
                f"The network has {self.network.classes or 0} classes and {len(self.labels)} label names.",
            )

    def _check_shape(self) -> None:
        """Check the network's channels and the size of pictures."""
        channels = self.shape[0]
        taken, expected = (
            channels * (2 if self.low_res else 1),
            channels * (2 if self.learned_variance else 1),
        )
        if (self.network.in_channels, self.network.out_channels) != (taken, expected):
            given = f", with a {self.low_res}x{self.low_res} picture to enlarge," if self.low_res else ""
            what = "points" if self.makes == POINTS else f"{channels}-channel pictures{given}"
            raise OptionError(
                "network",
                f"A network for {what} takes {taken} and gives {expected} channels; this one takes "
                f"{self.network.in_channels} and gives {self.network.out_channels}.",
            )
        if self.makes == POINTS:
            if (self.image_size, self.channels, self.low_res) != (
                ModelSpec.image_size,
                ModelSpec.channels,
                None,
            ):
                raise OptionError(
                    "image_size", "Points have no image_size, no channels and no low_res. Leave them out."
                )
        else:
            self.network.check_size(self.image_size)

    @property
    def makes(self) -> str:
        """What the model generates: PICTURES or POINTS."""
        return POINTS if isinstance(self.network, MLPConfig) else PICTURES

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of a picture, or (2,) of a point."""
        return (self.channels, self.image_size, self.image_size) if self.makes == PICTURES else (DIMENSIONS,)

    @property
    def form(self) -> str:
        """Size and colours as text: "32x32 grey", "64x64 RGB", "2-D points"."""
        if self.makes == POINTS:
            return f"{DIMENSIONS}-D points"
        return f"{self.image_size}x{self.image_size} {'grey' if self.channels == 1 else 'RGB'}"

    def label_index(self, label: str | int) -> int:
        """The class index of a label, given by its name (see `options.index_of`) or its index.

        Raises `OptionError` for an unknown label, and for a model without labels.
        """
        if not self.labels:
            raise OptionError("label", f"{self.name} takes no label, got {label!r}. Leave the label out.")
        if isinstance(label, str):
            return options.index_of(f"label of {self.name}", label, self.labels)
        if isinstance(label, Integral) and not isinstance(label, bool) and 0 <= int(label) < len(self.labels):
            return int(label)
        raise options.unknown(f"label of {self.name}", label, self.labels)

    @property
    def takes_text(self) -> bool:
        """Whether the model takes prompts."""
        return self.network.text is not None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the network's text encoder. Raises `OptionError` for a model without text."""
        if self.network.text is None:
            raise OptionError("prompt", f"{self.name} takes no text.")
        return Tokenizer(self.words, self.network.text)

    def prompt_text(self, prompt: str | None) -> str | None:
        """The text to encode for a prompt: "" for None, and None for a model without text.

        Raises `OptionError` for a prompt to a model without text, for a missing prompt if the model needs
        one, and for a prompt that is too long.
        """
        if self.network.text is None:
            if prompt is not None:
                raise OptionError(
                    "prompt",
                    f"{self.name} takes no prompt, got {prompt!r:.80}. Leave the prompt out"
                    + (f", or choose a label: {', '.join(self.labels)}." if self.labels else "."),
                )
            return None
        if prompt is not None and not isinstance(prompt, str):
            raise OptionError("prompt", f"A prompt is a text, got {prompt!r}.")
        if not self.network.text.null and not tokens.split(prompt or ""):
            raise OptionError(
                "prompt",
                f"{self.name} was always trained with a text, so it needs a prompt"
                + (f", such as {self.prompts[0]!r}." if self.prompts else "."),
            )
        self.tokenizer([prompt or ""])
        return prompt or ""

    def to_json(self) -> str:
        """The spec as JSON, for the header of a checkpoint."""
        given = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in LATER or getattr(self, f.name) != f.default
        }
        if self.makes == POINTS:
            del given["image_size"], given["channels"]
        given["network"] = kinds.to_json(self.network)
        given["schedule"] = options.to_json(SCHEDULES, self.schedule)
        return json.dumps(given)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The inverse of `to_json`. Any fault is an `OptionError`."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError also for numbers with too many digits
            raise OptionError("description", f"The model's description is not JSON: {error}") from error
        if not isinstance(given, dict) or not isinstance(given.get("network"), dict):
            raise OptionError("description", "The model's description is not an object with a network.")
        given["network"] = kinds.from_json(given["network"])
        given["schedule"] = options.from_json(SCHEDULES, "noise schedule", given.get("schedule"))
        return options.build(cls, given, "field of the model's description")
