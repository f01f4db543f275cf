"""What is known of a foreign checkpoint and whence: every setting with its source."""

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
    """One setting in its origin's own name, its value, and who said so: one of the sources above."""

    name: str
    value: Any
    source: str


class Settings:
    """Settings asked for one by one; each answer is kept as a `Fact`.

    Flags come before the file's configuration, that before a preset, that before what the layout usually is.
    What the shapes tell is never overruled: a flag or a configuration that says otherwise is an error.
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
        """A value that the shapes tell; flags and configuration must agree with it.

        Where they say None they leave it to the program, or, where `none_says_none`, say that there is none.
        """
        self._asked.add(name)
        for source, given in ((FLAG, self.flags), (FILE, self.config)):
            said = given.get(name, MISSING)
            if said is MISSING or (_like(value, said) is None and (value is None or not none_says_none)):
                continue
            if not _same(_like(value, said), value):
                raise CheckpointError(
                    f"The {source} says {name} = {_short(said)}, but the shapes of the weights say "
                    f"{_short(value)}. The two do not belong together; leave {name} out, or use the "
                    "configuration of these weights."
                )
        self.facts.append(Fact(name, value, FILE if name in self.config else INFERRED))
        return value

    def agreed(self, name: str, value: Any, **more: Any) -> None:
        """As `known`, for another name of something that is known already: a fact only where somebody says
        it.
        """
        self._asked.add(name)
        if name in self.flags or name in self.config:
            self.inferred(name, value, **more)

    def said(self, name: str) -> str:
        """What flags or configuration say of a name, as text; empty where they do not."""
        given = self.flags.get(name, self.config.get(name))
        return "" if given is None else str(given).strip()

    def listed(self, name: str, value: Any) -> None:
        """A value that the shapes tell, which the reader has compared with what was said."""
        self._asked.add(name)
        self.facts.append(Fact(name, value, FILE if name in self.config else INFERRED))

    def settled(self, name: str, value: Any) -> Any:
        """A value that the origin's program takes whatever it is told."""
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
        """A value that shapes do not tell. `absent` is what a configuration means by leaving the name out.

        A value has the kind of `assumed`, or is None where it is `optional`.
        """
        self._asked.add(name)
        if name in self.flags:
            value, source = _like(assumed, self.flags[name]), FLAG
        elif name in self.config:
            value, source = _like(assumed, self.config[name]), FILE
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
                name, f"must be a number that means something, got one of {len(str(value)[:400])} digits."
            )
        fits = type(value) is type(assumed) or assumed is None or (value is None and optional)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            raise OptionError(name, f"must be {_KIND[type(assumed)]}, got {_short(value)}.")
        self.facts.append(Fact(name, value, source))
        return value

    def assume(self, name: str, value: Any) -> Any:
        """A value taken in place of the null that was read; the fact says that it is assumed."""
        self.facts = [one for one in self.facts if one.name != name] + [Fact(name, value, ASSUMED)]
        return value

    def finish(self, ignored: Iterable[str] = (), whole: bool = False) -> tuple[Fact, ...]:
        """The facts; an `OptionError` for a flag that nobody asked for.

        `ignored` are the origin's names of what plays no part in drawing. Where the layout knows the `whole`
        of its origin's configuration, names in the file's that nobody asked for are facts too.
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
    """Raise `CheckpointError` where a number of groups does not divide every width that is normalised.

    Our networks would take fewer groups then, and compute something else.
    """
    odd = [width for width in widths if type(groups) is int and (groups < 1 or width % groups)]
    if odd:
        raise CheckpointError(
            f"{name} = {groups} does not divide the {odd[0]} channels of a level of {file}, so its network "
            "cannot have been trained with it. Give the number that it was trained with, or leave it out."
        )


_KIND = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    type(None): "a finite number",
}


def _like(example: Any, given: Any) -> Any:
    """`given` as the kind of `example`, where it can be read so: flags on a command line are texts."""
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
    """A value as JSON, Python or a bare list writes it; the text itself where it is none of these."""
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
    return [_like(0.5, part) for part in text.split(",")] if "," in text else text


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal; a list of one number is that number, and a tuple a list."""

    def plain(value: Any) -> Any:
        return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value

    one, other = plain(one), plain(other)
    return (
        one == other
        or (isinstance(other, list) and [one] == other)
        or (isinstance(one, list) and one == [other])
    )


def flattened(given: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in sections ({"model": {...}, "diffusion": {...}}) as one, by the names inside the
    sections.
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
    """`--num_heads 4 --use_new_attention_order True` (also with =), or a configuration as JSON -> names and
    values.

    Raises `OptionError`.
    """
    import shlex

    if text.lstrip().startswith("{"):
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError(
                "flags", f"The flags {text[:80]!r} begin as JSON and are none: {error}."
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
