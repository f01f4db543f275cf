"""The time budget: a press of Generate uses the sampler and steps for the seconds, also while they are timed."""

from __future__ import annotations

import dataclasses
import threading

import gradio as gr
import pytest
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.controls import TIMED, RecipeControls
from diffusion_studio.ui.time_budget import TimeBudget


@pytest.fixture
def made(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    studio = ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")
    with gr.Blocks():
        controls = RecipeControls(studio)
        render_outside_drawer(controls)
        controls.render_rest()
        budget = TimeBudget(studio, Compute(), controls)
    values = {one: one.value for one in budget.inputs()}
    return budget, values | {controls.quality: TIMED, budget.seconds: 0.5}


def test_a_press_while_steps_are_timed_gets_what_is_found(made):
    """The form still has the steps from before: the press waits, once, and its run has those that were found."""
    budget, values = made
    told = []
    found = budget.applied(values, "ann", lambda: told.append("timing"))
    plan = budget._timings["ann"].found[1]
    assert (found.steps, type(found.sampler)) == (plan.steps, ds.SAMPLERS[plan.sampler])
    assert told == ["timing"]
    again = budget.applied(values, "ann", lambda: told.append("again"))  # the same press, a moment later
    assert again == found and told == ["timing"]


def test_a_press_waits_for_a_timing_that_is_under_way(made):
    budget, values = made
    done = budget.applied(values, "ann", lambda: None)
    known = budget._timings["ann"]
    under_way = budget._timings["ann"] = dataclasses.replace(known, found=None, done=threading.Event())

    def finish():  # the press calls it before it waits
        under_way.found = known.found
        under_way.done.set()

    assert budget.applied(values, "ann", finish) == done and budget._timings["ann"] is under_way


def test_what_costs_nothing_leaves_the_steps_of_the_form(made):
    """Another label is not timed again: the run would have other steps than the form."""
    budget, values = made
    first = budget.applied(values, "ann", lambda: None)
    form = values | {budget.settings.steps: first.steps + 1, budget.settings.label: "Dog"}
    told = []
    assert budget.applied(form, "ann", lambda: told.append("timing")).steps == first.steps + 1 and not told


def test_a_failed_timing_is_tried_again_and_another_quality_forgets_it(made):
    budget, values = made
    budget.applied(values, "ann", lambda: None)
    budget._timings["ann"].found = None
    told = []
    assert budget.applied(values, "ann", lambda: told.append("timing")).steps and told == ["timing"]
    budget._quality_changed("Fast", gr.Request(session_hash="ann"))
    assert not budget._timings


def test_a_form_that_has_the_steps_is_followed(made):
    budget, values = made
    budget.applied(values, "ann", lambda: None)
    by_hand = values | {budget.settings.steps: values[budget.settings.steps] + 3}
    assert budget.applied(by_hand, "ann", lambda: None) == budget.settings.recipe(by_hand)
    other = values | {budget.settings.quality: "Normal"}
    assert budget.applied(other, "ann", lambda: None) == budget.settings.recipe(values)
    budget.forget("ann")
    assert not budget._timings


def test_other_seconds_are_timed_anew_and_wrong_ones_are_refused(made):
    budget, values = made
    told = []
    budget.applied(values, "ann", lambda: None)
    budget.applied(values | {budget.seconds: 0.25}, "ann", lambda: told.append("timing"))
    assert told == ["timing"]
    with pytest.raises(OptionError, match="must be a number of seconds"):
        budget.applied(values | {budget.seconds: -1}, "ann", lambda: None)


def test_the_reason_is_a_sentence_and_the_measurement_comes_after(made):
    budget, values = made
    updates = budget._chosen(values, gr.Request(session_hash="ann"))
    plan = budget._timings["ann"].found[1]
    assert updates[budget.settings.steps] == plan.steps
    said = updates[budget.reason]
    assert said.startswith("<p>About ") and "<details>" in said
    head, _, details = said.partition("<details>")
    assert "table of cifar10" in details and "table of cifar10" not in head
    wrong = budget._chosen(values | {budget.seconds: "soon"}, gr.Request(session_hash="ann"))
    assert 'class="bad"' in wrong[budget.reason]
