"""Lanes and axes as text, settings as name=value: parsing and writing."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..errors import OptionError
from ..runs.guidance_options import GROUPS, flags_of
from ..runs.recipe import REGISTRIES, Recipe
from . import settings as named
from .recipes import Axis

AS_IT_IS = "as it is"
RUN_BEFORE = "the run before"  # of a branch: the run that it continues, whole
NOT_EDITED = "without the edit"  # of a run from a picture: the same settings from noise
# these lines as people read them, in menus and as titles of lanes
WORDS = {
    AS_IT_IS: "as it is",
    RUN_BEFORE: "the run that it branched from",
    NOT_EDITED: "without the edit, from noise",
}
_PARTS = re.compile(r'(?:[^,"]|"[^"]*")+')  # of a lane: between commas, but for those in quotes


def lanes_of(base: Recipe, text: str) -> Iterator[Recipe]:
    """The recipes of lanes, one on each line: `as it is` for the base, `the run before` for the run that a
    branch continues, `without the edit` for an edited run from noise, or the settings in which the lane
    differs, such as `sampler=ddpm, steps=20`. A value with a comma stands in quotes.
    """
    for line in text.splitlines():
        if line.strip():
            yield _lane(base, line.strip())


def _lane(base: Recipe, line: str) -> Recipe:
    if (whole := _WHOLE.get(line.casefold())) is not None:
        return whole(base)
    changes = {}
    for part in _PARTS.findall(line):
        name, equals, value = part.partition("=")
        if not equals:
            raise OptionError(
                "lanes",
                f"A lane is {', '.join(map(repr, _WHOLE))}, or settings with commas between them, such as "
                f"sampler=ddpm, steps=20; got {line[:80]!r}.",
            )
        setting = named.setting_name(name.strip())
        changes[setting] = named.parsed(setting, value.strip().strip('"'))
    return named.changed(base, changes)


def _run_before(base: Recipe) -> Recipe:
    if base.branch is None:
        raise OptionError(
            "lanes",
            f"{RUN_BEFORE!r} is the run that a branch continues, and what all runs begin with is no branch. "
            "Compare a branch, or write the settings in which the lane differs.",
        )
    return base.branch.recipe


def _not_edited(base: Recipe) -> Recipe:
    if base.edit is None:
        raise OptionError(
            "lanes",
            f"{NOT_EDITED!r} is for runs from a picture, and what all runs begin with is from noise. Write "
            "the settings in which the lane differs.",
        )
    return replace(base, edit=None)


# lanes that are said by words and not by settings
_WHOLE: dict[str, Callable[[Recipe], Recipe]] = {
    AS_IT_IS: lambda base: base,
    RUN_BEFORE: _run_before,
    NOT_EDITED: _not_edited,
}


def line_of(base: Recipe, lane: Recipe) -> str | None:
    """The line that `lanes_of` reads as this lane; None where no line says it."""
    if base.branch is not None and lane == base.branch.recipe:
        return RUN_BEFORE
    if base.edit is not None and lane == replace(base, edit=None):
        return NOT_EDITED
    here, there = (json.loads(one.to_json()) for one in (lane, base))
    parts: list[str] = []
    for name in {**there, **here}:
        if here.get(name) != there.get(name):
            parts += _parts(name, here.get(name), there.get(name))
    line = ", ".join(parts) or AS_IT_IS
    try:
        return line if _lane(base, line) == lane else None
    except OptionError:
        return None


def _parts(name: str, value: Any, before: Any) -> Iterator[str]:
    """What is written for a setting of a recipe's JSON; an option of a sampler or a spacing stands alone."""
    if name in GROUPS:
        plain = GROUPS[name]()
        for inner, one in flags_of(name).items():
            mine, other = ((given or {}).get(inner, getattr(plain, inner)) for given in (value, before))
            if mine != other:
                yield f"{one.name}={quoted(mine)}"
        return
    if name not in REGISTRIES:
        yield f"{name}={quoted(value)}"
        return
    mine, other = ({"name": one} if isinstance(one, str) else dict(one or {}) for one in (value, before))
    if mine.get("name") != other.get("name"):
        yield f"{name}={mine.get('name')}"
        other = {}
    for option, chosen in mine.items():
        if option != "name" and other.get(option, _default(name, mine["name"], option)) != chosen:
            yield f"{option}={quoted(chosen)}"


def _default(kind: str, name: str, option: str) -> Any:
    return getattr(REGISTRIES[kind][name](), option, None)


def axis_of(text: str) -> Axis:
    """An axis as one writes it: guidance=1, 2, 4. A value with a comma stands in quotes."""
    setting, equals, values = text.partition("=")
    if not equals:
        raise OptionError(
            "axis", f"is a setting and its values, such as guidance=1, 2, 4; got {text[:80]!r}."
        )
    setting = named.setting_name(setting.strip())
    parts = next(csv.reader([values], skipinitialspace=True), [])
    return Axis(setting, tuple(named.parsed(setting, part) for part in parts))


def axis_text(axis: Axis | None) -> str | None:
    """The text that `axis_of` reads as this axis, empty without one; None where no text says it."""
    if axis is None:
        return ""
    text = f"{axis.setting}={', '.join(quoted(value) for value in axis.values)}"
    try:
        return text if axis_of(text) == axis else None
    except OptionError:
        return None


def quoted(value: Any) -> str:
    """A value as one writes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return str(value.get("name", dict(value)))
    text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    return f'"{text}"' if "," in text else text
