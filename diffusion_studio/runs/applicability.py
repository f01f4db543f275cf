"""Which settings a model, a sampler and an edit can use. App, command line and engine all ask here. No torch.

A setting has the name that an `OptionError` gives it (`guidance`, `interval`, `change.label`). One value of a
setting is written after an equals sign (`sampler.variance=learned`). The name of a group stands for all
settings of the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..checkpoint.spec import PICTURES
from ..diffusion.samplers import SAMPLERS, Sampler
from ..errors import OptionError, Setting
from ..networks.config import UNetConfig
from ..options import AnyOf, Depends, DependsOn, dotted, fields_of, idle_names
from .edits import EDITS, Invert, Morph, Travel, pictures_of
from .guidance_options import GROUPS, GUIDED, SELF_KINDS, depends_of

if TYPE_CHECKING:
    from ..checkpoint.spec import ModelSpec
    from .recipe import Recipe

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
_VALUE_RANGE = ("clip", "clip_range", "stretch", "threshold", "threshold_most")
_LABELS = ("label", "negative_label", "change.label", "edit.source_label")
_PROMPTS = ("prompt", "negative", "change.prompt", "edit.source_prompt")


def unusable(
    spec: ModelSpec,
    sampler: Sampler | None = None,
    classifiers: Collection[str] = (),
    weaker: Collection[str] = (),
) -> dict[str, str]:
    """The settings and values that cannot be used, by name, each with the reason as a sentence.

    `sampler` is the chosen sampler; without it, settings that depend on the sampler are not judged.
    `classifiers` and `weaker` are the names of the available networks that can guide the model.
    """
    return {
        **_no_guidance(spec, classifiers, weaker),
        **_no_self_guidance(spec),
        **_no_condition(spec),
        **_wrong_output(spec),
        **_sampler_limits(spec, sampler),
    }


def check_usable(reasons: Mapping[str, str], name: str, advice: str = "") -> None:
    """Raise an `OptionError` if the setting or value `name` is in `reasons`.

    `reasons` come from `unusable`. `advice` is appended to the reason.
    """
    if name in reasons:
        raise OptionError(name.partition("=")[0], f"{reasons[name]} {advice}".rstrip())


def idle_options(given: Any) -> set[str]:
    """The names of options that have no effect, because another option of the same instance switches them
    off. The options declare this themselves, by `option(..., depends=...)`.
    """
    return idle_names(fields_of(type(given)), _values(given))


def is_guided(recipe: Recipe) -> bool:
    """Whether guidance is on in any part of a run, as far as the recipe's own settings tell."""
    return GUIDED.holds(_values(recipe))


def idle_settings(*recipes: Recipe, **others: Any) -> dict[str, OptionError]:
    """The settings that have no effect on any of these runs, because other settings switch them off.

    Each has the message that says which one, as an `OptionError` to be worded and shown, not raised. A
    setting that some of the recipes do not have (an option of another sampler) is judged by the others.
    `others` are further instances of option classes, by their group's name in `OptionError`s.
    """
    judged = [verdict for recipe in recipes for verdict in _verdicts(_parts(recipe))]
    judged += [verdict for name, one in others.items() for verdict in _verdicts(((name, one, ()),))]
    used = {name for name, message in judged if message is None}
    return {name: message for name, message in judged if message is not None and name not in used}


def _verdicts(parts: Sequence[tuple[str, Any, Depends]]) -> Iterator[tuple[str, OptionError | None]]:
    """Each setting of these groups, with the message why it has no effect, or None if it has one."""
    outer = _values(parts[0][1])
    for group, given, shared in parts:
        values = outer | {dotted(group, name): value for name, value in vars(given).items()}
        for one in fields_of(type(given)):
            own = (condition.renamed(lambda name: dotted(group, name)) for condition in one.depends)
            unmet = next((condition for condition in (*shared, *own) if not condition.holds(values)), None)
            name = dotted(group, one.name)
            yield name, None if unmet is None else _idle_message(name, unmet, values)


def _parts(recipe: Recipe) -> tuple[tuple[str, Any, Depends], ...]:
    """A recipe and its groups of options: name, instance, and the conditions of the whole group."""
    groups = {"sampler": recipe.sampler, "spacing": recipe.spacing, "edit": recipe.edit}
    groups |= {name: getattr(recipe, name) for name in GROUPS}
    return (
        ("", recipe, ()),
        *((name, one, depends_of(type(one))) for name, one in groups.items() if one is not None),
    )


def _values(given: Any) -> dict[str, Any]:
    """The options of an instance by name; those of a recipe's guidance groups as `change.guidance`."""
    values = dict(vars(given))
    for group in GROUPS.keys() & values.keys():
        values |= {dotted(group, name): value for name, value in vars(values[group]).items()}
    return values


def _idle_message(name: str, unmet: DependsOn | AnyOf, values: Mapping[str, Any]) -> OptionError:
    """The sentence that says which setting switches off the one called `name`."""
    first, *others = unmet.names
    deciding = [first, *(other for other in others if values[other] not in (None, ""))]
    parts: list[str] = [Setting(name), " has no effect while "]
    for other in deciding:
        parts += [Setting(other), f" is {_shown(values[other])}", " and "]
    return OptionError(name, *parts[:-1], ".")


