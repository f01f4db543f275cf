"""Labels and prompts of a recipe: one for all pictures, or a list with one entry for each picture.

A text to spell is also a list of labels: one picture for each letter, laid out like the text.

This module does not import `Recipe`, because `recipe` imports it. It reads recipes by their attributes.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import OptionError
from ..imaging.layout import Layout, text_lines
from .edits import Travel

ANY = "any"  # the visible name of the label None
MAX_PROMPT = 2000  # letters
LISTS = {"labels": "label", "prompts": "prompt"}  # list setting -> the single setting that it replaces


def check_single(recipe: Any) -> None:
    """Raise `OptionError` if `label` or `prompt` holds a list."""
    for name, single in LISTS.items():
        if isinstance(given := getattr(recipe, single), (list, tuple)):
            raise OptionError(
                single,
                f"{single} is one text for all pictures, got {given!r:.80}. For one {single} for each "
                f"picture give {name}.",
            )


def label_of(given: str | None) -> str | None:
    """Normalize a label for a recipe: "any" becomes None."""
    return None if given == ANY else given


def prompt_of(given: str | None, name: str = "prompt") -> str | None:
    """Normalize a prompt for a recipe: single spaces, None if empty. `name` names the setting in an
    `OptionError`, which is raised if it is longer than `MAX_PROMPT`.
    """
    text = " ".join((given or "").split()) or None
    if text is not None and len(text) > MAX_PROMPT:
        raise OptionError(
            name, f"The {name} has {len(text):,} letters; the most is {MAX_PROMPT:,}. Make it shorter."
        )
    return text


def checked_lists(recipe: Any) -> dict[str, Any]:
    """Check the lists of a recipe. Returns the normalized values of `label`, `labels`, `prompt`, `prompts`,
    `spell`.

    A list of one entry becomes a single label or prompt. Raises `OptionError` for combinations that are not
    allowed, and for a list whose length is not the number of pictures.
    """
    settings = _checked_spelling(recipe)
    for name, single in LISTS.items():
        if name in settings:
            continue
        given = getattr(recipe, name)
        entries = _entries(name, single, given)
        if not entries:
            settings[name] = ()
            continue
        if getattr(recipe, single) is not None:
            raise OptionError(
                name,
                f"A recipe has one {single} for all pictures, or {name} for each of them; both were given "
                f"({getattr(recipe, single)!r:.80} and {len(entries)} {name}). Leave one of them out.",
            )
        if isinstance(recipe.edit, Travel):
            raise OptionError(
                name, f"{recipe.edit.title}: its stops say what each picture shows. Leave the {name} out."
            )
        if len(entries) != (pictures := recipe.pictures):
            raise OptionError(
                name,
                f"{len(entries)} {name if len(entries) > 1 else single} for {pictures} "
                f"picture{'s' * (pictures > 1)}. Give one {single} for each picture, or one for all.",
            )
        settings |= {name: (), single: entries[0]} if pictures == 1 else {name: entries}
    return settings


def spelled(text: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Normalize a text to spell. Returns the text with line breaks (None if empty), and its letters in order.

    Lines longer than `imaging.layout.LINE` letters are broken at a blank.
    """
    lines = text_lines((text or "").replace("\\n", "\n"))
    return "\n".join(lines) or None, tuple("".join("".join(lines).split()))


def spell_layout(text: str) -> Layout:
    """The positions of the letters of a normalized text on the sheet."""
    return Layout.of_lines(text.split("\n"))


def known_letters(text: str, labels: Sequence[str]) -> tuple[str, str, str]:
    """Reduce a text to letters that are labels. Returns the text, the letters that lost an accent, and the
    letters left out.

    An accent is removed only if the plain letter is a label and the accented one is not. The second and third
    results contain each letter once.
    """
    letters, plain, dropped = [], {}, {}
    for one in unicodedata.normalize("NFC", text):
        base = unicodedata.normalize("NFKD", one)[0]
        if one.isspace() or one in labels:
            letters.append(one)
        elif base in labels:
            letters.append(base)
            plain[one] = None
        else:
            dropped[one] = None
    return "".join(letters), "".join(plain), "".join(dropped)


def can_spell(labels: Sequence[str]) -> bool:
    """Whether a model with these labels can spell words: every label is one letter, and A, E, I, O, U are
    among them.
    """
    return set("AEIOU") <= set(labels) and all(len(label) == 1 for label in labels)


