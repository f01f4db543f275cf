"""Remarks about a model for users: settings that were assumed, and settings that are not followed.

They come from the facts and notes of readers, or, for converted files, from the provenance in the header. The
command line, the app and the Python API use the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .facts import ASSUMED, UNKNOWN
from .reader import Found

MOST_NAMED = 6  # settings that a line names before "and n more"
MOST_CHARACTERS = 420  # of the line of notes
# Words in the names of settings that change pictures silently if they are wrong; these are named first.
_IMPORTANT_WORDS = (
    "schedule",
    "beta",
    "predict",
    "objective",
    "precond",
    "elucidated",
    "mean_type",
    "timesteps",
    "diffusion_steps",
    "version",
)
_OFF_VALUES = (None, False, "", "None", "False")  # settings with such values are named last
_RARE_SETTINGS = (
    "trained_betas",
    "timestep_respacing",
)  # rarely used, so that their absence is not reported as an assumption
_IN_HEADER = f" ({ASSUMED})"


def remarks(found: Found | None, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """At most two lines: one with the settings that had to be assumed, and one with the reader's notes.

    `found` is the result of a reader, or None for a native file, whose `provenance` says how it was
    converted.
    """
    if found is not None:
        assumed = {one.name: one.value for one in found.facts if one.source == ASSUMED}
        strange = [one.name for one in found.facts if one.source == UNKNOWN]
        notes = list(found.notes)
    else:
        assumed, strange, notes = _from_header(provenance)
    if strange:
        notes.append(
            f"its configuration has settings that are not known here and not followed: {_some(strange)}"
        )
    lines = []
    if assumed.keys() - {*_RARE_SETTINGS}:
        named = sorted(
            (name for name in assumed if name not in _RARE_SETTINGS),
            key=lambda name: (
                assumed[name] in _OFF_VALUES,
                not any(word in name for word in _IMPORTANT_WORDS),
            ),
        )
        better = (
            "Give what you know as flags"
            if found is not None
            else "Convert the original again with what you know as flags"
        )
        lines.append(
            "the file does not say, and so it is assumed: "
            f"{_some(f'{name} {_short(assumed[name])}' for name in named)}. "
            f"{better}; 'inspect' shows every setting."
        )
    if notes:
        text = "; ".join(notes)
        lines.append(
            f"note: {text}."
            if len(text) <= MOST_CHARACTERS
            else f"note: {text[:MOST_CHARACTERS].rsplit(' ', 1)[0]} ... ('inspect' shows all of it)"
        )
    return tuple(lines)


def _from_header(provenance: Mapping[str, Any]) -> tuple[dict[str, str], list[str], list[str]]:
    """Assumed settings, unknown names and notes that `convert` stored. A header may hold anything."""
    settings, notes = provenance.get("settings"), provenance.get("notes")
    stated = (
        {str(name)[:80]: str(value)[:200] for name, value in settings.items()}
        if isinstance(settings, Mapping)
        else {}
    )
    return (
        {
            name: value.removesuffix(_IN_HEADER)
            for name, value in stated.items()
            if value.endswith(_IN_HEADER)
        },
        [name for name, value in stated.items() if value.endswith(f" ({UNKNOWN})")],
        [str(one)[:1000] for one in notes] if isinstance(notes, (list, tuple)) else [],
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return (text if len(text) <= 40 else f"{text[:37]}...") or "(empty)"
