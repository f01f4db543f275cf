"""Options as fields of frozen dataclasses: one declaration serves checks, CLI flags, UI controls and JSON.

A field made by `option` carries its help text and limits. `check` enforces them. `fields_of` lists them for
code that builds flags or controls. `to_json` and `from_json` use a registry, a dict of name -> class.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import Given, OptionError, Setting, choices_of, unknown

_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True)
class DependsOn:
    """A condition for an option to have an effect: the value of another option of the same class.

    `values` are the values of that option with which it has an effect. If they are left out, these are all
    values but `off`, None and ""; without `off` all but the empty ones (None, False, 0, "").
    """

    name: str
    values: tuple[Any, ...] = ()
    off: tuple[Any, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The options whose values decide."""
        return (self.name,)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds if the options have these values, by name."""
        value = values[self.name]
        if self.values:
            return value in self.values
        return value not in (None, "", *self.off) if self.off else bool(value)

    def renamed(self, rename: Callable[[str], str]) -> DependsOn:
        return dataclasses.replace(self, name=rename(self.name))


@dataclass(frozen=True)
class AnyOf:
    """A condition that holds if at least one of `conditions` holds."""

    conditions: tuple[DependsOn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The options whose values decide."""
        return tuple(one.name for one in self.conditions)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds if the options have these values, by name."""
        return any(one.holds(values) for one in self.conditions)

    def renamed(self, rename: Callable[[str], str]) -> AnyOf:
        return AnyOf(tuple(one.renamed(rename) for one in self.conditions))


Depends = tuple[DependsOn | AnyOf, ...]  # all of them must hold


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    depends: Depends = (),
    counted: bool = False,
) -> Any:
    """A dataclass field with a default, a help sentence, and inclusive limits or a list of choices.

    `depends` are the conditions under which the option has an effect; all of them must hold. `counted` says
    that it is an index from 0 of something that people count from 1, as flags and page do.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "low": low,
            "high": high,
            "choices": choices,
            "depends": depends,
            "counted": counted,
        },
    )


@dataclass(frozen=True)
class Option:
    """One field made by `option`. `kind` is its type; an `optional` field may also be None."""

    name: str
    kind: type
    optional: bool
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    depends: Depends = ()
    counted: bool = False

    @property
    def for_people(self) -> Option:
        """The option as flags take it: a `counted` one from 1."""
        if not self.counted:
            return self
        one_more = {
            name: None if value is None else value + 1
            for name, value in (("default", self.default), ("low", self.low), ("high", self.high))
        }
        return dataclasses.replace(self, **one_more)


def fields_of(cls: type) -> list[Option]:
    """The fields of a dataclass that were declared by `option`, in order."""
    found = []
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata:
            continue
        name, _, rest = str(field.type).partition(" | ")
        found.append(Option(field.name, _KINDS[name], rest == "None", field.default, **field.metadata))
    return found


def idle_names(fields: Iterable[Option], values: Mapping[str, Any]) -> set[str]:
    """The names of the options that have no effect, because other options switch them off.

    `values` are the values of at least the options on which they depend, by name.
    """
    return {one.name for one in fields if not all(condition.holds(values) for condition in one.depends)}


def check(given: Any, group: str = "", unicode: bool = False) -> None:
    """Raise `OptionError` unless every field made by `option` holds a value of its type within its limits.

    `group` is the prefix of the field names in errors: "sampler" for `sampler.eta`. A whole float is accepted
    for an int and an int for a float, because JSON and sliders do not distinguish them; the instance then
    holds the declared type. With `unicode` texts must be valid Unicode, which file names need not be.
    """
    for field in fields_of(type(given)):
        value = checked(field, getattr(given, field.name), group)
        if unicode and isinstance(value, str):
            _check_unicode(dotted(group, field.name), value)
        object.__setattr__(given, field.name, value)


