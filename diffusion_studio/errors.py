"""Errors that a user can cause. Each message says what was given, what is allowed, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class StudioError(ValueError):
    """Base class of all errors whose message is written for the user."""


class Setting(str):
    """The name of a setting within a message. Page and command line replace it by their own label."""


class Index(str):
    """An index from 0 within a message, made of an int. Page and command line count from 1 instead."""

    @property
    def number(self) -> str:
        return str(int(self) + 1)


class Given(str):
    """The end of a message: what was given instead of an allowed value, ", got 5.".

    `empty` says that nothing was: None or an empty text. The page, where somebody left a field empty, says
    that instead of a value.
    """

    empty: bool

    def __new__(cls, value: object, before: str = ", ") -> Given:
        text = super().__new__(cls, f"{before}got {value!r}.")
        text.empty = value is None or value == ""
        return text


class OptionError(StudioError):
    """A setting is out of range, of the wrong type or unknown.

    `field` is the setting's name in a recipe, a training configuration or an evaluation, with its group
    before a dot: `steps`, `sampler.eta`, `interval.low`, `edit.mask`, `export.scale`, `network.heads`.
    `message` consists of texts, `Setting`s, `Index`es and `Given`s, which are joined. If it begins with
    "must ", the field's name is put before it.
    """

    def __init__(self, field: str, *message: str) -> None:
        if not message:
            raise TypeError(f"OptionError takes a field and a message, got {field!r} alone.")
        super().__init__(field, *message)
        self.field = field
        self.message = (Setting(field), " ", *message) if message[0].startswith("must ") else message

    def __str__(self) -> str:
        return "".join(self.message)

    def worded(self, label: Callable[[str], str], nothing: str | None = None) -> str:
        """The message for people: each setting's name is replaced by `label(name)`, and each `Index` counts
        from 1. `nothing` takes the place of an empty `Given`.
        """
        return "".join(_worded_part(part, label, nothing) for part in self.message)


class CheckpointError(StudioError):
    """A weight file is missing, broken, or not of the kind that it claims to be."""


class CheckpointWarning(UserWarning):
    """A setting of a foreign checkpoint had to be assumed, or the program does not follow it."""


class DataError(StudioError):
    """A data set is missing, broken or of the wrong shape."""


class SamplingError(StudioError):
    """A state of a run holds values that are not finite numbers."""


class ExportError(StudioError):
    """A run cannot be written to a file, or a recipe cannot be read from one."""


def _worded_part(part: str, label: Callable[[str], str], nothing: str | None) -> str:
    if isinstance(part, Index):
        return part.number
    if isinstance(part, Given) and part.empty and nothing is not None:
        return nothing
    return label(part) if isinstance(part, Setting) else part


def no_such(what: str, field: str, subject: str, index: int, count: int, more: str = "") -> OptionError:
    """The error for an index that is none of `count` things. `what` names one of them, `subject` begins the
    sentence: "The run has".
    """
    if count == 1:
        allowed = (f"{subject} only {what} ", Index(0))
    else:
        allowed = (f"{subject} {what}s ", Index(0), " to ", Index(count - 1))
    return OptionError(field, *allowed, f", got {what} ", Index(index), f".{more}")


def unknown(kind: str, given: object, allowed: Iterable[object], field: str | None = None) -> OptionError:
    """The error for a name that is not in a list. It names the most similar allowed name.

    `kind` says what the names are. `field` is the setting that holds the name; by default it is `kind`.
    """
    return OptionError(field or kind, f"There is no {kind} {str(given)[:80]!r}. {choices_of(given, allowed)}")


def choices_of(given: object, allowed: Iterable[object]) -> str:
    """Sentences that list the allowed names and suggest the one most similar to `given`."""
    names = [str(name) for name in allowed]
    by_folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(str(given).casefold(), by_folded, n=1, cutoff=0.5)
    guess = f" Did you mean {by_folded[near[0]]!r}?" if near else ""
    return f"Choose one of: {', '.join(names) or 'none'}.{guess}"
