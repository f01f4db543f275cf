"""Flags made from option dataclasses, and the way from them back to values."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..checkpoint.spec import DEFAULT_NAMES
from ..device import DEVICES, PRECISIONS
from ..errors import OptionError, unknown
from ..options import Option, checked, fields_of, name_of
from ..runs.guidance_options import GROUPS, flags_of

_METAVARS = {int: "N", float: "X", str: "TEXT"}


def add_machine(verb: argparse.ArgumentParser) -> None:
    """Where the models lie and what computes."""
    verb.add_argument("--checkpoints", metavar="FOLDER", help="where the models lie (default ./checkpoints)")
    verb.add_argument("--device", default="auto", help=f"one of {', '.join(DEVICES)} (default auto)")
    verb.add_argument("--precision", default="auto", help=f"one of {', '.join(PRECISIONS)} (default auto)")


def studio_of(args: argparse.Namespace) -> Any:
    """The Studio that `add_machine`'s flags describe."""
    from ..studio import Studio

    return Studio(args.checkpoints, args.device, args.precision)


def flag(name: str) -> str:
    """An option's flag."""
    return "--" + name.replace("_", "-")


_FLAGGED = ("", "branch", "edit", "export", "sampler", "spacing")  # groups whose options are flags by name


def flag_of(field: str, known: Collection[str]) -> str:
    """The flag of an `OptionError`'s field, where the verb has one; else the field's own name.

    `known` are the names that the verb's flags have in its arguments.
    """
    group, _, name = field.rpartition(".")
    options = [field.replace(".", "_")]  # of guidance: interval_low
    options += [group] if name == "name" else [name] if group in _FLAGGED else []
    if field == "export.picture":  # where --picture is the one to edit
        options = ["only"]
    return next((flag(one) for one in options if one in known), field)


def own(default: Any = None) -> str:
    """What is said of the default of a setting that a model may bring, with the one of models that do not."""
    return "(default the model's own" + ("" if default in (None, "") else f", else {default}") + ")"


def add_options(
    verb: Any, options: Iterable[Option], skip: Iterable[str] = (), brought: Iterable[str] = ()
) -> None:
    """A flag for every option. Left out it is None, so that defaults stay where they are declared.

    `brought` names those that a model may bring.
    """
    for one in options:
        if one.name not in skip:
            default = None if one.kind is bool else one.default
            shown = (
                own(default)
                if one.name in brought
                else ""
                if default in (None, "")
                else f"(default {default})"
            )
            _add(verb, one, "|".join(one.choices), f"{one.help} {shown}".rstrip())


def add_choice(verb: Any, kind: str, registry: Mapping[str, type]) -> None:
    """A flag `--KIND` for a name of the registry, and one for each option that any of its classes has.

    An option that several classes have means the same in all of them, and is one flag.
    """
    group, brought = verb.add_argument_group(f"the {kind} and its options"), kind in DEFAULT_NAMES
    group.add_argument(
        f"--{kind}", metavar="NAME", help=f"one of {', '.join(registry)}" + (f" {own()}" if brought else "")
    )
    owners: dict[str, dict[str, Option]] = {}
    for name, cls in registry.items():
        for one in fields_of(cls):
            owners.setdefault(one.name, {})[name] = one
    for having in owners.values():
        first = next(iter(having.values()))
        if any(one.kind is not first.kind for one in having.values()):
            raise TypeError(
                f"the option {first.name} is of different kinds in {', '.join(having)}: no flag serves them "
                "all"
            )
        defaults = {name: one.default for name, one in having.items() if one.default not in (None, "")}
        alike = len(set(defaults.values())) == 1
        shown = (
            str(next(iter(defaults.values())))
            if alike
            else ", ".join(f"{default} in {name}" for name, default in defaults.items())
        )
        shown = own(shown) if brought else f"(default {shown})" if alike else f"({shown})" if shown else ""
        choices = "|".join(dict.fromkeys(choice for one in having.values() for choice in one.choices))
        _add(group, first, choices, f"{first.help} Of {', '.join(having)} {shown}".rstrip())


def chosen(args: argparse.Namespace, kind: str, registry: Mapping[str, type], before: Any) -> Any:
    """The instance that the flags of `add_choice` say; what they leave out is as in `before`, or the
    class's default.
    """
    name = getattr(args, kind)
    if name is not None and name not in registry:
        raise unknown(kind, name, registry)
    cls = type(before) if name is None else registry[name]
    own = [one.name for one in fields_of(cls)]
    base = {one: getattr(before, one) for one in own} if cls is type(before) else {}
    for other in registry.values():
        for one in fields_of(other):
            if one.name not in own and getattr(args, one.name) is not None:
                raise OptionError(
                    f"{kind}.{one.name}",
                    f"{flag(one.name)} is not an option of the {kind} {name or name_of(registry, before)}, "
                    f"which has: {', '.join(own) or 'none'}.",
                )
    return cls(**{**base, **given(args, fields_of(cls))})


def add_groups(verb: Any) -> None:
    """The flags of all groups of guidance settings."""
    group = verb.add_argument_group("guidance in detail")
    for name in GROUPS:
        flags = flags_of(name)
        add_options(
            group,
            flags.values(),
            brought=[one.name for one in flags.values()] if name in DEFAULT_NAMES else (),
        )


def grouped(args: argparse.Namespace, before: Any) -> dict[str, Any]:
    """The groups that the flags of `add_groups` say; what they leave out is as in the recipe `before`."""
    found = {}
    for name in GROUPS:
        flags = flags_of(name)
        said = given(args, flags.values())
        found[name] = replace(
            getattr(before, name),
            **{inside: said[one.name] for inside, one in flags.items() if one.name in said},
        )
    return found


def given(args: argparse.Namespace, options: Iterable[Option]) -> dict[str, Any]:
    """The options that were given as flags, as values of their kinds."""
    found = {}
    for one in options:
        text = getattr(args, one.name)
        if text is not None:
            found[one.name] = checked(one, _value(one, text))
    return found


def _add(verb: Any, one: Option, choices: str, help: str) -> None:
    if one.kind is bool:
        verb.add_argument(
            flag(one.name), action=argparse.BooleanOptionalAction, default=None, help=help.replace("%", "%%")
        )
    else:
        verb.add_argument(
            flag(one.name), metavar=choices or _METAVARS[one.kind], help=help.replace("%", "%%")
        )


def _value(one: Option, text: Any) -> Any:
    if one.kind in (bool, str):
        return text
    if one.optional and text.casefold() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text  # `checked` says what is wrong with it