def dotted(group: str, name: str) -> str:
    """The field name "group.name" for an `OptionError`, or "name" if `group` is empty."""
    return ".".join(part for part in (group, name) if part)


def checked(field: Option, value: Any, group: str = "") -> Any:
    """`value` converted to the field's type. Raises `OptionError` for another type or a forbidden value."""
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
    wrong = OptionError(name, f"must be {_describe(field)}", Given(value))
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
    """Raise `OptionError` for a text that is not valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        wrong = ord(text[error.start])
        found = (
            f"the byte 0x{wrong - 0xDC00:02X}, which is not valid UTF-8"
            if 0xDC80 <= wrong <= 0xDCFF
            else f"U+{wrong:04X}, a surrogate without its pair"
        )
        raise OptionError(
            name,
            f"must be valid Unicode; {ascii(text)[:80]} holds {found}. Save the text in UTF-8, or type it.",
        ) from None


def numbers(text: str, what: str, kind: type) -> tuple:
    """The numbers of a comma-separated text, converted by `kind` (int or float). Whole floats become ints.

    Raises `OptionError` with the field `what` if the text holds anything else.
    """
    try:
        found = tuple(kind(part) for part in text.split(",") if part.strip())
        return tuple(int(v) if v == int(v) else v for v in found)
    except (ValueError, OverflowError):  # int(inf) raises OverflowError
        raise OptionError(
            what, "must be numbers with commas between them, such as 1,2,2", Given(text, "; ")
        ) from None


def index_of(kind: str, given: str, names: Sequence[str], field: str = "label") -> int:
    """The index of `given` in `names`: the exact match, else the only match regardless of case.

    `kind` says what the names are ("label"), and `field` is the setting that holds the name; both appear in
    the error. Raises `OptionError` for an unknown name, and for one that matches several names by case only.
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
            "differ in case only. Give one of them with its exact case.",
        )
    return matches[0]


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON can hold an int that is too large for a float
        return False


def _describe(field: Option) -> str:
    """The kind and the limits of a field, as the end of a sentence."""
    kind = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text"}[field.kind]
    if field.low is not None and field.high is not None:
        return f"{kind} from {field.low:g} to {field.high:g}"
    if field.low is not None:
        return f"{kind}, at least {field.low:g}"
    if field.high is not None:
        return f"{kind}, at most {field.high:g}"
    return kind


def name_of(registry: Mapping[str, type], given: Any) -> str:
    """The name under which a registry lists the class of `given`. Raises `OptionError` if it does not."""
    for name, cls in registry.items():
        if type(given) is cls:
            return name
    raise OptionError(
        "name", f"{type(given).__name__} is not registered. Choose one of: {', '.join(registry)}."
    )


def to_json(registry: Mapping[str, type], given: Any) -> dict[str, Any]:
    """A registered instance as `{"name": ..., option: value, ...}` with all options."""
    return {"name": name_of(registry, given), **dataclasses.asdict(given)}


def from_json(registry: Mapping[str, type], kind: str, given: Any) -> Any:
    """The inverse of `to_json`. A bare name means the class with its defaults."""
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
    """An instance of a registered class. `given` is such an instance, a name, or JSON as `to_json` makes it.

    `kind` says what the names are ("sampler"), and is the field of the error.
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
    """`cls(**given)`, where an unknown field name raises `OptionError`. Lists become tuples.

    In the error, `kind` says what the names are, and `group` is the prefix of the field.
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
    """The command-line arguments that set an option to a value."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if str(value).startswith("-"):
        return [f"--{flag}={value}"]
    return [f"--{flag}", "none" if value is None else value]


def all_words(given: Any, base: Any) -> list[Any]:
    """The command-line arguments of every option whose value, here or in `base`, is not the default."""
    found = []
    for field in fields_of(type(given)):
        value = getattr(given, field.name)
        if {value, getattr(base, field.name, value)} != {field.default}:
            found += words(field.name, value)
    return found
