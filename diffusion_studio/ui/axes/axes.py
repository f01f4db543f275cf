"""The Python half of the axes' menus: its `gr.HTML`. Its value has the axes as text, as `compare.text` reads
them, and what the menus offer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from ...compare import settings
from ...diffusion.samplers import sampler_label
from ...runs.recipe import REGISTRIES
from ...studio import ModelCard
from ..component import own_component

MOST_NAMED = 80  # names of a model's labels that are offered to be pressed
# The usual settings: the title in the menu, and values to begin with, by which something can be seen.
_USUAL = {
    "guidance": ("Guidance", "1, 2, 4, 8"),
    "steps": ("Steps", "4, 8, 25"),
    "sampler": ("Sampler", "ddim, dpmpp_2m"),
    "seed": ("Seed", "0, 1, 2"),
    "label": ("Label", ""),
    "prompt": ("Prompt", "a wizard, an orc"),
    "negative": ("Negative prompt", "red, blue"),
    "model": ("Model", ""),
    "eta": ("Fresh noise (eta)", "0, 0.5, 1"),
    "spacing": ("Schedule", "trailing, karras"),
    "reuse": ("Reuse deep features", "1, 2, 4"),
    "clip": ("Clip x0", "true, false"),
}


def axis_rows(x: str, y: str, models: Iterable[ModelCard], **kwargs: Any) -> gr.HTML:
    """The component. `models` are the cards of those that a cell can have."""
    return own_component("axes", axes_value(x, y, models), **kwargs)


def axes_value(x: str, y: str, models: Iterable[ModelCard], base: str = "") -> dict[str, Any]:
    """A value: the axes as text (y may be empty), the settings with values to begin with, and the labels of
    each model. `base` is the model that all cells begin with, empty for the one that is chosen in Generate.

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
    usual = [
        {
            "name": name,
            "title": title,
            "example": ", ".join(names[:2]) if name == "model" else example,
            **({"choices": named[name]} if name in named else {}),
        }
        for name, (title, example) in _USUAL.items()
    ]
    return {
        "x": x,
        "y": y,
        "base": base,
        "settings": usual,
        "others": [one for one in settings.names() if one not in _USUAL],
        "labels": {card.name: list(card.spec.labels[:MOST_NAMED]) for card in cards if card.spec.labels},
    }
