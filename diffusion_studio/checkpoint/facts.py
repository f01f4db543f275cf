"""The settings of a foreign checkpoint, each with its source."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CheckpointError, OptionError, unknown

FLAG, FILE, INFERRED, PRESET, ASSUMED = "flag", "file's config", "inferred from shapes", "preset", "assumed"
LAYOUT, IDLE, UNKNOWN = "settled by the layout", "plays no part in drawing", "not known here"
MISSING = object()


@dataclass(frozen=True)
class Fact:
    """One setting by its original name, its value, and its source: one of the constants above."""

    name: str
    value: Any
    source: str


class Settings:
    """Settings that a reader asks for one by one. Each answer is kept as a `Fact`.

    Flags have priority over the file's configuration, this over a preset, and this over the usual value of
    the layout. Values that the shapes determine cannot be changed: flags or configuration that differ are
    errors.
    """

    def __init__(
        self,
        layout: str,
        flags: Mapping[str, Any],
        config: Mapping[str, Any],
        preset: Mapping[str, Any],
        preset_name: str = "",
    ) -> None:
        self.layout = layout
        self.flags = dict(flags)
        self.config = config
        self.preset = preset
        self.preset_source = f"{PRESET} {preset_name}".strip()
        self.facts: list[Fact] = []
        self._asked: set[str] = set()

    def inferred(self, name: str, value: Any, *, none_says_none: bool = False) -> Any:
        """Record a value that the shapes determine, and check flags and configuration against it.

        A None there means that the program decides, or with `none_says_none` that there is none. Raises
        `CheckpointError` if they differ.
        """
        self._asked.add(name)
        for source, given in ((FLAG, self.flags), (FILE, self.config)):
            stated = given.get(name, MISSING)
            if stated is MISSING or (
                _coerced(value, stated) is None and (value is None or not none_says_none)
            ):
                continue
            if not _same(_coerced(value, stated), value):
                raise CheckpointError(
                    f"The {source} says {name} = {_short(stated)}, but the shapes of the weights say "
                    f"{_short(value)}. The two do not belong together; leave {name} out, or use the "
                    "configuration of these weights."
                )
        self.facts.append(Fact(name, value, FILE if name in self.config else INFERRED))
        return value

    def check(self, name: str, value: Any, **more: Any) -> None:
        """Check another name of a known value. It is recorded only if flags or configuration have it."""
        self._asked.add(name)
        if name in self.flags or name in self.config:
            self.inferred(name, value, **more)

    def text_of(self, name: str) -> str:
        """The value of a name in flags or configuration, as text; empty if there is none."""
        given = self.flags.get(name, self.config.get(name))
        return "" if given is None else str(given).strip()

    def record(self, name: str, value: Any) -> None:
        """Record a value that the shapes determine, and that the reader has compared itself."""
        self._asked.add(name)
        self.facts.append(Fact(name, value, FILE if name in self.config else INFERRED))

    def fixed(self, name: str, value: Any) -> Any:
        """Record a value that the original program uses in any case."""
        self._asked.add(name)
        self.facts.append(Fact(name, value, LAYOUT))
        return value

    def read(
        self,
        name: str,
        assumed: Any,
        *,
        absent: Any = MISSING,
        choices: Iterable[Any] = (),
        optional: bool = False,
    ) -> Any:
        """A value that the shapes do not determine. The value `assumed` is used if nothing else gives one.

        `absent` is the value of a configuration without the name. The value has the type of `assumed`, or is
        None if `optional`. Raises `OptionError` for another type, and for a value that is not in `choices`.
        """
        self._asked.add(name)
        if name in self.flags:
            value, source = _coerced(assumed, self.flags[name]), FLAG
        elif name in self.config:
            value, source = _coerced(assumed, self.config[name]), FILE
        elif self.config and absent is not MISSING:
            value, source = absent, f"{FILE} (left out)"
        elif name in self.preset:
            value, source = self.preset[name], self.preset_source
        else:
            value, source = assumed, ASSUMED
        if choices and value not in choices:
            raise unknown(f"{name} of the layout {self.layout}", value, choices, field=name)
        if isinstance(value, int) and abs(value) > 2**53:
            raise OptionError(
                name, f"must be a number of at most 53 bits, got one of {len(str(value)[:400])} digits."
            )
        fits = type(value) is type(assumed) or assumed is None or (value is None and optional)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            raise OptionError(name, f"must be {_KIND_NAMES[type(assumed)]}, got {_short(value)}.")
        self.facts.append(Fact(name, value, source))
        return value

    def assume(self, name: str, value: Any) -> Any:
        """Replace a null that was read by an assumed value."""
        self.facts = [one for one in self.facts if one.name != name] + [Fact(name, value, ASSUMED)]
        return value

    def finish(self, ignored: Iterable[str] = (), whole: bool = False) -> tuple[Fact, ...]:
        """All facts. Raises `OptionError` for a flag that the reader did not ask for.

        `ignored` are original names without effect on sampling. If the reader knows the `whole` original
        configuration, unknown names in the file's configuration are recorded too.
        """
        ignored = set(ignored)
        for name in self.flags:
            if name not in self._asked | ignored:
                raise unknown(f"flag of the layout {self.layout}", name, sorted(self._asked), field="flags")
        for name, value in {**self.config, **self.flags}.items():
            if name in self._asked:
                continue
            if name in ignored:
                self.facts.append(Fact(name, value, IDLE))
            elif whole:
                self.facts.append(Fact(name, value, UNKNOWN))
        return tuple(self.facts)


def check_groups(name: str, groups: int, widths: Iterable[int], file: str) -> None:
    """Raise `CheckpointError` if a number of groups does not divide all widths that are normalised.

    Our networks would silently use fewer groups, and compute something else.
    """
    odd = [width for width in widths if type(groups) is int and (groups < 1 or width % groups)]
    if odd:
        raise CheckpointError(
            f"{name} = {groups} does not divide the {odd[0]} channels of a level of {file}, so its network "
            "cannot have been trained with it. Give the number that it was trained with, or leave it out."
        )


_KIND_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    type(None): "a finite number",
}


def _coerced(example: Any, given: Any) -> Any:
    """`given` converted to the type of `example` if possible, because flags of a command line are texts."""
    if isinstance(given, str) and not isinstance(example, str):
        folded = given.strip().lower()
        if folded in ("true", "false", "none", "null"):
            given = {"true": True, "false": False}.get(folded)
        else:
            given = parsed(given)
    if isinstance(example, tuple) and isinstance(given, (list, tuple)):
        return tuple(given)
    if isinstance(example, tuple) and isinstance(given, (int, float)) and not isinstance(given, bool):
        return (given,)
    if isinstance(example, bool):
        return bool(given) if type(given) is int and given in (0, 1) else given
    if isinstance(example, float) and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if isinstance(example, int) and isinstance(given, float) and given == given // 1 and abs(given) < 2**53:
        return int(given)
    return given


def parsed(text: str) -> Any:
    """The value of a text in the syntax of JSON, of Python, or of a comma-separated list, else the text."""
    text = text.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text[:1] in "([" and len(text) < 2000:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text
    return [_coerced(0.5, part) for part in text.split(",")] if "," in text else text


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal, where a list of one number equals that number, and tuples equal lists."""

    def plain(value: Any) -> Any:
        return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value

    one, other = plain(one), plain(other)
    return (
        one == other
        or (isinstance(other, list) and [one] == other)
        or (isinstance(one, list) and one == [other])
    )


def flattened(given: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with sections ({"model": {...}, "diffusion": {...}}) without them.

    If a name occurs twice, the value at the shallower level is used.
    """
    found: dict[str, Any] = {}
    waiting = [given]
    while waiting and len(found) < 10_000:
        for name, value in waiting.pop(0).items():
            if isinstance(value, Mapping) and value:
                waiting.append(value)
            else:
                found.setdefault(str(name), value)
    return found


def _short(value: Any) -> str:
    return repr(value)[:80]


def parse_flags(text: str) -> dict[str, Any]:
    """The names and values in a text of flags, or in a JSON object.

    Flags are written `--num_heads 4 --use_new_attention_order True`, also with "=". Raises `OptionError`.
    """
    import shlex

    if text.lstrip().startswith("{"):
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError(
                "flags", f"The flags {text[:80]!r} begin like JSON but are not valid JSON: {error}."
            ) from error
        return flattened(given)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise OptionError("flags", f"The flags {text[:80]!r} cannot be read: {error}.") from error
    found: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        if not word.startswith("--") or len(word) == 2:
            raise OptionError("flags", f"Flags are given as --name value, got {word[:80]!r}.")
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else "True"
        found[name.replace("-", "_")] = value
    return found
