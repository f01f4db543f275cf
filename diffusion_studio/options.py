"""Frozen dataclasses of options: one declaration gives the check, the CLI flag, the UI control and the JSON.

A field made by `option` carries its help and limits. `check` enforces them, `fields_of` lists them for
those who build controls, and `to_json` / `from_json` go through a registry (a dict of name -> class).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import OptionError, Setting, choices_of, unknown

_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with a sentence of help and inclusive limits."""
    return dataclasses.field(
        default=default, metadata={"help": help, "low": low, "high": high, "choices": choices}
    )


@dataclass(frozen=True)
class Option:
    """What a control needs to know about one field."""

    name: str
    kind: type
    optional: bool
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]


def fields_of(cls: type) -> list[Option]:
    """The options of a dataclass, in order: those of its fields that `option` declared."""
    found = []
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata:
            continue
        name, _, rest = str(field.type).partition(" | ")
        found.append(Option(field.name, _KINDS[name], rest == "None", field.default, **field.metadata))
    return found


def check(given: Any, group: str = "", unicode: bool = False) -> None:
    """Raise `OptionError` unless every field made by `option` holds a value of its kind, inside its limits.

    `group` is what the errors' fields begin with: `sampler` for `sampler.eta`. Whole floats are taken for
    ints and ints for floats, as JSON and sliders do not tell them apart; the instance then holds the declared
    kind. With `unicode` a text has to be valid Unicode, which the names of files need not be.
    """
    for field in fields_of(type(given)):
        value = checked(field, getattr(given, field.name), group)
        if unicode and isinstance(value, str):
            _check_unicode(dotted(group, field.name), value)
        object.__setattr__(given, field.name, value)


def dotted(group: str, name: str) -> str:
    """The name of a setting in an `OptionError`; `group` may be empty."""
    return ".".join(part for part in (group, name) if part)


def checked(field: Option, value: Any, group: str = "") -> Any:
    """`value` as the field's kind, or an `OptionError` that names the limits."""
    name = dotted(group, field.name)
    if value is None and field.optional:
        return None
    if field.choices:
        if value not in field.choices:
            raise OptionError(
                name,
                "There is no ",
                Setting(name),
                f" {str(value)[:80]!r}. {choices_of(value, field.choices)}",
            )
        return value
    wrong = OptionError(name, f"must be {_describe(field)}, got {value!r}.")
    if field.kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
            raise wrong
        if field.kind is int and value != int(value):
            raise wrong
        value = field.kind(value)
        if (field.low is not None and value < field.low) or (field.high is not None and value > field.high):
            raise wrong
    elif not isinstance(value, field.kind):
        raise wrong
    return value


def _check_unicode(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        wrong = ord(text[error.start])
        found = (
            f"the byte 0x{wrong - 0xDC00:02X}, which is no UTF-8"
            if 0xDC80 <= wrong <= 0xDCFF
            else f"U+{wrong:04X}, which is half a letter"
        )
        raise OptionError(
            name,
            f"must be valid Unicode; {ascii(text)[:80]} holds {found}. Save the text in UTF-8, or type it.",
        ) from None


def numbers(text: str, what: str, kind: type) -> tuple:
    """The int or float numbers in a text with commas between them; whole floats as int. `what` names it in
    an error.
    """
    try:
        found = tuple(kind(part) for part in text.split(",") if part.strip())
        return tuple(int(v) if v == int(v) else v for v in found)
    except (ValueError, OverflowError):  # the latter: infinity is no whole number
        raise OptionError(
            what, f"must be numbers with commas between them, such as 1,2,2; got {text!r}."
        ) from None


def index_of(kind: str, given: str, names: Sequence[str], field: str = "label") -> int:
    """The index of a name: of the exact one, as "A" and "a" may both be names, else whatever the case.
    `kind` says in an error what the names are, `field` which setting holds the name.

    Raises `OptionError` for an unknown name, and for one that matches several names apart from case.
    """
    if given in names:
        return names.index(given)
    matches = [k for k, name in enumerate(names) if name.casefold() == given.casefold()]
    if not matches:
        raise unknown(kind, given, names, field)
    if len(matches) > 1:
        raise OptionError(
            field,
            f"The {kind} {given!r} could be {' or '.join(repr(names[k]) for k in matches)}, which "
            "differ in case only. Give one of them exactly.",
        )
    return matches[0]


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float: JSON can hold one
        return False


def _describe(field: Option) -> str:
    kind = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text"}[field.kind]
    if field.low is not None and field.high is not None:
        return f"{kind} from {field.low:g} to {field.high:g}"
    if field.low is not None:
        return f"{kind}, at least {field.low:g}"
    if field.high is not None:
        return f"{kind}, at most {field.high:g}"
    return kind


def name_of(registry: Mapping[str, type], given: Any) -> str:
    """The registry's name for an instance's class."""
    for name, cls in registry.items():
        if type(given) is cls:
            return name
    raise OptionError(
        "name", f"{type(given).__name__} is not registered. Registered are: {', '.join(registry)}."
    )


def to_json(registry: Mapping[str, type], given: Any) -> dict[str, Any]:
    """`{"name": ..., option: value, ...}` of a registered instance, with every option."""
    return {"name": name_of(registry, given), **dataclasses.asdict(given)}


def from_json(registry: Mapping[str, type], kind: str, given: Any) -> Any:
    """The inverse of `to_json`. A bare name stands for the class with its defaults."""
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping) or "name" not in given:
        raise OptionError(kind, f"A {kind} is a name or an object with a 'name', got {given!r}.")
    options = dict(given)
    name = options.pop("name")
    if not isinstance(name, str) or name not in registry:
        raise unknown(kind, name, registry)
    return build(registry[name], options, f"option of the {kind} {name!r}", kind)


def instance(registry: Mapping[str, type], kind: str, given: Any) -> Any:
    """An instance of a registered class from itself, its name, or its JSON.

    `kind` says in the error what it is, and is the error's field.
    """
    if isinstance(given, (str, Mapping)):
        return from_json(registry, kind, given)
    if type(given) not in registry.values():
        raise OptionError(
            kind,
            f"must be a name, or an object with a name and its options, got {given!r:.80}. Choose one of: "
            f"{', '.join(registry)}.",
        )
    return given


def build(cls: type, given: Mapping[str, Any], kind: str, group: str = "") -> Any:
    """`cls(**given)`, with an `OptionError` for a name that is not a field. Lists become tuples.

    `kind` says in the error what the names are, `group` what the error's field begins with.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    for name in given:
        if name not in names:
            raise unknown(kind, name, names, dotted(group, name))
    try:
        return cls(**{name: _as_tuple(value) for name, value in given.items()})
    except TypeError as error:
        raise OptionError(group or "name", f"Not a valid {cls.__name__}: {error}") from error


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def words(name: str, value: Any) -> list[Any]:
    """The words of the command line that give an option its value."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if str(value).startswith("-"):
        return [f"--{flag}={value}"]
    return [f"--{flag}", "none" if value is None else value]


def all_words(given: Any, base: Any) -> list[Any]:
    """The words of every option that is not at its default, here or in `base`."""
    found = []
    for field in fields_of(type(given)):
        value = getattr(given, field.name)
        if {value, getattr(base, field.name, value)} != {field.default}:
            found += words(field.name, value)
    return found
