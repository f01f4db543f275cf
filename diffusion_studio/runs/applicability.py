"""Which settings a model, a sampler and an edit can use. App, command line and engine all ask here. No torch.

A setting is named as in an `OptionError` (`guidance`, `interval`, `change.label`); one of its values stands
after an equals sign (`sampler.variance=learned`). A group's name stands for all that is in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..checkpoint.spec import PICTURES
from ..diffusion.samplers import SAMPLERS, Sampler
from ..errors import OptionError
from ..networks.config import UNetConfig
from .edits import EDITS, Invert, Morph, Travel, pictures_of
from .guidance_options import SELF_KINDS

if TYPE_CHECKING:
    from ..checkpoint.spec import ModelSpec

_GUIDED = (
    "guidance",
    "guidance_shape",
    "guidance_scales",
    "guidance_rescale",
    "interval",
    "projection",
    "cfg_zero",
    "change",
    "change.guidance",
)
_RANGED = ("clip", "clip_range", "stretch", "threshold", "threshold_most")
_LABELS = ("label", "negative_label", "change.label", "edit.source_label")
_PROMPTS = ("prompt", "negative", "change.prompt", "edit.source_prompt")


def unusable(
    spec: ModelSpec,
    sampler: Sampler | None = None,
    classifiers: Collection[str] = (),
    weaker: Collection[str] = (),
) -> dict[str, str]:
    """The settings and values that cannot be used, each with the reason as a sentence.

    `sampler` is the one that is chosen; without one nothing is said of it. `classifiers` and `weaker` are the
    names of the networks at hand that can guide the model.
    """
    return {
        **_unguided(spec, classifiers, weaker),
        **_not_inside(spec),
        **_unconditional(spec),
        **_of_kind(spec),
        **_of_sampler(spec, sampler),
    }


def check_usable(reasons: Mapping[str, str], name: str, advice: str = "") -> None:
    """Raise the `OptionError` of a setting, or of one of its values, where it cannot be used."""
    if name in reasons:
        raise OptionError(name.partition("=")[0], f"{reasons[name]} {advice}".rstrip())


def idle_options(given: Any) -> set[str]:
    """The options of an instance that count for nothing, because of what another of its options is."""
    found = set()
    for name, (parent, values) in getattr(given, "depends", {}).items():
        value = getattr(given, parent)
        if not (value in values if values else value):
            found.add(name)
    return found


def _unguided(spec: ModelSpec, classifiers: Collection[str], weaker: Collection[str]) -> dict[str, str]:
    found = {}
    if not (spec.labels or spec.takes_text or weaker):
        why = f"{spec.name} takes neither label nor prompt, so guidance has nothing to strengthen."
        found |= dict.fromkeys(_GUIDED, why)
        if self_guidance_kinds(spec):
            del found["interval"]  # it holds for guidance away from the network itself, too
    if not weaker:
        found["weaker"] = f"There is no other model of the same pictures that could guide {spec.name}."
    if not classifiers:
        found["classifier"] = f"There is no noisy classifier that could guide {spec.name}."
    return found


def self_guidance_kinds(spec: ModelSpec) -> tuple[str, ...]:
    """The kinds of guidance away from the network itself that it has something for."""
    network = spec.network
    return tuple(
        name
        for name in SELF_KINDS
        if (network.middle_blocks if name == "skipped_layers" else network.self_attention)
    )


def _not_inside(spec: ModelSpec) -> dict[str, str]:
    """Guidance away from the network itself, where it has nothing to disturb."""
    kinds = self_guidance_kinds(spec)
    if not kinds and spec.makes != PICTURES:
        return {"self_guidance": f"{spec.name} has neither attention nor a middle that could be left out."}
    found = {}
    for name in set(SELF_KINDS) - set(kinds):
        has = "block in its middle that keeps its shape" if name == "skipped_layers" else "self-attention"
        found[f"self_guidance={name}"] = f"The network of {spec.name} has no {has}."
    return found


def _unconditional(spec: ModelSpec) -> dict[str, str]:
    found = {}
    if not spec.labels:
        found |= dict.fromkeys(_LABELS, f"{spec.name} takes no label.")
    if not spec.takes_text:
        found |= dict.fromkeys(_PROMPTS, f"{spec.name} takes no prompt.")
    if not spec.labels and not spec.takes_text:
        found[f"edit={_name(Travel)}"] = (
            f"{spec.name} takes neither label nor prompt to go between. Leave the edit out."
        )
    return found


def _of_kind(spec: ModelSpec) -> dict[str, str]:
    """What only models of pictures, of points, or of enlarged pictures can use."""
    found = {}
    if spec.makes == PICTURES:
        found["points"] = f"{spec.name} makes pictures."
    else:
        found["palette"] = f"{spec.name} makes {spec.makes}, which have no colours."
        found |= dict.fromkeys(_RANGED, f"{spec.name} makes {spec.makes}, which have no range to keep.")
        why = f"{spec.name} makes {spec.makes}, so there is no picture to begin with. Leave the edit out."
        found |= {f"edit={name}": why for name, cls in EDITS.items() if pictures_of(cls)}
    if not isinstance(spec.network, UNetConfig):
        found["reuse"] = (
            f"{spec.name} has no U-Net of the kind of DDPM and ADM, whose deep features could be reused."
        )
    if spec.low_res is None:
        found["low_res"] = f"{spec.name} enlarges no picture."
    return found


def _of_sampler(spec: ModelSpec, sampler: Sampler | None) -> dict[str, str]:
    found = {}
    if not spec.learned_variance:
        found["sampler.variance=learned"] = (
            f"The learned variance needs a model that predicts its variance, and {spec.name} does not."
        )
    own = spec.defaults.get("sampler")  # what a model asks for suits it
    own = own.get("name") if isinstance(own, Mapping) else own
    for name, cls in SAMPLERS.items():
        if cls.made_for and spec.parametrization not in cls.made_for and name != own:
            found[f"sampler={name}"] = (
                f"It is made for {' and '.join(cls.made_for)} models; {spec.name} predicts "
                f"{spec.parametrization}, of which it would make blurred pictures."
            )
    if sampler is not None and not sampler.ancestral:
        found["classifier.form=mean"] = (
            "Classifier guidance in the form 'mean' moves the mean of ancestral steps, which this sampler "
            "does not take."
        )
    if sampler is not None and not sampler.deterministic:
        found |= {
            f"edit={_name(cls)}": f"{cls.title}: {type(sampler).__name__} as it is set adds fresh noise, "
            "with which nothing comes back. Choose a deterministic sampler, such as DDIM with eta 0, Heun "
            "without churn, or DPM-Solver++ 2M."
            for cls in (Invert, Morph)
        }
    return found


def _name(cls: type) -> str:
    return next(name for name, one in EDITS.items() if one is cls)
