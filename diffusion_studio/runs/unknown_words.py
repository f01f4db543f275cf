"""Which words of a prompt a model was not trained with. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from ..checkpoint.spec import ModelSpec

_SMALL = frozenset("a an the and or with in on of at to for , ' -".split())  # they say little
_NAMED = 6


def unknown_words(name: str, spec: ModelSpec, prompts: Iterable[str | None]) -> str:
    """A sentence about the words that the model `name` has not in its table; empty where there are none."""
    if not spec.takes_text:
        return ""
    found = (word for prompt in prompts if prompt for word in spec.tokenizer.unknown(prompt))
    words = [word for word in dict.fromkeys(found) if word not in _SMALL]
    if not words:
        return ""
    named = ", ".join(f"“{word[:30]}”" for word in words[:_NAMED]) + (" …" if len(words) > _NAMED else "")
    it = (
        "it, and guesses it from its letters"
        if len(words) == 1
        else "them, and guesses them from their letters"
    )
    return f"{named}: {name} never saw {it}."
