"""Named endpoints for programs: /animate and /models (see the README for their use with gradio_client)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from ..export import FORMATS, ExportOptions, named
from ..errors import OptionError, unknown
from ..recipe import ANY, MAX_PICTURES
from ..studio import Studio
from .compute import Compute
from .export_panel import export_file
from .generate_tab import COMPUTE
from .handlers import said


def endpoints(studio: Studio, compute: Compute) -> None:
    """Add the endpoints to the surrounding Blocks."""
    gr.api(_animate(studio, compute), api_name="animate", concurrency_id=COMPUTE, concurrency_limit=1)
    gr.api(_models(studio), api_name="models")


def _animate(studio: Studio, compute: Compute) -> Callable[..., gr.FileData]:
    @partial(said, words=str)           # programs know settings by their names
    def animate(model: str = "", label: str = "", steps: int | None = None, sampler: str | dict | None = None,
                spacing: str | dict | None = None, guidance: float | None = None, seed: int = 0, count: int = 16,
                view: str = "x", format: str = "gif", prompt: str = "", negative: str = "",
                settings: dict | None = None) -> gr.FileData:
        """Run the reverse process and return the animation as a file.

        model: a name from /models, the first one where empty. label: one of the model's, any where empty.
        sampler, spacing: a name, or an object (or its JSON) with options: {"name": "karras", "rho": 5}.
        steps, sampler, spacing, guidance: left out, as suits the model; guidance 1 is off.
        count: pictures, seeded seed, seed + 1, ... view: x, x0 or both. format: FORMATS.
        prompt, negative: words, for models that read text.
        settings: any others of a recipe, as in the JSON of the app's link:
        {"interval": {"high": 3}, "classifier": {"name": "...", "scale": 2}, "guidance_scales": "1,5,2"}.
        """
        if format not in FORMATS:
            raise unknown("format", format, FORMATS)
        options = ExportOptions(view=view)
        if not 1 <= count <= MAX_PICTURES:
            raise OptionError(f"count must be a whole number from 1 to {MAX_PICTURES}, got {count!r}.")
        named = {"label": None if label in ("", ANY) else label, "seeds": tuple(range(seed, seed + count)),
                 "prompt": prompt or None, "negative": negative or None}
        chosen = {"steps": steps, "guidance": guidance, "sampler": _parsed("sampler", sampler),
                  "spacing": _parsed("spacing", spacing)}
        named |= {name: given for name, given in chosen.items() if given is not None}
        more = settings or {}
        if not isinstance(more, dict) or (twice := more.keys() & {*named, *chosen, "model"}):
            raise OptionError("settings must be an object of a recipe's other fields" + (
                f"; {', '.join(sorted(twice))} has a parameter of its own. Give it there." if isinstance(more, dict) else
                f", got {more!r:.80}."))
        recipe = studio.recipe(model or studio.models()[0].name, **named, **more)
        return gr.FileData(path=export_file(compute.call(lambda: studio.run(recipe)), format, options))
    animate.__doc__ = (animate.__doc__ or "").replace("FORMATS", named(FORMATS))
    return animate


def _parsed(kind: str, given: Any) -> Any:
    """A choice by name, or with options as an object or the object's JSON."""
    if not isinstance(given, str) or not given.lstrip().startswith("{"):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{kind} is neither a name nor JSON: {error}") from error


def _models(studio: Studio) -> Callable[[], list[dict[str, Any]]]:
    def models() -> list[dict]:
        """The models that /animate can run, and what can guide each: noisy classifiers, and weaker models."""
        guides = {card.name: dict(zip(("classifiers", "weaker"), studio.helpers(card))) for card in studio.models()}
        return [{"name": card.name, "resolution": card.resolution, "channels": card.spec.shape[0],
                 "makes": card.spec.makes,
                 "labels": list(card.conditions), "prompts": list(card.spec.prompts), "text": card.spec.takes_text,
                 "timesteps": card.spec.schedule.timesteps, "remarks": list(card.remarks),
                 "defaults": dict(card.spec.defaults), **guides.get(card.name, {})} for card in studio.models()]
    return models
