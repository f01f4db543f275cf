"""What the page shows of a model to choose it by, and what it offers to try with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..studio import ModelCard

PICTURE = "picture.png"  # beside a model's file; scripts/page_pictures.py makes those of the bundled ones
_LINES = {
    "fashion-mnist": "ten garments in grey",
    "letters": "letters and digits in nine looks",
    "heroes": "characters from words",
    "emoji": "emoji from words",
    "cifar10": "ten kinds of photographs",
    "mnist": "handwritten digits",
    "swiss-roll": "a cloud of points",
    "shapes": "eight shapes of points",
}
_FIRST = ("heroes", "letters", "fashion-mnist", "emoji", "cifar10", "mnist", "shapes", "swiss-roll")
_TRIES: dict[str, list[dict[str, str]]] = {
    "fashion-mnist": [{"label": one} for one in ("Sneaker", "Ankle boot", "Dress", "Bag", "Coat")],
    "heroes": [
        {"prompt": one}
        for one in (
            "a dwarf in a red coat",
            "orc, half plate, wizard white",
            "spriggan, karate, staff fork, large shield gold",
            "demigod, jacket, skirt white, black horn",
        )
    ],
    "letters": [
        {"spell": "Ada Lovelace", "prompt": "purple bold serif"},
        {"label": "R", "prompt": "teal black display"},
        {"label": "A", "prompt": "purple serif"},
        {"label": "g", "prompt": "green bold sans"},
        {"label": "7", "prompt": "orange slab"},
    ],
    "emoji": [{"prompt": one} for one in ("grinning face", "sunflower", "cat face", "pizza", "rocket")],
    "cifar10": [{"label": one} for one in ("ship", "horse", "automobile", "frog", "deer")],
    "mnist": [{"label": one} for one in "38052"],
    "shapes": [{"label": one} for one in ("pinwheel", "heart", "moons", "checkerboard", "rings")],
}
_MOST = 6


def is_young(card: ModelCard) -> bool:
    """Whether the model's card says that its training has only begun."""
    return "it is young" in card.text.lower()


def model_items(cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """The picker's items: the bundled models in a set order, then all others."""
    order = {name: place for place, name in enumerate(_FIRST)}
    return [_item(card) for card in sorted(cards, key=lambda card: order.get(card.name, len(order)))]


def _item(card: ModelCard) -> dict[str, Any]:
    picture = card.path.with_name(PICTURE)
    return {
        "value": card.name,
        "title": card.name,
        "line": _LINES.get(card.name, card.spec.form),
        "help": f"{card.name}: {card.spec.form}",
        **({"tag": "young"} if is_young(card) else {}),
        **({"picture": f"gradio_api/file={picture.resolve()}"} if picture.is_file() else {}),
    }


def tries(card: ModelCard) -> list[dict[str, Any]]:
    """The picker's items of what can be asked of a model; its own prompts or labels where nothing better is
    known."""
    given = _TRIES.get(card.name, []) if card.name in _LINES else []
    given = [one for one in given if _knows(card, one)]
    own = [{"prompt": one} for one in card.spec.prompts] if card.spec.takes_text else []
    own = own or [{"label": one} for one in card.conditions]
    return [{"value": one, "title": _title(one)} for one in (given or own)[:_MOST]]


def _title(asked: dict[str, str]) -> str:
    """The words of a chip; of a text to spell the text alone."""
    return f"write “{asked['spell']}”" if "spell" in asked else " ".join(asked.values())


def _knows(card: ModelCard, asked: dict[str, str]) -> bool:
    return ("prompt" not in asked or card.spec.takes_text) and (
        "label" not in asked or asked["label"] in card.conditions
    )
