"""Words of a prompt, and letters of a text to spell, that a model was not trained with. No torch."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from ..checkpoint.spec import ModelSpec
from .each_picture import known_letters

_SMALL = frozenset("a an the and or with in on of at to for , ' -".split())  # not worth a warning
_NAMED = 6  # most words that are listed
_LETTERS = 12  # most letters that are listed


def words_not_known(spec: ModelSpec, prompts: Iterable[str | None]) -> list[str]:
    """The words of `prompts` that are missing from the model's vocabulary, but for articles and the like."""
    if not spec.takes_text:
        return []
    unknown = (word for prompt in prompts if prompt for word in spec.tokenizer.unknown(prompt))
    return [word for word in dict.fromkeys(unknown) if word not in _SMALL]


def unknown_words(name: str, spec: ModelSpec, prompts: Iterable[str | None]) -> str:
    """A sentence that lists the words of `prompts` missing from the vocabulary of the model `name`; empty if
    there are none.
    """
    words = words_not_known(spec, prompts)
    if not words:
        return ""
    named = ", ".join(f"“{word[:30]}”" for word in words[:_NAMED]) + (" …" if len(words) > _NAMED else "")
    it = (
        "it, and guesses it from its letters"
        if len(words) == 1
        else "them, and guesses them from their letters"
    )
    return f"{named}: {name} never saw {it}."


def unknown_letters(name: str, text: str, labels: Sequence[str]) -> str:
    """A sentence about the letters of `text` that the model `name` draws without their accent, and those that
    it cannot draw; empty if it draws all of them as they are.
    """
    _, accented, dropped = known_letters(text, labels)
    said = []
    if accented:
        bases = [unicodedata.normalize("NFKD", one)[0] for one in accented]
        said.append(f"draws {_listed(accented)} as {_listed(bases)}")
    if dropped:
        said.append(f"has no {_listed(dropped)}, which {'is' if len(dropped) == 1 else 'are'} left out")
    return f"{name} {'; it '.join(said)}." if said else ""


def _listed(letters: Sequence[str]) -> str:
    """The first letters of a list, joined for a sentence."""
    shown = [*letters[:_LETTERS], "…"] if len(letters) > _LETTERS else [*letters]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
