"""Guidance settings of a recipe beyond the scale: frozen option groups, all off by default. No torch.

A recipe has one field for each of `GROUPS`. From the declarations here come the flags `--GROUP-OPTION` (an
option called `name` is the bare `--GROUP`), the app's controls and the objects in JSON. `guidance_builder`
applies them. The class attribute `depends` of a group has the conditions for the whole group to have an
effect, on settings of the recipe.
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
from ..options import AnyOf, Depends, DependsOn, Option, fields_of, option

if TYPE_CHECKING:
    from ..checkpoint.spec import ModelSpec
    from ..diffusion.schedule import NoiseSchedule

LOWEST, HIGHEST = -20, 50  # of guidance
FORMS = ("score", "mean")  # of classifier guidance
SELF_KINDS = ("perturbed_attention", "smoothed_energy", "skipped_layers")
# A recipe's settings, of which at least one turns guidance on.
GUIDED = AnyOf(
    (
        DependsOn("guidance", off=(1.0,)),
        DependsOn("guidance_scales"),
        DependsOn("change.guidance", off=(1.0,)),
    )
)
VISIBLE = 5.0  # beyond this absolute log-SNR the picture, or the noise, can no longer be seen


@dataclass(frozen=True)
class Interval:
    """Limited guidance interval: guidance acts only at some noise levels (Kynkaanniemi et al. 2024).

    It limits self-guidance, too.
    """

    depends: ClassVar[Depends] = (AnyOf((*GUIDED.conditions, DependsOn("self_guidance.name"))),)

    low: float = option(
        0.0, "Guide only where sigma / alpha, the noise relative to the picture, is at least this.", low=0
    )
    high: float | None = option(
        None, "Guide only where sigma / alpha is at most this, such as 3; left out, from the start.", low=0
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
        """Whether the interval excludes any noise level."""
        return self.low > 0 or self.high is not None


@dataclass(frozen=True)
class Projection:
    """Adaptive projected guidance (Sadat et al. 2024): strong guidance without oversaturation."""

    depends: ClassVar[Depends] = (GUIDED,)

    parallel: float = option(
        1.0,
        "Weight of the part of guidance that only adds contrast (adaptive projected guidance): 0 leaves "
        "it out, 1 is plain guidance.",
        low=0,
        high=1,
    )
    radius: float | None = option(
        None,
        "Limit on the length of guidance's difference, over all pixels of a picture, such as 5; left out, "
        "no limit.",
        low=1e-6,
    )

    def __post_init__(self) -> None:
        options.check(self, "projection", unicode=True)

    @property
    def on(self) -> bool:
        return self.parallel != 1 or self.radius is not None


@dataclass(frozen=True)
class ByClassifier:
    """Classifier guidance, by a noisy classifier's gradient (Dhariwal & Nichol 2021, section 4).

    The model itself may be unconditional.
    """

    name: str | None = option(None, "A noisy classifier whose gradient guides the run.")
    scale: float = option(
        1.0,
        "Scale of classifier guidance: 0 is off, 1 follows the classifier's probabilities, more exaggerates.",
        low=-100,
        high=100,
        depends=(DependsOn("name"),),
    )
    form: str = option(
        "score",
        "score changes the predicted noise and suits every sampler, mean moves the mean of ancestral steps.",
        choices=FORMS,
        depends=(DependsOn("name"),),
    )
    label: str | None = option(
        None, "The classifier's label to go towards; left out, the run's own.", depends=(DependsOn("name"),)
    )

    def __post_init__(self) -> None:
        options.check(self, "classifier", unicode=True)
        for name in ("name", "label"):
            object.__setattr__(self, name, getattr(self, name) or None)

    @property
    def on(self) -> bool:
        return self.name is not None and self.scale != 0


@dataclass(frozen=True)
class Change:
    """Another label, prompt or guidance scale from a step on."""

    step: int | None = option(
        None, "The step at which settings change, such as 10; left out, nothing changes.", low=1
    )
    label: str | None = option(
        None, "The label from there on, or 'any'; left out, as before.", depends=(DependsOn("step"),)
    )
    prompt: str | None = option(
        None, "The prompt from there on; left out, as before.", depends=(DependsOn("step"),)
    )
    guidance: float | None = option(
        None,
        "Guidance from there on; left out, as before.",
        low=LOWEST,
        high=HIGHEST,
        depends=(DependsOn("step"),),
    )

    def __post_init__(self) -> None:
        options.check(self, "change", unicode=True)
        for name in ("label", "prompt"):
            object.__setattr__(self, name, getattr(self, name) or None)
        given = [name for name in ("label", "prompt", "guidance") if getattr(self, name) is not None]
        if self.step is None and given:
            raise OptionError(
                "change.step",
                f"The {given[0]} changes at a step, and none is given. Say at which with ",
                Setting("change.step"),
                ".",
            )
        if self.step is not None and not given:
            raise OptionError(
                "change.step",
                f"Nothing changes at step {self.step}. Give another label, prompt or guidance, or no step.",
            )

    @property
    def on(self) -> bool:
        return self.step is not None


@dataclass(frozen=True)
class Palette:
    """Restrict the predicted x0 to few colours: each pixel becomes the nearest one (the clamping trick of
    Li et al. 2022, section 4.2).
    """

    name: str | None = option(
        None,
        f"The colours that pictures are drawn in: {palettes.OWN} for those that come with the model, "
        f"{', '.join(palettes.PALETTES)}, or a list such as #000,#f80,#fff; left out, all.",
    )
    below: float = option(
        1.0,
        "The palette is applied where sigma / alpha, the noise relative to the picture, is at most this: "
        "once the picture has taken shape.",
        low=0,
        high=1e3,
        depends=(DependsOn("name"),),
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
        """The colours, 0..255, of the palette for a model. Raises `OptionError` if its pictures cannot be
        drawn in them.
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
    """CFG-Zero* (Fan et al. 2025): classifier-free guidance that scales the unconditional prediction to
    fit.
    """

    depends: ClassVar[Depends] = (GUIDED,)

    star: bool = option(
        False,
        "CFG-Zero*: guidance first scales the unconditional prediction to fit the conditional one. Made for "
        "flow matching.",
    )
    silent: float | None = option(
        None,
        "With CFG-Zero* the velocity is zero where sigma / alpha, the noise relative to the picture, is "
        "above this, such as 20; left out, nowhere.",
        low=0,
        depends=(DependsOn("star"),),
    )

    def __post_init__(self) -> None:
        options.check(self, "cfg_zero", unicode=True)

    @property
    def on(self) -> bool:
        return self.star


