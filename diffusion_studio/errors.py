"""Errors that a user can cause. Every message says what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class StudioError(ValueError):
    """Base of all errors whose message is meant for the person at the screen."""


class Setting(str):
    """The name of a setting inside a message: page and command line put their own label in its place."""


class OptionError(StudioError):
    """A setting is out of range, of the wrong type or unknown.

    `field` is the setting's name as a recipe, a training configuration or an evaluation has it, with its
    group before a dot: `steps`, `sampler.eta`, `interval.low`, `edit.mask`, `export.scale`, `network.heads`.
    `message` is one or more texts and `Setting`s, which are joined. One that begins with "must" has the
    field's name put before it.
    """

    def __init__(self, field: str, *message: str) -> None:
        if not message:
            raise TypeError(f"OptionError takes a field and a message, got {field!r} alone.")
        super().__init__(field, *message)
        self.field = field
        self.message = (Setting(field), " ", *message) if message[0].startswith("must ") else message

    def __str__(self) -> str:
        return "".join(self.message)

    def worded(self, label: Callable[[str], str]) -> str:
        """The message with `label(name)` in the place of each setting's name."""
        return "".join(label(part) if isinstance(part, Setting) else part for part in self.message)


class CheckpointError(StudioError):
    """A weight file cannot be read as what it claims to be."""


class CheckpointWarning(UserWarning):
    """A setting of a foreign checkpoint had to be assumed, or is not followed."""


class DataError(StudioError):
    """A data set is missing, broken or of the wrong shape."""


class SamplingError(StudioError):
    """A run came to states that are no finite numbers."""


class ExportError(StudioError):
    """A run cannot be written to, or a recipe read from, the file that was named."""


def unknown(kind: str, given: object, allowed: Iterable[object], field: str | None = None) -> OptionError:
    """The error for a name that is not in a list, with the nearest name that is.

    `field` is the setting that holds the name, where it is not called `kind`.
    """
    return OptionError(field or kind, f"There is no {kind} {str(given)[:80]!r}. {choices_of(given, allowed)}")


def choices_of(given: object, allowed: Iterable[object]) -> str:
    """The sentences that list the names which are allowed, and name the one nearest to `given`."""
    names = [str(name) for name in allowed]
    by_folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(str(given).casefold(), by_folded, n=1, cutoff=0.5)
    guess = f" Did you mean {by_folded[near[0]]!r}?" if near else ""
    return f"Choose one of: {', '.join(names) or 'none'}.{guess}"
