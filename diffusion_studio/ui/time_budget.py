"""The time budget beside Quality: seconds in place of steps."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..runs.budget import check_seconds
from ..studio import Studio
from .compute import Compute
from .controls import TIMED, RecipeControls
from .handlers import LABELLED, show_errors

START = 10  # seconds
LABELLED["seconds"] = "Seconds"


class TimeBudget:
    """Renders into the surrounding Blocks: a number of seconds and what was chosen for it. Seen while the
    quality is "Time".
    """

    def __init__(self, studio: Studio, compute: Compute, settings: RecipeControls) -> None:
        self.studio, self.compute, self.settings = studio, compute, settings
        with gr.Column(visible=False, min_width=0, elem_id="budget") as self.whole:
            self.seconds = gr.Number(
                START,
                label="Seconds of computing",
                info="Chooses sampler and steps by measured tables, for this machine and these pictures.",
                minimum=0.1,
                elem_id="budget-seconds",
            )
            self.said = gr.HTML("", elem_id="budget-said", min_height=0)
        quick: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.said, settings.steps, settings.sampler.menu, *settings.sampler.groups.values()]
        settings.quality.input(
            lambda quality: gr.update(visible=quality == TIMED),
            settings.quality,
            self.whole,
            queue=False,
            **quick,
        )
        gr.on(
            [settings.quality.input, self.seconds.submit, self.seconds.blur],
            self._chosen,
            {*settings.inputs(), settings.quality, self.seconds},
            outputs,
            trigger_mode="always_last",
            **quick,
        )
        gr.on(
            [settings.model.input, settings.steps.input],
            lambda: (gr.update(visible=False), ""),
            None,
            [self.whole, self.said],
            queue=False,
            **quick,
        )

    @show_errors
    def _chosen(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Sampler and steps for the seconds, and why."""
        if values[self.settings.quality] != TIMED:
            return {self.said: gr.skip()}
        seconds = check_seconds(values[self.seconds])
        recipe = self.settings.recipe(values, lambda text: None)
        found, said = self.compute.call(lambda: self.studio.within(recipe, seconds))
        reasons = self.studio.unusable(self.studio.card(found.model))
        shown = self.settings.sampler.show(found.sampler, reasons)
        kept = [self.settings.sampler.menu, *self.settings.sampler.groups.values()]
        return {
            **{control: update for control, update in shown.items() if control in kept},
            self.settings.steps: found.steps,
            self.said: f"<p>{said}</p>",
        }