@dataclass(frozen=True)
class SelfGuidance:
    """Guidance away from the network's own prediction with disturbed self-attention, or without some blocks.

    It needs neither label nor prompt.
    """

    name: str | None = option(
        None,
        "Guidance away from the network itself: with self-attention that sees no other place "
        "(perturbed_attention, Ahn et al. 2024), with blurred queries (smoothed_energy, Hong 2024), or "
        "without some blocks (skipped_layers).",
        choices=SELF_KINDS,
    )
    scale: float = option(
        3.0, "Scale of self-guidance: 0 is off.", low=-20, high=50, depends=(DependsOn("name"),)
    )
    layers: str | None = option(
        None,
        "Which attentions are disturbed, or which blocks are left out, by name with commas, such as "
        "middle.1; left out, those in the middle.",
        depends=(DependsOn("name"),),
    )
    blur: float | None = option(
        None,
        "Of smoothed_energy: the deviation of the blur, in places of the map; left out, the mean over all.",
        low=1e-3,
        high=1e3,
        depends=(DependsOn("name", ("smoothed_energy",)),),
    )

    def __post_init__(self) -> None:
        options.check(self, "self_guidance", unicode=True)
        for name in ("name", "layers"):
            object.__setattr__(self, name, (getattr(self, name) or "").strip() or None)

    @property
    def on(self) -> bool:
        return self.name is not None and self.scale != 0

    @property
    def layer_names(self) -> tuple[str, ...] | None:
        """The names in `layers`, or None if they are left out."""
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
    """The options of a group by name, each renamed to its flag: `interval_low`, or `classifier` for its
    `name`. The conditions of the whole group come first in its `depends`.
    """

    def flag(name: str) -> str:
        return flag_name(f"{group}.{name}")

    shared = tuple(condition.renamed(flag_name) for condition in depends_of(GROUPS[group]))
    return {
        one.name: replace(
            one,
            name=flag(one.name),
            depends=shared + tuple(condition.renamed(flag) for condition in one.depends),
        )
        for one in fields_of(GROUPS[group])
    }


def flag_name(setting: str) -> str:
    """The name that a setting's flag has: `interval_low` for `interval.low`, `classifier` for
    `classifier.name`.
    """
    return setting.removesuffix(".name").replace(".", "_")


def depends_of(group: type) -> Depends:
    """The conditions for a whole group to have an effect, on settings of the recipe."""
    return getattr(group, "depends", ())


def coerce(group: str, given: object) -> object:
    """A group of options from any form that a recipe accepts.

    `given` is None (the defaults), an instance of the group, a mapping as in JSON, or the value of the option
    `name` if the group has one. Raises `OptionError` for anything else.
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
    """Parse a list of guidance scales; None stays None. Raises `OptionError` for anything but numbers in
    range.
    """
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(math.isfinite(one) and LOWEST <= one <= HIGHEST for one in values):
        raise OptionError(
            "guidance_scales",
            f"must be numbers from {LOWEST} to {HIGHEST} with commas between them, such as "
            f"1,6,3; got {text[:80]!r}.",
        )
    return values


def incompatibility(helper: ClassifierSpec | ModelSpec, spec: ModelSpec) -> str | None:
    """Why a classifier or a weaker model cannot guide a model, as the end of a sentence; None if it can."""
    known = getattr(helper, "makes", "pictures")  # a classifier's spec has no `makes`: it sees pictures
    if known != spec.makes:
        return f"it knows {known}, and {spec.name} makes {spec.makes}"
    size, channels = (
        (helper.network.size, helper.network.in_channels)
        if isinstance(helper, ClassifierSpec)
        else (helper.image_size, helper.channels)
    )
    if (size, channels) != (spec.image_size, spec.channels):

        def describe(size: int, channels: int) -> str:
            return f"{size}x{size} pictures {'in grey' if channels == 1 else 'in RGB'}"

        mine, theirs = describe(size, channels), describe(spec.image_size, spec.channels)
        return f"it knows {mine}, and {spec.name} makes {theirs}"
    if getattr(helper, "low_res", None):
        return "it enlarges a given picture, and predicts nothing without one"
    (low, high), (least, most) = visible_range(helper.schedule), visible_range(spec.schedule)
    if low > least + 1e-6 or high < most - 1e-6:
        return (
            f"it was trained on noise of log-SNR {low:.1f} to {high:.1f}, and {spec.name} works from "
            f"{least:.1f} to {most:.1f}"
        )
    return None


def visible_range(schedule: NoiseSchedule) -> tuple[float, float]:
    """The range of log-SNR that a schedule covers, cut to -`VISIBLE` .. `VISIBLE`."""
    most, least = (schedule.level(t).log_snr for t in (schedule.t_max, schedule.t_min))
    return max(most, -VISIBLE), min(least, VISIBLE)
