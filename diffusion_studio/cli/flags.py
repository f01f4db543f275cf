"""Command line flags made from option dataclasses, and the values that the flags give."""

from __future__ import annotations

import argparse
import re
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
    """Add the flags for the models' folder, the device and the precision."""
    verb.add_argument("--checkpoints", metavar="FOLDER", help="folder of the models (default ./checkpoints)")
    verb.add_argument("--device", default="auto", help=f"one of {', '.join(DEVICES)} (default auto)")
    verb.add_argument("--precision", default="auto", help=f"one of {', '.join(PRECISIONS)} (default auto)")


def studio_of(args: argparse.Namespace) -> Any:
    """The Studio that the flags of `add_machine` describe."""
    from ..studio import Studio

    return Studio(args.checkpoints, args.device, args.precision)


def flag(name: str) -> str:
    """The flag of an option."""
    return "--" + name.replace("_", "-")


_FLAGGED = ("", "branch", "edit", "export", "sampler", "spacing")  # groups whose flags lack the group's name


def flag_of(field: str, known: Collection[str]) -> str:
    """The flag for the field of an `OptionError`, if the verb has one; otherwise the field's name.

    `known` are the names of the verb's arguments.
    """
    group, _, name = field.rpartition(".")
    options = [field.replace(".", "_")]  # of guidance: interval_low
    options += [group] if name == "name" else [name] if group in _FLAGGED else []
    if field == "export.picture":  # --picture is the picture to edit
        options = ["only"]
    return next((flag(one) for one in options if one in known), field)


def worded(error: OptionError, known: Collection[str], flags: Collection[str]) -> str:
    """The message of an error, with flags in the place of settings' names.

    It starts with the error's own flag, if that is one of `flags` and the message does not name it.
    """
    text = error.worded(lambda field: flag_of(field, known))
    own = flag_of(error.field, known)
    name = re.escape(own.removeprefix("--").removesuffix("s")).replace(r"\-", "[ _-]")
    named = own in text or re.search(rf"\b{name}s?\b", text, re.IGNORECASE)
    return text if named or own not in flags else f"{own}: {text}"


def default_note(default: Any = None) -> str:
    """The help's note on the default of a setting that a model may set itself; `default` is for models
    that do not.
    """
    return "(default the model's own" + ("" if default in (None, "") else f", else {default}") + ")"


def add_options(
    verb: Any, options: Iterable[Option], skip: Iterable[str] = (), model_set: Iterable[str] = ()
) -> None:
    """Add a flag for every option. A flag that is not given is None, so defaults stay where they are
    declared.

    `model_set` names the options that a model may set.
    """
    for given_option in options:
        one = given_option.for_people
        if one.name not in skip:
            default = None if one.kind is bool else one.default
            shown = (
                default_note(default)
                if one.name in model_set
                else ""
                if default in (None, "")
                else f"(default {default})"
            )
            counted = "Counted from 1." if one.counted else ""
            _add(verb, one, "|".join(one.choices), " ".join(filter(None, (one.help, counted, shown))))


def add_choice(verb: Any, kind: str, registry: Mapping[str, type]) -> None:
    """Add a flag `--KIND` for a name of the registry, and one for each option that any of its classes has.

    Several classes may have an option of the same name and meaning; it is one flag.
    """
    group, model_set = verb.add_argument_group(f"the {kind} and its options"), kind in DEFAULT_NAMES
    group.add_argument(
        f"--{kind}",
        metavar="NAME",
        help=f"one of {', '.join(registry)}" + (f" {default_note()}" if model_set else ""),
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
        shown = (
            default_note(shown)
            if model_set
            else f"(default {shown})"
            if alike
            else f"({shown})"
            if shown
            else ""
        )
        choices = "|".join(dict.fromkeys(choice for one in having.values() for choice in one.choices))
        _add(group, first, choices, f"{first.help} Of {', '.join(having)} {shown}".rstrip())


def choice_from_flags(args: argparse.Namespace, kind: str, registry: Mapping[str, type], before: Any) -> Any:
    """The instance that the flags of `add_choice` describe. Options that are not given are those of `before`
    if it is of the same class, else the defaults.

    Raises `OptionError` for an unknown name, and for options that the class does not have.
    """
    name = getattr(args, kind)
    if name is not None and name not in registry:
        raise unknown(kind, name, registry)
    cls = type(before) if name is None else registry[name]
    names = [one.name for one in fields_of(cls)]
    base = {one: getattr(before, one) for one in names} if cls is type(before) else {}
    for other in registry.values():
        for one in fields_of(other):
            if one.name not in names and getattr(args, one.name) is not None:
                raise OptionError(
                    f"{kind}.{one.name}",
                    f"{flag(one.name)} is not an option of the {kind} {name or name_of(registry, before)}, "
                    f"which has: {', '.join(names) or 'none'}.",
                )
    return cls(**{**base, **given(args, fields_of(cls))})


def add_groups(verb: Any) -> None:
    """Add the flags of all groups of guidance settings."""
    group = verb.add_argument_group("guidance in detail")
    for name in GROUPS:
        flags = flags_of(name)
        add_options(
            group,
            flags.values(),
            model_set=[one.name for one in flags.values()] if name in DEFAULT_NAMES else (),
        )


def groups_from_flags(args: argparse.Namespace, before: Any) -> dict[str, Any]:
    """The groups that the flags of `add_groups` describe. Options that are not given are those of the
    recipe `before`.
    """
    found = {}
    for name in GROUPS:
        flags = flags_of(name)
        changes = given(args, flags.values())
        found[name] = replace(
            getattr(before, name),
            **{inside: changes[one.name] for inside, one in flags.items() if one.name in changes},
        )
    return found


def given(args: argparse.Namespace, options: Iterable[Option]) -> dict[str, Any]:
    """The options that were given as flags, converted and checked. Flags count from 1 what is an index from
    0 here. Raises `OptionError`.
    """
    found = {}
    for one in options:
        text = getattr(args, one.name)
        if text is not None:
            value = checked(one.for_people, _value(one, text))
            found[one.name] = value - 1 if one.counted and value is not None else value
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
    return text  # `checked` raises the error
