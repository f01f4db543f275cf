"""Named endpoints for programs: /animate and /models (see the README for their use with gradio_client)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..export import FORMATS, ExportOptions
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
    @said
    def animate(model: str = "", label: str = "", steps: int = 50, sampler: str = "ddim", spacing: str = "trailing",
                guidance: float = 2.0, seed: int = 0, count: int = 16, view: str = "x", format: str = "gif",
                prompt: str = "", negative: str = "") -> gr.FileData:
        """Run the reverse process and return the animation as a file.

        model: a name from /models, the first one where empty. label: one of the model's, any where empty.
        sampler, spacing: by name. guidance: 1 is off. count: pictures, seeded seed, seed + 1, ...
        view: x, x0 or both. format: gif, mp4, png or strip. prompt, negative: words, for models that read text.
        """
        if format not in FORMATS:
            raise unknown("format", format, FORMATS)
        options = ExportOptions(view=view)
        if not 1 <= count <= MAX_PICTURES:
            raise OptionError(f"count must be a whole number from 1 to {MAX_PICTURES}, got {count!r}.")
        recipe = studio.recipe(model or studio.models()[0].name, label=None if label in ("", ANY) else label, steps=steps, sampler=sampler,
                               spacing=spacing, guidance=guidance, seeds=tuple(range(seed, seed + count)),
                               prompt=prompt or None, negative=negative or None)
        return gr.FileData(path=export_file(compute.call(lambda: studio.run(recipe)), format, options))
    return animate


def _models(studio: Studio) -> Callable[[], list[dict[str, Any]]]:
    def models() -> list[dict]:
        """The models that /animate can run."""
        return [{"name": card.name, "resolution": card.resolution, "channels": card.spec.shape[0],
                 "makes": card.spec.makes,
                 "labels": list(card.conditions), "prompts": list(card.spec.prompts), "text": card.spec.takes_text,
                 "timesteps": card.spec.schedule.timesteps,
                 "defaults": dict(card.spec.defaults)} for card in studio.models()]
    return models
