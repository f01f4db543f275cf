"""Errors that a user can cause. Every message says what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StudioError(ValueError):
    """Base of all errors whose message is meant for the person at the screen."""


class OptionError(StudioError):
    """A setting is out of range, of the wrong type or unknown."""


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


def unknown(kind: str, given: object, allowed: Iterable[object]) -> OptionError:
    """The error for a name that is not in a list, with the nearest name that is."""
    names = [str(name) for name in allowed]
    by_folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(str(given).casefold(), by_folded, n=1, cutoff=0.5)
    guess = f" Did you mean {by_folded[near[0]]!r}?" if near else ""
    listed = ", ".join(names) or "none"
    return OptionError(f"There is no {kind} {str(given)[:80]!r}. Choose one of: {listed}.{guess}")
