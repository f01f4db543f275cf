"""The time budget beside Quality: seconds in place of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import gradio as gr

from ..errors import OptionError, StudioError
from ..runs.budget import Plan, check_seconds
from ..runs.recipe import Recipe
from ..studio import Studio
from .compute import Compute
from .controls import TIMED, RecipeControls
from .handlers import LABELLED, in_words
from .page_script import call_action
from .price import kind_of

START = 10  # seconds
LABELLED["seconds"] = "Seconds"


class TimeBudget:
    """Renders a field for seconds and a sentence on the chosen sampler and steps. It is visible while the
    quality is "In seconds".
    """

    def __init__(self, studio: Studio, compute: Compute, settings: RecipeControls) -> None:
        self.studio, self.compute, self.settings = studio, compute, settings
        self._timings: dict[str, _Timing] = {}  # the newest of each visitor
        with gr.Column(min_width=0, elem_id="budget"):  # shell.css shows it beside "In seconds" alone
            self.seconds = gr.Number(
                START,
                label="Seconds of computing",
                info="Times a few steps here, then chooses sampler and steps by measured tables.",
                elem_id="budget-seconds",
            )
            self.reason = gr.HTML("", elem_id="budget-said", min_height=0)
        quick: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.reason, settings.steps, settings.sampler.menu, *settings.sampler.groups.values()]
        settings.quality.input(
            None, settings.quality, self.reason, js=call_action("sayTiming", TIMED), queue=False, **quick
        )
        settings.quality.input(self._quality_changed, settings.quality, None, queue=False, **quick)
        settings.sampler.menu.input(  # a sampler chosen by hand is not the one that the seconds chose
            lambda quality: None if quality == TIMED else gr.skip(),
            settings.quality,
            settings.quality,
            queue=False,
            **quick,
        )
        timed = [settings.quality.input, self.seconds.submit, self.seconds.blur]
        gr.on(
            [*timed, settings.count.input, settings.guidance.release],  # the latter change what a step costs
            self._chosen,
            self.inputs(),
            outputs,
            trigger_mode="always_last",
            **quick,
        )

    def inputs(self) -> set[Any]:
        """The components that `applied` reads."""
        return {*self.settings.inputs(), self.settings.quality, self.seconds}

    def applied(self, values: dict[Any, Any], visitor: str, timing: Callable[[], None]) -> Recipe:
        """The recipe of the settings. With the quality "In seconds", where the form does not have the
        sampler and steps for the seconds yet, they are waited for, after a call of `timing`.
        """
        recipe = self.settings.recipe(values)
        if values[self.settings.quality] != TIMED:
            return recipe
        seconds = check_seconds(values[self.seconds])
        known = self._timings.get(visitor)
        if known is None or known.asked != _plan_key(recipe, seconds) or known.failed:
            timing()
            known = self._timed(recipe, seconds, visitor)
        elif known.before != _steps(recipe):  # the form has what was found, or a number by hand
            return recipe
        elif not known.done.is_set():
            timing()
            known.done.wait()
        found, _ = known.result()
        return replace(recipe, sampler=found.sampler, steps=found.steps)

    def asked_seconds(self, values: dict[Any, Any]) -> float | None:
        """The seconds that are asked for; None with any other quality than "In seconds"."""
        return check_seconds(values[self.seconds]) if values[self.settings.quality] == TIMED else None

    def check(self, values: dict[Any, Any]) -> None:
        """Raise an `OptionError` where the seconds are asked for and are no number of seconds."""
        if values[self.settings.quality] == TIMED:
            check_seconds(values[self.seconds])

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        self._timings.pop(visitor, None)

    def _timed(self, recipe: Recipe, seconds: float, visitor: str) -> _Timing:
        """The plan for a recipe, which `applied` finds too, while and after it is made."""
        made = self._timings[visitor] = _Timing(_plan_key(recipe, seconds), _steps(recipe))
        try:
            made.found = self.compute.call(lambda: self.studio.planned(recipe, seconds))
        except StudioError as error:
            made.error = error
        finally:
            made.done.set()
        return made

    def _quality_changed(self, quality: str, request: gr.Request) -> None:
        """Stop measuring if a quality other than `TIMED` is chosen."""
        if quality != TIMED:
            self.forget(request.session_hash or "")

    def _chosen(self, values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        """Updates with the sampler and steps for the seconds, and the reason."""
        if values[self.settings.quality] != TIMED:
            return {self.reason: gr.skip()}
        try:
            seconds = check_seconds(values[self.seconds])
            recipe = self.settings.recipe(values, lambda text: None)
            visitor = request.session_hash or ""
            made = self._timed(recipe, seconds, visitor)
            if self._timings.get(visitor) is not made:
                return {self.reason: gr.skip()}
            found, plan = made.result()
        except StudioError as error:  # in place of the reason for other seconds
            return {self.reason: f'<p class="bad">{escape(in_words(error))}</p>'}
        reasons = self.studio.unusable(self.studio.card(found.model))
        shown = self.settings.sampler.show(found.sampler, reasons)
        kept = [self.settings.sampler.menu, *self.settings.sampler.groups.values()]
        return {
            **{control: update for control, update in shown.items() if control in kept},
            self.settings.steps: found.steps,
            self.reason: f"<p>{escape(plan.reason)}</p>"
            f'<details><summary aria-label="How this was chosen">?</summary>{escape(plan.details)}</details>',
        }


@dataclass
class _Timing:
    """A plan that is made for a visitor: what was `asked`, what the form had `before`, and what was found."""

    asked: tuple[Any, ...]
    before: tuple[Any, int]
    found: tuple[Recipe, Plan] | None = None
    error: StudioError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def failed(self) -> bool:
        """Whether it has ended without a plan."""
        return self.done.is_set() and self.found is None

    def result(self) -> tuple[Recipe, Plan]:
        """The recipe with the sampler and steps that were found, and the plan. Raises the error if there is
        one.
        """
        if self.found is None:
            raise self.error or OptionError("seconds", "The steps could not be timed. Press Generate again.")
        return self.found


def _plan_key(recipe: Recipe, seconds: float) -> tuple[Any, ...]:
    """The inputs of a plan: the cost of a call, the number of pictures, the spacing and the seconds."""
    return kind_of(recipe), recipe.pictures, recipe.spacing, seconds


def _steps(recipe: Recipe) -> tuple[Any, int]:
    return recipe.sampler, recipe.steps
