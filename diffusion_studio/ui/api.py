"""Named endpoints for programs: /animate and /models (see the README for their use with gradio_client)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from ..diffusion.noise import MAX_SEED
from ..errors import OptionError, unknown
from ..export import FORMATS, ExportOptions, named
from ..runs.recipe import ANY, MAX_PICTURES
from ..studio import Studio
from .compute import Compute
from .export_panel import export_file
from .generate_tab import COMPUTE
from .handlers import show_errors
from .price import Prices
from .store import RunStore
from .zero_gpu import gpu_stream

COUNT = 16  # pictures of a run that does not say how many
TICK_SECONDS = 0.2  # between two looks at whether somebody still waits


def endpoints(studio: Studio, compute: Compute, store: RunStore, prices: Prices) -> None:
    """Add the endpoints to the surrounding Blocks; their runs count among those of `store`."""
    gr.api(
        _animate(studio, compute, store, prices),
        api_name="animate",
        concurrency_id=COMPUTE,
        concurrency_limit=None,
    )
    gr.api(_models(studio), api_name="models")


def _animate(studio: Studio, compute: Compute, store: RunStore, prices: Prices) -> Callable[..., gr.FileData]:
    gpu = gpu_stream(studio)

    @partial(show_errors, words=str)  # programs know settings by their names
    def animate(
        model: str = "",
        label: str = "",
        steps: int | None = None,
        sampler: str | dict | None = None,
        spacing: str | dict | None = None,
        guidance: float | None = None,
        seed: int = 0,
        count: int = COUNT,
        view: str = "x",
        format: str = "gif",
        prompt: str = "",
        negative: str = "",
        settings: dict | None = None,
    ) -> gr.FileData:
        """Run the reverse process and return the animation as a file. It ends when it is cancelled.

        model: a name from /models, the first one where empty. label: one of the model's, any where empty.
        sampler, spacing: a name, or an object (or its JSON) with options: {"name": "karras", "rho": 5}.
        steps, sampler, spacing, guidance: left out, as suits the model; guidance 1 is off.
        None is the same as left out, for every parameter.
        count: pictures, seeded seed, seed + 1, ... view: x, x0 or both. format: FORMATS.
        A run whose states take more than MEGABYTES MB keeps every k-th of them, and the last.
        prompt, negative: words, for models that read text.
        settings: any others of a recipe, as in the JSON of the app's link:
        {"interval": {"high": 3}, "classifier": {"name": "...", "scale": 2}, "guidance_scales": "1,5,2"}.
        """
        format = "gif" if format is None else format
        if not isinstance(format, str) or format not in FORMATS:
            raise unknown("format", format, FORMATS)
        options = ExportOptions(view="x" if view is None else view)
        first = _whole("seed", seed, 0, 0, MAX_SEED)
        count = _whole("count", count, COUNT, 1, MAX_PICTURES)
        named = {
            "label": None if label in ("", ANY) else label,
            "seeds": tuple(range(first, first + count)),
            "prompt": prompt or None,
            "negative": negative or None,
        }
        chosen = {
            "steps": steps,
            "guidance": guidance,
            "sampler": _parsed("sampler", sampler),
            "spacing": _parsed("spacing", spacing),
        }
        named |= {name: given for name, given in chosen.items() if given is not None}
        more = settings or {}
        if not isinstance(more, dict) or (twice := more.keys() & {*named, *chosen, "model"}):
            raise OptionError(
                "settings",
                "must be an object of a recipe's other fields"
                + (
                    f"; {', '.join(sorted(twice))} has a parameter of its own. Give it there."
                    if isinstance(more, dict)
                    else f", got {more!r:.80}."
                ),
            )
        recipe = studio.recipe(model or studio.models()[0].name, **named, **more)
        visitor = secrets.token_urlsafe(16)  # of this one call: two must not push out each other
        try:
            run = store.open(visitor, recipe)
            turn = prices.turn(recipe)
            frames = compute.call(lambda: studio.stream(recipe, turn.ask)) if gpu is None else gpu(recipe)
            # Gradio asks for the next item while somebody waits for the result, and closes the generator else
            kept = (store.append(run, frame) for frame in frames)
            for _ in compute.watched(kept, TICK_SECONDS, turn) if gpu is None else kept:
                yield None
            made = store.get(run)
            if made is None or not made.frames:
                raise OptionError(
                    "count", "The server had no memory left for this run. Ask for fewer pictures or steps."
                )
            yield gr.FileData(path=export_file(made.trajectory, format, options))
        finally:
            for freed in store.forget(visitor):
                studio.free_states(freed)

    animate.__doc__ = (
        (animate.__doc__ or "")
        .replace("FORMATS", named(FORMATS))
        .replace("MEGABYTES", str(store.max_run_bytes >> 20))
    )
    return animate


def _whole(name: str, given: Any, default: int, low: int, high: int) -> int:
    """A whole number within limits; None is left out. Whole floats count: JSON does not tell them apart."""
    if given is None:
        return default
    whole = int(given) if isinstance(given, float) and given.is_integer() else given
    if type(whole) is not int or not low <= whole <= high:
        raise OptionError(name, f"must be a whole number from {low} to {high}, got {given!r:.80}.")
    return whole


def _parsed(kind: str, given: Any) -> Any:
    """A choice by name, or with options as an object or the object's JSON."""
    if not isinstance(given, str) or not given.lstrip().startswith("{"):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise OptionError(kind, f"{kind} is neither a name nor JSON: {error}") from error


def _models(studio: Studio) -> Callable[[], list[dict[str, Any]]]:
    def models() -> list[dict]:
        """The models that /animate can run, and what can guide each: noisy classifiers, and weaker models."""
        guides = {
            card.name: dict(zip(("classifiers", "weaker"), studio.helpers(card))) for card in studio.models()
        }
        return [
            {
                "name": card.name,
                "resolution": card.resolution,
                "channels": card.spec.shape[0],
                "makes": card.spec.makes,
                "labels": list(card.conditions),
                "prompts": list(card.spec.prompts),
                "text": card.spec.takes_text,
                "timesteps": card.spec.schedule.timesteps,
                "remarks": list(card.remarks),
                "defaults": dict(card.spec.defaults),
                **guides.get(card.name, {}),
            }
            for card in studio.models()
        ]

    return models
