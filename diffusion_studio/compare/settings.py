"""Changes of a recipe by the names of settings, as lanes of a race and cells of a grid need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

from ..errors import Given, OptionError
from ..options import Option, checked, fields_of, from_json
from ..runs.edits import EDITS
from ..runs.guidance_options import GROUPS, flags_of
from ..runs.recipe import REGISTRIES, Recipe

SEED = "seed"
USUAL = ("model", "label", "prompt", "steps", "sampler", "eta", "spacing", "guidance", "seed", "clip")
# These are changed first, because they decide which other settings there are.
_FIRST = ("model", "sampler", "spacing")
_OWN = {one.name: one for one in fields_of(Recipe)}
# of guidance's groups: the name outside -> (group, name inside, declaration)
_GROUPED = {one.name: (group, inner, one) for group in GROUPS for inner, one in flags_of(group).items()}


def names() -> list[str]:
    """The settings that can be changed, as they are called on the command line, with _ for -."""
    found = [*_OWN, SEED, *REGISTRIES]
    for registry in (*REGISTRIES.values(), EDITS):
        found += [one.name for cls in registry.values() for one in fields_of(cls)]
    return list(dict.fromkeys([*found, *_GROUPED]))


def setting_name(name: str) -> str:
    """A setting's name with _ for -, without its group (`sampler.eta` is `eta`); an `OptionError` names
    those that are like it, and the usual ones.
    """
    text = str(name).replace("-", "_")
    group, _, inner = text.rpartition(".")
    if group in GROUPS:
        text = next((name for name, one in _GROUPED.items() if one[:2] == (group, inner)), text)
    elif group in (*REGISTRIES, "edit"):
        text = inner
    if text not in names():
        near = get_close_matches(text, names(), n=3, cutoff=0.7)
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        raise OptionError(
            "setting",
            f"There is no setting {str(name)[:80]!r}.{guess} The usual ones are {', '.join(USUAL)}; the "
            "options of a sampler, a spacing, an edit and of guidance are settings too.",
        )
    return text


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with these settings, each by its name on the command line: `sampler`, `eta`, `seed`, ...

    A sampler or spacing may be its name, an object, or the object's JSON. `seed` is the first picture's; the
    others' count up from it. Raises `OptionError` for an unknown name, and for an option that the recipe's
    sampler, spacing or edit does not have.
    """
    wanted = {setting_name(name): value for name, value in changes.items()}
    for name in sorted(
        wanted, key=lambda name: (name not in _FIRST, _FIRST.index(name) if name in _FIRST else 0)
    ):
        recipe = _changed(recipe, name, wanted[name])
    return recipe


def _changed(recipe: Recipe, name: str, value: Any) -> Recipe:
    if name == SEED:
        whole = checked(Option("seeds", int, False, 0, "", 0, None, ()), value)
        return _with(recipe, seeds=tuple(range(whole, whole + len(recipe.seeds))))
    if name in REGISTRIES:
        given = from_json(REGISTRIES[name], name, value) if isinstance(value, (str, Mapping)) else value
        return _with(recipe, **{name: given})
    if name in _OWN:
        return _with(recipe, **{name: value})
    if name in _GROUPED:
        group, inner, _ = _GROUPED[name]
        return _with(recipe, **{group: replace(getattr(recipe, group), **{inner: value})})
    for kind in (*REGISTRIES, "edit"):
        mine = getattr(recipe, kind)
        if mine is not None and name in [one.name for one in fields_of(type(mine))]:
            return _with(recipe, **{kind: replace(mine, **{name: value})})
    having = [
        f"the {kind} {choice}"
        for kind, registry in (*REGISTRIES.items(), ("edit", EDITS))
        for choice, cls in registry.items()
        if name in [one.name for one in fields_of(cls)]
    ]
    raise OptionError(
        name,
        f"{name} has no effect on this run: it is an option of {', '.join(having)}. Choose one of these, or "
        "another setting.",
    )


def _with(recipe: Recipe, **changes: Any) -> Recipe:
    return Recipe.from_settings(changes, {one.name: getattr(recipe, one.name) for one in fields(Recipe)})


def parsed(name: str, text: str) -> Any:
    """The value that a text gives a setting: a number where the setting is one, true or false, `none`."""
    one = declaration(setting_name(name))
    text = text.strip()
    if one is None or (one.kind is str and not one.optional):
        return text
    if one.optional and text.casefold() == "none":
        return None
    return _READ[one.kind](one.name, text)


def declaration(name: str) -> Option | None:
    """The declaration of a setting; None of a sampler or spacing, which is a name."""
    if name == SEED:
        return Option("seed", int, False, 0, "", 0, None, ())
    if name in REGISTRIES:
        return None
    if name in _OWN:
        return _OWN[name]
    if name in _GROUPED:
        return _GROUPED[name][2]
    every = [
        one
        for registry in (*REGISTRIES.values(), EDITS)
        for cls in registry.values()
        for one in fields_of(cls)
    ]
    return next(one for one in every if one.name == name)


def _number(name: str, text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise OptionError(name, "must be a number", Given(text))


def _truth(name: str, text: str) -> bool:
    if text.casefold() not in ("true", "false"):
        raise OptionError(name, "must be true or false", Given(text))
    return text.casefold() == "true"


_READ: dict[type, Callable[[str, str], Any]] = {
    int: _number,
    float: _number,
    bool: _truth,
    str: lambda name, text: text,
}
