"""What a person has to know of a model before believing its pictures: what was assumed of it, and what is not
followed.

Readers leave it in their facts and notes, `convert` in a native file's provenance. One place words it, for
the command line, the app and Python alike. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .facts import ASSUMED, UNKNOWN
from .reader import Found

MOST_NAMED = 6  # settings that a line names before "and n more"
MOST_LETTERS = 420  # of the line of notes
# What changes pictures silently where it is wrong comes first.
_PROCESS = (
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
_NOTHING = (None, False, "", "None", "False")  # the origin's usual "not at all" comes last
_UNUSUAL = (
    "trained_betas",
    "timestep_respacing",
)  # which hardly anybody gives: that there are none is no assumption
_IN_HEADER = f" ({ASSUMED})"


def remarks(found: Found | None, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """At most two lines: the settings that had to be assumed, and the reader's notes.

    `found` is what a reader made of a foreign file, or None for a native one, whose `provenance` says how it
    was converted.
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
    if assumed.keys() - {*_UNUSUAL}:
        named = sorted(
            (name for name in assumed if name not in _UNUSUAL),
            key=lambda name: (assumed[name] in _NOTHING, not any(word in name for word in _PROCESS)),
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
            if len(text) <= MOST_LETTERS
            else f"note: {text[:MOST_LETTERS].rsplit(' ', 1)[0]} ... ('inspect' shows all of it)"
        )
    return tuple(lines)


def _from_header(provenance: Mapping[str, Any]) -> tuple[dict[str, str], list[str], list[str]]:
    """What `convert` kept: assumed settings, unknown names, notes. A header can hold anything."""
    settings, notes = provenance.get("settings"), provenance.get("notes")
    said = (
        {str(name)[:80]: str(value)[:200] for name, value in settings.items()}
        if isinstance(settings, Mapping)
        else {}
    )
    return (
        {name: value.removesuffix(_IN_HEADER) for name, value in said.items() if value.endswith(_IN_HEADER)},
        [name for name, value in said.items() if value.endswith(f" ({UNKNOWN})")],
        [str(one)[:1000] for one in notes] if isinstance(notes, (list, tuple)) else [],
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return (text if len(text) <= 40 else f"{text[:37]}...") or "(empty)"
