"""Labels and prompts in the page's two controls: one for all pictures, or one for each.

The label's menu has an entry for a recipe's list of labels; in the prompt's field several lines are one
prompt for each picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import OptionError
from ..runs import each_picture
from ..runs.recipe import ANY, Recipe
from ..runs.unknown_words import unknown_letters
from ..studio import ModelCard
from .handlers import warn

EACH = "each: "  # begins the entry of a list of labels


def condition_settings(
    card: ModelCard,
    label: str | None,
    prompt: str | None,
    spell: str | None = None,
    tell: Callable[[str], None] = warn,
) -> dict[str, Any]:
    """What the controls say, as settings of a recipe for the model. A text to spell says the labels; what of
    it cannot be drawn goes to `tell`.
    """
    found: dict[str, Any] = {"label": None, "prompt": None, "labels": (), "prompts": (), "spell": None}
    if each_picture.can_spell(card.conditions) and (spell or "").strip():
        found["spell"], plain, unknown = each_picture.known_letters(spell or "", card.conditions)
        if not found["spell"].strip():
            raise OptionError(
                "spell",
                f"{card.name} has none of these letters: {' '.join(unknown)}. It has "
                f"{' '.join(card.conditions)}.",
            )
        if plain or unknown:
            tell(unknown_letters(card.name, spell or "", card.conditions))
    elif card.conditions and label and label.startswith(EACH) and label not in card.conditions:
        found["labels"] = each_picture.split_labels(label.removeprefix(EACH))
    elif card.conditions and label != ANY:
        found["label"] = label
    if card.spec.takes_text and prompt:
        lines = [line.strip() for line in prompt.strip().splitlines()]
        if sum(map(bool, lines)) > 1:
            found["prompts"] = tuple(None if line in ("", ANY) else line for line in lines)
        else:
            found["prompt"] = prompt
    return found


def label_menu(card: ModelCard, recipe: Recipe) -> tuple[list[str], str]:
    """The entries of the label's menu, and the one where it stands."""
    if not recipe.labels or recipe.spell:
        return [ANY, *card.conditions], recipe.label or ANY
    each = EACH + each_picture.join_labels([label or ANY for label in recipe.labels])
    return [ANY, each, *card.conditions], each


def prompt_text(recipe: Recipe) -> str:
    """The text of the prompt's field."""
    return "\n".join(prompt or ANY for prompt in recipe.prompts) or recipe.prompt or ""


def short(recipe: Recipe) -> str:
    """The label, prompt or text of a run in a few words."""
    return ", ".join(dict.fromkeys(caption or ANY for caption in recipe.captions))
