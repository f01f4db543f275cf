"""The Python half of the lanes' menus: its `gr.HTML`, whose value has the lanes as text, as `compare.text`
reads them, and what the menus offer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from ...compare.recipes import FEWEST_LANES, MOST_LANES
from ...compare.text import AS_IT_IS, NOT_EDITED, RUN_BEFORE, WORDS
from ...diffusion.samplers import sampler_label
from ...options import fields_of
from ...runs.guidance_options import SELF_KINDS, flags_of
from ...runs.recipe import REGISTRIES, Recipe
from ...runs.setting_labels import LABELS, value_text
from ..component import own_component

# What a lane is given where its setting is chosen: a value that can be seen to change something.
_NUMBERS = {"steps": ("Steps", 8), "guidance": ("Guidance", 3)}
_TEXTS = {"label": "Label", "prompt": "Prompt", "negative": "Negative prompt"}


def lane_rows(text: str, models: Iterable[str], **kwargs: Any) -> gr.HTML:
    """The component. `models` are the names of those that a lane can have. Its first value has the lanes
    alone: the page asks for what the menus offer, so that not every visitor loads it with the page.
    """
    names = list(models)

    def menus(args: object = None) -> dict[str, Any]:
        """What the menus offer at first."""
        return lanes_value(text, names)

    return own_component("lanes", {"text": text}, server_functions=[menus], **kwargs)


def lanes_value(text: str, models: Iterable[str], words: Iterable[str] = ()) -> dict[str, Any]:
    """A value: the lanes as text, the settings with the values that they allow, and the lanes that are said
    by words, beside `as it is`: those of `words`.

    It is whole at each update, because a component that the page has not drawn yet keeps nothing else.
    """
    offered = [AS_IT_IS, *(one for one in (RUN_BEFORE, NOT_EDITED) if one in words)]
    return {
        "text": text,
        "words": [[one, WORDS[one]] for one in offered],
        "settings": _settings(models),
        "fewest": FEWEST_LANES,
        "most": MOST_LANES,
    }


def _settings(models: Iterable[str]) -> list[dict[str, Any]]:
    own = {one.name: one for one in fields_of(Recipe)}
    samplers = [[name, sampler_label(name)] for name in REGISTRIES["sampler"]]
    kinds = [[name, value_text("self_guidance", name)] for name in (*SELF_KINDS, "none")]
    strength = flags_of("self_guidance")["scale"]
    scale = {"low": strength.low, "high": strength.high}
    numbers = [
        {"name": name, "title": title, "first": first, "low": own[name].low, "high": own[name].high}
        for name, (title, first) in _NUMBERS.items()
    ]
    return [
        {"name": "sampler", "title": "Sampler", "choices": samplers},
        *numbers,
        {"name": "eta", "title": "Fresh noise (eta)", "first": 1, "low": 0, "high": None},
        {"name": "spacing", "title": "Schedule", "choices": [[one, one] for one in REGISTRIES["spacing"]]},
        {"name": "self_guidance", "title": LABELS["self_guidance"], "choices": kinds},
        {"name": "self_guidance_scale", "title": LABELS["self_guidance_scale"], "first": 3, **scale},
        {
            "name": "cfg_zero_star",
            "title": LABELS["cfg_zero_star"],
            "choices": [["true", "on"], ["false", "off"]],
        },
        {"name": "model", "title": "Model", "choices": [[one, one] for one in models]},
        *({"name": name, "title": title} for name, title in _TEXTS.items()),
    ]