def _checked_spelling(recipe: Any) -> dict[str, Any]:
    """The values of `spell`, `label` and `labels` for a recipe with a text to spell. A single letter becomes
    a label.
    """
    text, letters = spelled(recipe.spell)
    if text is None:
        return {"spell": None}
    if recipe.label is not None or (recipe.labels or letters) != letters:
        raise OptionError(
            "spell", f"{text!r:.80} says the label of each picture. Leave label and labels out, or spell."
        )
    if isinstance(recipe.edit, Travel):
        raise OptionError(
            "spell", f"{recipe.edit.title}: its stops say what each picture shows. Leave spell out."
        )
    if len(letters) != (pictures := recipe.pictures):
        raise OptionError(
            "spell",
            f"{text!r:.80} has {len(letters)} letters, and the run {pictures} "
            f"picture{'s' * (pictures > 1)}. Ask for as many pictures as letters, up to 64.",
        )
    if len(letters) == 1:
        return {"spell": None, "labels": (), "label": letters[0]}
    return {"spell": text, "labels": letters}


def _entries(name: str, single: str, given: Any) -> tuple[str | None, ...]:
    """The entries of a list, normalized and checked."""
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise OptionError(
            name,
            f"{name} must be a list with one {single} for each picture, got {given!r:.80}. For one {single} "
            f"for all, give {single}.",
        )
    for k, one in enumerate(given):
        if one is not None and not isinstance(one, str):
            raise OptionError(
                name, f"{name} holds texts; entry {k + 1} is {one!r:.80}. Give a text, or None for any."
            )
        try:
            (one or "").encode()
        except UnicodeEncodeError:
            raise OptionError(
                name, f"{name} must be valid Unicode; entry {k + 1} is {ascii(one)[:80]}. Type it anew."
            ) from None
    of = {
        "labels": label_of,
        "prompts": lambda one: prompt_of(one, "prompt"),
    }[name]
    return tuple(map(of, given))


def replace_other(settings: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Remove settings of a base recipe that `given` replaces: a single label if `given` has labels, and the
    reverse.

    `settings` (changed in place) are those of the base overlaid with `given`. Prompts and `spell` are treated
    alike.
    """
    if given.get("spell"):
        settings |= {name: given.get(name) for name in ("label", "labels")}
    elif given.keys() & {"label", "labels"} and "spell" not in given and settings.get("spell"):
        settings["spell"] = None
        if "labels" not in given:
            settings.pop("labels", None)
    for name, single in LISTS.items():
        if given.get(name) and single not in given:
            settings[single] = None
        elif single in given and name not in given:
            settings.pop(name, None)


def seeds_for(settings: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The seeds for `settings`, adapted to the number of labels or prompts in `given`.

    They are adapted only if the present seeds count up by one, and no run of several pictures is continued.
    """
    seeds, count = settings.get("seeds", (0,)), count_of(given)
    branch = settings.get("branch")
    parent = branch.get("recipe") if isinstance(branch, Mapping) else getattr(branch, "recipe", None)
    if not count or not isinstance(seeds, tuple) or getattr(parent, "pictures", 1) != 1:
        return seeds
    first = seeds[0]
    return tuple(range(first, first + count)) if seeds == tuple(range(first, first + len(seeds))) else seeds


def count_of(given: Mapping[str, Any]) -> int | None:
    """The number of pictures that the lists and the text in `given` ask for; None if they say nothing or
    disagree.
    """
    counts = {
        len(given[name]) for name in LISTS if isinstance(given.get(name), (list, tuple)) and given[name]
    }
    if isinstance(given.get("spell"), str) and 0 < len(letters := spelled(given["spell"])[1]) <= 64:
        counts.add(len(letters))
    return counts.pop() if len(counts) == 1 else None


def command_words(recipe: Any) -> list[str]:
    """Command line arguments for the labels (or the text to spell) of a recipe, and for its prompts if they
    are a list.
    """
    name, text = (
        ("--spell", recipe.spell)
        if recipe.spell
        else ("--labels", join_labels([label or ANY for label in recipe.labels]))
        if recipe.labels
        else ("--label", recipe.label or ANY)
    )
    found = [f"{name}={text}"] if text.startswith("-") else [name, text]
    for prompt in recipe.prompts:
        found += [f"--prompt={prompt}"] if (prompt or "").startswith("-") else ["--prompt", prompt or ""]
    return found


def join_labels(labels: Sequence[str]) -> str:
    """Join labels to one line with commas, quoting those that contain a comma (CSV)."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(labels)
    return line.getvalue()


def split_labels(text: str) -> tuple[str, ...]:
    """Split a line of labels with commas, the inverse of `join_labels`."""
    return tuple(part.strip() for part in next(csv.reader([text], skipinitialspace=True), []))
