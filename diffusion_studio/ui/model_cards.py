"""What the page shows of a model to choose it by, and what it offers to try with it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ..studio import ModelCard

PICTURE = "picture.png"  # beside a model's file; scripts/page_pictures.py makes those of the bundled ones
YOUNG = "trained for a short time; expect flaws"
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
_SHORT = {  # of prompts whose words would be cut on a chip
    "orc, half plate, wizard white": "armoured orc",
    "spriggan, karate, staff fork, large shield gold": "golden shield",
    "demigod, jacket, skirt white, black horn": "horned demigod",
}
_MOST = 6
_PARTS: dict[str, dict[str, str]] = {  # of a prompt, in the order in which the data names them
    "heroes": {
        "Who": "human, elf, deep elf, dwarf, gnome, halfling, orc, kobold, spriggan, demigod, vampire, "
        "ghoul, mummy, gargoyle, draconian red, draconian green, draconian gold, demonspawn red",
        "Wears": "robe blue, robe white, robe red gold, robe rainbow, robe of night, robe clouds, robe "
        "jester, coat red, coat black, half plate, plate black, plate and cloth, leather armour, "
        "leather jacket, leather green, karate, monk blue, vest red, jacket stud, animal skin, "
        "dress green, dragonarm gold, shirt hawaii",
        "Legs": "pants red, skirt white, garter",
        "Cloak": "red cloak, blue cloak, green cloak, white cloak, black cloak, yellow cloak, cyan cloak, "
        "magenta cloak",
        "Boots": "brown boots, green boots, blue boots, red boots, gold boots, white boots, purple boots",
        "Head": "wizard white, wizard blue, hood gray, hood red, crown gold, viking gold, black horn, "
        "turban, feather green, straw, ninja black, full helm, clown",
        "Hair": "long white hair, long red hair, long black hair, pigtails brown hair, knot red hair, "
        "ponytail",
        "Hand": "staff ruby, staff fork, long sword slant, bow, crossbow, spear, trident, scythe, "
        "halberd, mace, war axe, battleaxe, hand axe, club, dagger",
        "Shield": "large shield gold, round shield, kite shield, bullseye shield, buckler green",
    }
}
_SURPRISES = 24  # that the page has to choose from
MOST_CHIPS = 12  # labels that are shown as chips; more are in a menu


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
        **({"tag": "young", "tag_help": YOUNG} if is_young(card) else {}),
        **({"picture": f"gradio_api/file={picture.resolve()}"} if picture.is_file() else {}),
    }


def tries(card: ModelCard) -> list[dict[str, Any]]:
    """The picker's items of what can be asked of a model; its own prompts or labels where nothing better is
    known."""
    given = _TRIES.get(card.name, []) if card.name in _LINES else []
    given = [one for one in given if _knows(card, one)]
    own = [{"prompt": one} for one in card.spec.prompts] if card.spec.takes_text else []
    own = own or [{"label": one} for one in card.conditions]
    items = [
        {"value": one, "title": _SHORT.get(_title(one), _title(one)), "help": _title(one)}
        for one in (given or own)[:_MOST]
    ]
    if any_of := surprises(card, given + own):
        items.append({"value": {"any_of": any_of}, "title": "surprise me", "help": "One of many, by chance"})
    return items


def parts(card: ModelCard) -> dict[str, list[str]]:
    """What a prompt for the model can be put together from, by kind; nothing where that is not known."""
    if not card.spec.takes_text:
        return {}
    found = {kind: names.split(", ") for kind, names in _PARTS.get(card.name, {}).items()}
    unknown = card.spec.tokenizer.unknown(" ".join(name for names in found.values() for name in names))
    return {} if unknown else found  # another model under the name of a bundled one


def surprises(card: ModelCard, given: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """What "surprise me" chooses from: prompts made from parts where they are known, else what is offered and
    the model's labels with its prompts. Nothing where there is only one.
    """
    draw = random.Random(card.name)
    if kinds := parts(card):
        examples = []
        for _ in range(_SURPRISES):
            names = [
                draw.choice(names) for k, names in enumerate(kinds.values()) if k < 2 or draw.random() < 0.5
            ]
            examples.append({"prompt": ", ".join(names)})
        return examples
    labels = [{"label": one} for one in card.conditions] if card.spec.labels else []
    if card.spec.takes_text and labels:
        prompts = card.spec.prompts or ("",)
        labels = [{**draw.choice(labels), "prompt": draw.choice(prompts)} for _ in range(_SURPRISES)]
    found = [one for one in given if "spell" not in one] + labels
    found = [one for k, one in enumerate(found) if one not in found[:k]]
    draw.shuffle(found)
    return found[:_SURPRISES] if len(found) > 1 else []


def label_chips(labels: Sequence[str]) -> list[dict[str, Any]]:
    """The picker's items of labels; none where there are too many for chips."""
    return [{"value": one, "title": one} for one in labels] if 1 < len(labels) <= MOST_CHIPS + 1 else []


def _title(asked: dict[str, str]) -> str:
    """The words of a chip; of a text to spell the text alone."""
    return f"write “{asked['spell']}”" if "spell" in asked else " ".join(asked.values())


def _knows(card: ModelCard, asked: dict[str, str]) -> bool:
    return ("prompt" not in asked or card.spec.takes_text) and (
        "label" not in asked or asked["label"] in card.conditions
    )