def _shown(value: Any) -> str:
    """A value within a sentence."""
    if value in (None, ""):
        return "left out"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _no_guidance(spec: ModelSpec, classifiers: Collection[str], weaker: Collection[str]) -> dict[str, str]:
    reasons = {}
    if not (spec.labels or spec.takes_text or weaker):
        why = f"{spec.name} takes neither label nor prompt, so guidance has nothing to strengthen."
        reasons |= dict.fromkeys(_GUIDED, why)
        if self_guidance_kinds(spec):
            del reasons["interval"]  # it also limits self-guidance
    if not weaker:
        reasons["weaker"] = f"There is no other model of the same pictures that could guide {spec.name}."
    if not classifiers:
        reasons["classifier"] = f"There is no noisy classifier that could guide {spec.name}."
    return reasons


def self_guidance_kinds(spec: ModelSpec) -> tuple[str, ...]:
    """The kinds of self-guidance that have something to disturb in the model's network."""
    network = spec.network
    return tuple(
        name
        for name in SELF_KINDS
        if (network.middle_blocks if name == "skipped_layers" else network.self_attention)
    )


def _no_self_guidance(spec: ModelSpec) -> dict[str, str]:
    """Kinds of self-guidance for which the network has nothing to disturb."""
    kinds = self_guidance_kinds(spec)
    if not kinds and spec.makes != PICTURES:
        return {"self_guidance": f"{spec.name} has neither attention nor a middle that could be left out."}
    reasons = {}
    for name in set(SELF_KINDS) - set(kinds):
        has = "block in its middle that keeps its shape" if name == "skipped_layers" else "self-attention"
        reasons[f"self_guidance={name}"] = f"The network of {spec.name} has no {has}."
    return reasons


def _no_condition(spec: ModelSpec) -> dict[str, str]:
    reasons = {}
    if not spec.labels:
        reasons |= dict.fromkeys(_LABELS, f"{spec.name} takes no label.")
    if not spec.takes_text:
        reasons |= dict.fromkeys(_PROMPTS, f"{spec.name} takes no prompt.")
    if not spec.labels and not spec.takes_text:
        reasons[f"edit={_name(Travel)}"] = (
            f"{spec.name} takes neither label nor prompt to go between. Leave the edit out."
        )
    return reasons


def _wrong_output(spec: ModelSpec) -> dict[str, str]:
    """Settings that only models of pictures, of points, or of enlarged pictures can use."""
    reasons = {}
    if spec.makes == PICTURES:
        reasons["points"] = f"{spec.name} makes pictures."
    else:
        reasons["palette"] = f"{spec.name} makes {spec.makes}, which have no colours."
        reasons |= dict.fromkeys(
            _VALUE_RANGE, f"{spec.name} makes {spec.makes}, which have no range to keep."
        )
        why = f"{spec.name} makes {spec.makes}, so there is no picture to begin with. Leave the edit out."
        reasons |= {f"edit={name}": why for name, cls in EDITS.items() if pictures_of(cls)}
    if not isinstance(spec.network, UNetConfig):
        reasons["reuse"] = (
            f"{spec.name} has no U-Net of the kind of DDPM and ADM, whose deep features could be reused."
        )
    if spec.low_res is None:
        reasons["low_res"] = f"{spec.name} does not enlarge pictures."
    return reasons


def _sampler_limits(spec: ModelSpec, sampler: Sampler | None) -> dict[str, str]:
    reasons = {}
    if not spec.learned_variance:
        reasons["sampler.variance=learned"] = (
            f"The learned variance needs a model that predicts its variance, and {spec.name} does not."
        )
    own = spec.defaults.get("sampler")  # a model's default sampler is allowed whatever `made_for` says
    own = own.get("name") if isinstance(own, Mapping) else own
    for name, cls in SAMPLERS.items():
        if cls.made_for and spec.parametrization not in cls.made_for and name != own:
            reasons[f"sampler={name}"] = (
                f"It is made for {' and '.join(cls.made_for)} models; {spec.name} predicts "
                f"{spec.parametrization}, of which it would make blurred pictures."
            )
    if sampler is not None and not sampler.ancestral:
        reasons["classifier.form=mean"] = (
            "Classifier guidance in the form 'mean' moves the mean of ancestral steps, which this sampler "
            "does not take."
        )
    if sampler is not None and not sampler.deterministic:
        reasons |= {
            f"edit={_name(cls)}": f"{cls.title}: {type(sampler).__name__} as it is set adds fresh noise, "
            "with which nothing comes back. Choose a deterministic sampler, such as DDIM with eta 0, Heun "
            "without churn, or DPM-Solver++ 2M."
            for cls in (Invert, Morph)
        }
    return reasons


def _name(cls: type) -> str:
    return next(name for name, one in EDITS.items() if one is cls)
