"""Labels and prompts of a recipe: one for all pictures, or a list with one for each picture.

A text that is spelled is a list of labels too: a picture for each letter, which stand as the text does.

Recipes are known here by their fields alone, as `recipe` stands on top of this.
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

ANY = "any"  # what people write and see for the label None
MAX_PROMPT = 2000  # letters
LISTS = {"labels": "label", "prompts": "prompt"}  # each list, and what it takes the place of


def check_single(recipe: Any) -> None:
    """An `OptionError` where `label` or `prompt` holds a list."""
    for name, single in LISTS.items():
        if isinstance(given := getattr(recipe, single), (list, tuple)):
            raise OptionError(
                single,
                f"{single} is one text for all pictures, got {given!r:.80}. For one {single} for each "
                f"picture give {name}.",
            )


def label_of(given: str | None) -> str | None:
    """A label as a recipe holds it: None for any."""
    return None if given == ANY else given


def prompt_of(given: str | None, name: str = "prompt") -> str | None:
    """A prompt as a recipe holds it: single spaces, None for none. `name` names it in an error."""
    text = " ".join((given or "").split()) or None
    if text is not None and len(text) > MAX_PROMPT:
        raise OptionError(
            name, f"The {name} has {len(text):,} letters; the most is {MAX_PROMPT:,}. Make it shorter."
        )
    return text


def settled(recipe: Any) -> dict[str, Any]:
    """The lists of a recipe checked, with `label` and `prompt`: a list of one is a single label or prompt.

    An `OptionError` says what does not go together, and both numbers where a list has another length than
    the run has pictures.
    """
    found = _settled_spelling(recipe)
    for name, single in LISTS.items():
        if name in found:
            continue
        given = getattr(recipe, name)
        entries = _entries(name, single, given)
        if not entries:
            found[name] = ()
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
        found |= {name: (), single: entries[0]} if pictures == 1 else {name: entries}
    return found


def spelled(text: str | None) -> tuple[str | None, tuple[str, ...]]:
    """A text to spell as a recipe holds it, with its line breaks, and its letters in their order.

    Lines of more than `LINE` letters are broken at a blank.
    """
    lines = text_lines((text or "").replace("\\n", "\n"))
    return "\n".join(lines) or None, tuple("".join("".join(lines).split()))


def spell_layout(text: str) -> Layout:
    """Where the letters of a spelled text stand."""
    return Layout.of_lines(text.split("\n"))


def known_letters(text: str, labels: Sequence[str]) -> tuple[str, str, str]:
    """A text in letters that are labels: without accents where only the plain letter is one, and without
    what is none. With it the letters that lost their accent, and those that were left out, each once.
    """
    kept, plain, dropped = [], {}, {}
    for one in unicodedata.normalize("NFC", text):
        base = unicodedata.normalize("NFKD", one)[0]
        if one.isspace() or one in labels:
            kept.append(one)
        elif base in labels:
            kept.append(base)
            plain[one] = None
        else:
            dropped[one] = None
    return "".join(kept), "".join(plain), "".join(dropped)


def can_spell(labels: Sequence[str]) -> bool:
    """Whether a model with these labels can spell words: its labels are letters."""
    return set("AEIOU") <= set(labels) and all(len(label) == 1 for label in labels)


def _settled_spelling(recipe: Any) -> dict[str, Any]:
    """The labels of a recipe that spells a text; a single letter is a label like any other."""
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
    """A list's entries as a recipe holds them."""
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
    """Take out of `settings`, which are those of a base with `given` over them, the base's one label where
    `given` has labels, and the base's labels where it has a label; prompts alike.
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
    """The seeds of `settings`; as many as there are labels or prompts in `given` where they count up, and no
    run of several pictures is continued.
    """
    seeds, count = settings.get("seeds", (0,)), count_of(given)
    branch = settings.get("branch")
    parent = branch.get("recipe") if isinstance(branch, Mapping) else getattr(branch, "recipe", None)
    if not count or not isinstance(seeds, tuple) or getattr(parent, "pictures", 1) != 1:
        return seeds
    first = seeds[0]
    return tuple(range(first, first + count)) if seeds == tuple(range(first, first + len(seeds))) else seeds


def count_of(given: Mapping[str, Any]) -> int | None:
    """How many pictures the lists and the text in `given` ask for; None where they do not say, or differ."""
    counts = {
        len(given[name]) for name in LISTS if isinstance(given.get(name), (list, tuple)) and given[name]
    }
    if isinstance(given.get("spell"), str) and 0 < len(letters := spelled(given["spell"])[1]) <= 64:
        counts.add(len(letters))
    return counts.pop() if len(counts) == 1 else None


def words(recipe: Any) -> list[str]:
    """The words of the command line that say the labels, and the prompts where they are a list. A text to
    spell is an option of its own.
    """
    name, text = (
        ("--spell", recipe.spell)
        if recipe.spell
        else ("--labels", joined([label or ANY for label in recipe.labels]))
        if recipe.labels
        else ("--label", recipe.label or ANY)
    )
    found = [f"{name}={text}"] if text.startswith("-") else [name, text]
    for prompt in recipe.prompts:
        found += [f"--prompt={prompt}"] if (prompt or "").startswith("-") else ["--prompt", prompt or ""]
    return found


def joined(labels: Sequence[str]) -> str:
    """Labels in one line with commas between them; one that has a comma stands in quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(labels)
    return line.getvalue()


def split(text: str) -> tuple[str, ...]:
    """The labels of a line that `joined` made, or that was typed so."""
    return tuple(part.strip() for part in next(csv.reader([text], skipinitialspace=True), []))
