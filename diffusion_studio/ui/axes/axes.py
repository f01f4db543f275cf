"""The Python half of the axes' menus: its `gr.HTML`. Its value has the axes as text, as `compare.text` reads
them, and what the menus offer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr

from ...compare import settings
from ...diffusion.samplers import sampler_label
from ...options import fields_of
from ...runs.edits import EDITS
from ...runs.guidance_options import GROUPS, flags_of
from ...runs.recipe import REGISTRIES
from ...runs.setting_labels import ALONE
from ...studio import ModelCard
from ..component import own_component
from ..handlers import label_of

MOST_NAMED = 80  # names of a model's labels that are offered to be pressed
# The menu begins with these, under this title.
RECOMMENDED = "recommended"
_FIRST = ("seed", "guidance", "steps", "sampler", "label", "prompt", "model", "spacing")
# Values to begin with, by which something can be seen.
_EXAMPLES = {
    "guidance": "1, 2, 4, 8",
    "steps": "4, 8, 25",
    "sampler": "ddim, dpmpp_2m",
    "seed": "0, 1, 2",
    "prompt": "a wizard, an orc",
    "negative": "red, blue",
    "eta": "0, 0.5, 1",
    "spacing": "trailing, karras",
    "reuse": "1, 2, 4",
    "clip": "true, false",
}


def axis_rows(x: str, y: str, models: Iterable[ModelCard], **kwargs: Any) -> gr.HTML:
    """The component. `models` are the cards of those that a cell can have. Its first value has the axes
    alone: the page asks for what the menus offer, so that not every visitor loads it with the page.
    """
    cards = list(models)

    def menus(args: object = None) -> dict[str, Any]:
        """What the menus offer at first."""
        return axes_value(x, y, cards)

    return own_component("axes", {"x": x, "y": y, "base": ""}, server_functions=[menus], **kwargs)


def axes_value(x: str, y: str, models: Iterable[ModelCard], base: str = "") -> dict[str, Any]:
    """A value: the axes as text (y may be empty), the settings in groups with the page's labels, what they do
    and values to begin with, and the labels of each model. `base` is the model that all cells begin with,
    empty for the one that is chosen in Generate.

    It is whole at each update, because a component that the page has not drawn yet keeps nothing else.
    """
    cards = list(models)
    names = [card.name for card in cards]
    named = {
        "sampler": [[one, sampler_label(one)] for one in REGISTRIES["sampler"]],
        "spacing": [[one, one] for one in REGISTRIES["spacing"]],
        "model": [[one, one] for one in names],
        "clip": [["true", "true"], ["false", "false"]],
    }
    examples = {**_EXAMPLES, "model": ", ".join(names[:2])}
    offered = [
        {
            "group": group,
            "name": name,
            "title": ALONE.get(name) or label_of(name),
            "help": one.help if (one := settings.declaration(name)) else "",
            "example": examples.get(name, ""),
            **({"choices": named[name]} if name in named else {}),
        }
        for group, inside in _groups().items()
        for name in inside
    ]
    return {
        "x": x,
        "y": y,
        "base": base,
        "every": False,  # whether each cell has all pictures of Generate
        "settings": offered,
        "labels": {card.name: list(card.spec.labels[:MOST_NAMED]) for card in cards if card.spec.labels},
    }


def _groups() -> dict[str, list[str]]:
    """The titles of the menu's groups with the names of their settings; each stands in the first one that has
    it.
    """

    def options(registry: Mapping[str, type]) -> list[str]:
        return [one.name for cls in registry.values() for one in fields_of(cls)]

    every = settings.names()
    guiding = [one.name for group in GROUPS for one in flags_of(group).values()]
    found = {
        RECOMMENDED: list(_FIRST),
        "Sampler": options(REGISTRIES["sampler"]),
        "Guidance": [one for one in every if one in guiding or one.startswith(_GUIDING)],
        "Schedule": options(REGISTRIES["spacing"]),
        "Edits": options(EDITS),
        "Others": every,
    }
    seen: set[str] = set()
    for title, names in found.items():
        found[title] = [one for one in dict.fromkeys(names) if one not in seen]
        seen.update(names)
    return found


_GUIDING = ("guidance", "negative", "weaker")  # how the recipe's own settings of guidance begin
