"""How a run is guided, beyond a scale: frozen groups of settings, each off as it stands. No torch.

A recipe has one field for each of `GROUPS`. Their options are flags `--GROUP-OPTION` (an option called `name`
is the bare `--GROUP`), controls of the app and objects of the recipe's JSON, all from the one declaration
here. What they do is in `guided.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from .. import options
from ..checkpoint.classifier_spec import ClassifierSpec
from ..errors import OptionError, Setting
from ..imaging import palettes
from ..options import Option, fields_of, option

if TYPE_CHECKING:
    from ..checkpoint.spec import ModelSpec
    from ..diffusion.schedule import NoiseSchedule

LOWEST, HIGHEST = -20, 50  # of guidance
FORMS = ("score", "mean")  # of classifier guidance
SELF_KINDS = ("perturbed_attention", "smoothed_energy", "skipped_layers")
SEEN = 5.0  # beyond this log-SNR, either way, there is no more picture or noise to see


@dataclass(frozen=True)
class Interval:
    """Guidance at some noise levels only (Kynkaanniemi et al. 2024): none where the picture's plan is
    made, or its grain.
    """

    low: float = option(
        0.0, "Guide only where sigma / alpha, the noise beside the picture, is at least this.", low=0
    )
    high: float | None = option(
        None, "Guide only where sigma / alpha is at most this, such as 3; left out, from the start on.", low=0
    )

    def __post_init__(self) -> None:
        options.check(self, "interval", unicode=True)
        if self.high is not None and self.high < self.low:
            raise OptionError(
                "interval.high",
                f"Guidance's interval goes from a low to a high noise, got {self.low:g} to {self.high:g}. "
                "Make the upper end the larger one.",
            )

    @property
    def on(self) -> bool:
        return self.low > 0 or self.high is not None


@dataclass(frozen=True)
class Projection:
    """Adaptive projected guidance (Sadat et al. 2024): strong guidance without glare."""

    parallel: float = option(
        1.0,
        "How much counts of the part of guidance that only adds contrast (adaptive projected "
        "guidance): 0 leaves it out, 1 is plain guidance.",
        low=0,
        high=1,
    )
    radius: float | None = option(
        None,
        "Longest difference that guidance follows, as a length over all pixels of a picture, "
        "such as 5; left out, any.",
        low=1e-6,
    )

    def __post_init__(self) -> None:
        options.check(self, "projection", unicode=True)

    @property
    def on(self) -> bool:
        return self.parallel != 1 or self.radius is not None


@dataclass(frozen=True)
class ByClassifier:
    """Guidance by a noisy classifier's gradient (Dhariwal & Nichol 2021, section 4); the model itself may
    know no labels.
    """

    name: str | None = option(None, "A noisy classifier whose gradient guides the run.")
    scale: float = option(
        1.0,
        "How strongly the classifier guides: 0 is off, 1 follows its probabilities, more exaggerates.",
        low=-100,
        high=100,
    )
    form: str = option(
        "score",
        "score moves the noise and suits every sampler, mean moves the mean of ancestral steps.",
        choices=FORMS,
    )
    label: str | None = option(None, "The classifier's label to go towards; left out, the run's own.")

    def __post_init__(self) -> None:
        options.check(self, "classifier", unicode=True)
        for name in ("name", "label"):
            object.__setattr__(self, name, getattr(self, name) or None)

    @property
    def on(self) -> bool:
        return self.name is not None and self.scale != 0


@dataclass(frozen=True)
class Change:
    """Another label, prompt or guidance from a step on."""

    step: int | None = option(
        None, "The step from which the following counts, such as 10; left out, nothing changes.", low=1
    )
    label: str | None = option(None, "The label from there on, or 'any'; left out, as before.")
    prompt: str | None = option(None, "The prompt from there on; left out, as before.")
    guidance: float | None = option(
        None, "Guidance from there on; left out, as before.", low=LOWEST, high=HIGHEST
    )

    def __post_init__(self) -> None:
        options.check(self, "change", unicode=True)
        for name in ("label", "prompt"):
            object.__setattr__(self, name, getattr(self, name) or None)
        said = [name for name in ("label", "prompt", "guidance") if getattr(self, name) is not None]
        if self.step is None and said:
            raise OptionError(
                "change.step",
                f"The {said[0]} changes at a step, and none is given. Say at which with ",
                Setting("change.step"),
                ".",
            )
        if self.step is not None and not said:
            raise OptionError(
                "change.step",
                f"Nothing changes at step {self.step}. Give another label, prompt or guidance, or no step.",
            )

    @property
    def on(self) -> bool:
        return self.step is not None


@dataclass(frozen=True)
class Palette:
    """Few colours: a pixel of the predicted x0 becomes the nearest of them (the clamping trick of Li et
    al. 2022, section 4.2).
    """

    name: str | None = option(
        None,
        f"The colours that pictures are drawn in: {palettes.OWN} for those that come with the model, "
        f"{', '.join(palettes.PALETTES)}, or a list such as #000,#f80,#fff; left out, all.",
    )
    below: float = option(
        1.0,
        "The palette counts where sigma / alpha, the noise beside the picture, is at most this: once the "
        "picture is a blur no more.",
        low=0,
        high=1e3,
    )

    def __post_init__(self) -> None:
        options.check(self, "palette", unicode=True)
        object.__setattr__(self, "name", (self.name or "").strip() or None)
        if self.name is not None and self.name != palettes.OWN:
            palettes.listed(palettes.PALETTES.get(self.name, self.name))

    @property
    def on(self) -> bool:
        return self.name is not None

    def colours(self, spec: ModelSpec) -> tuple[palettes.Colour, ...]:
        """The colours 0..255 that a model's pictures are drawn in. An `OptionError` where it cannot draw
        in them.
        """
        if spec.makes != "pictures":
            raise OptionError(
                "palette", f"{spec.name} makes {spec.makes}, which have no colours. Leave the palette out."
            )
        if self.name is not None and self.name != palettes.OWN:
            return palettes.listed(palettes.PALETTES.get(self.name, self.name))
        if not spec.palette:
            raise OptionError(
                "palette",
                f"{spec.name} has no palette of its own. Choose {', '.join(palettes.PALETTES)}, or give "
                "colours, such as #000,#f80,#fff.",
            )
        return tuple(map(palettes.read, spec.palette))


@dataclass(frozen=True)
class CfgZero:
    """CFG-Zero* (Fan et al. 2025): classifier-free guidance from the unconditional answer scaled to fit."""

    star: bool = option(
        False,
        "CFG-Zero*: guidance first scales the answer without the condition to fit the one with it. Made for "
        "flow matching.",
    )
    silent: float | None = option(
        None,
        "With CFG-Zero* the velocity is zero where sigma / alpha, the noise beside the picture, is above "
        "this, such as 20; left out, nowhere.",
        low=0,
    )

    depends: ClassVar = {"silent": ("star", ())}

    def __post_init__(self) -> None:
        options.check(self, "cfg_zero", unicode=True)

    @property
    def on(self) -> bool:
        return self.star


@dataclass(frozen=True)
class SelfGuidance:
    """Guidance away from the network itself with its self-attention disturbed, or with blocks left out. It
    needs neither label nor prompt.
    """

    name: str | None = option(
        None,
        "Guidance away from the network itself: with self-attention that sees no other place "
        "(perturbed_attention, Ahn et al. 2024), with blurred queries (smoothed_energy, Hong 2024), or "
        "without some blocks (skipped_layers).",
        choices=SELF_KINDS,
    )
    scale: float = option(3.0, "How strongly: 0 is off.", low=-20, high=50)
    layers: str | None = option(
        None,
        "Which attentions are disturbed, or which blocks are left out, by name with commas, such as "
        "middle.1; left out, those in the middle.",
    )
    blur: float | None = option(
        None,
        "Of smoothed_energy: the deviation of the blur, in places of the map; left out, the mean over all.",
        low=1e-3,
        high=1e3,
    )

    depends: ClassVar = {
        "scale": ("name", ()),
        "layers": ("name", ()),
        "blur": ("name", ("smoothed_energy",)),
    }

    def __post_init__(self) -> None:
        options.check(self, "self_guidance", unicode=True)
        for name in ("name", "layers"):
            object.__setattr__(self, name, (getattr(self, name) or "").strip() or None)

    @property
    def on(self) -> bool:
        return self.name is not None and self.scale != 0

    @property
    def layer_names(self) -> tuple[str, ...] | None:
        """The names in `layers`; None where they are left out."""
        if self.layers is None:
            return None
        return tuple(dict.fromkeys(part.strip() for part in self.layers.split(",") if part.strip()))


GROUPS: dict[str, type] = {
    "interval": Interval,
    "projection": Projection,
    "classifier": ByClassifier,
    "change": Change,
    "palette": Palette,
    "cfg_zero": CfgZero,
    "self_guidance": SelfGuidance,
}


def flags_of(group: str) -> dict[str, Option]:
    """A group's options by their names, each under the name that it has outside: `interval_low`, or
    `classifier` itself.
    """
    return {
        one.name: replace(one, name=group if one.name == "name" else f"{group}_{one.name}")
        for one in fields_of(GROUPS[group])
    }


def coerce(group: str, given: object) -> object:
    """A group of options from any form that a recipe accepts.

    `given` is None (the defaults), an instance of the group, a mapping as in JSON, or, where the group has an
    option `name`, that name alone. Raises `OptionError` for anything else.
    """
    cls = GROUPS[group]
    if given is None:
        return cls()
    if isinstance(given, str) and "name" in flags_of(group):
        given = {"name": given}
    if isinstance(given, Mapping):
        return options.build(cls, given, f"option of {group}")
    if type(given) is not cls:
        raise OptionError(
            group,
            f"must be an object of its options ({', '.join(one.name for one in fields_of(cls))}), got "
            f"{given!r:.80}.",
        )
    return given


def scales(text: str | None) -> tuple[float, ...] | None:
    """The numbers of a list of guidance scales; an `OptionError` says what is wrong with it."""
    if text is None:
        return None
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(one) and LOWEST <= one <= HIGHEST for one in found):
        raise OptionError(
            "guidance_scales",
            f"must be numbers from {LOWEST} to {HIGHEST} with commas between them, such as "
            f"1,6,3; got {text[:80]!r}.",
        )
    return found


def incompatibility(helper: ClassifierSpec | ModelSpec, spec: ModelSpec) -> str | None:
    """Why a classifier or a weaker model cannot guide a model, as the end of a sentence, or None where it
    can.
    """
    known = getattr(helper, "makes", "pictures")  # a classifier knows these
    if known != spec.makes:
        return f"it knows {known}, and {spec.name} makes {spec.makes}"
    size, channels = (
        (helper.network.size, helper.network.in_channels)
        if isinstance(helper, ClassifierSpec)
        else (helper.image_size, helper.channels)
    )
    if (size, channels) != (spec.image_size, spec.channels):

        def said(size: int, channels: int) -> str:
            return f"{size}x{size} pictures {'in grey' if channels == 1 else 'in RGB'}"

        return (
            f"it knows {said(size, channels)}, and {spec.name} makes {said(spec.image_size, spec.channels)}"
        )
    if getattr(helper, "low_res", None):
        return "it enlarges a picture that it is given, and cannot say anything without one"
    (low, high), (least, most) = seen(helper.schedule), seen(spec.schedule)
    if low > least + 1e-6 or high < most - 1e-6:
        return (
            f"it was trained on noise of log-SNR {low:.1f} to {high:.1f}, and {spec.name} works from "
            f"{least:.1f} to {most:.1f}"
        )
    return None


def seen(schedule: NoiseSchedule) -> tuple[float, float]:
    """The log-SNR of a schedule's ends, as far as there is picture or noise to see."""
    most, least = (schedule.level(t).log_snr for t in (schedule.t_max, schedule.t_min))
    return max(most, -SEEN), min(least, SEEN)
