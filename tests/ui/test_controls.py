"""The controls of a run, without a browser: what they show is the recipe, and what they hold makes it
again.
"""

from __future__ import annotations

import gradio as gr
import pytest
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.diffusion.spacing import SPACINGS, Follow, Karras, Sections, Timesteps
from diffusion_studio.errors import OptionError
from diffusion_studio.ui.controls import RecipeControls

DEFAULTS = {
    "steps": 4,
    "spacing": {"name": "karras", "rho": 3},
    "clip": False,
    "sampler": {"name": "ddim", "eta": 0.5},
}


def rendered(folder) -> RecipeControls:
    with gr.Blocks():
        made = RecipeControls(ds.Studio(folder, "cpu", "fp32"))
        render_outside_drawer(made)
        made.render_rest()
    return made


@pytest.fixture
def controls(tmp_path, write_checkpoint):
    write_checkpoint("tiny", defaults=DEFAULTS)
    return rendered(tmp_path / "checkpoints")


@pytest.fixture(scope="module")
def shared_controls(tmp_path_factory, checkpoint_writer):
    """The same, made once for the tests that only read them."""
    folder = tmp_path_factory.mktemp("controls")
    checkpoint_writer(folder)("tiny", defaults=DEFAULTS)
    return rendered(folder)


def values(controls: RecipeControls, *updates: dict) -> dict:
    """What the page would send: the controls as rendered, then as the updates left them."""
    found = {one: one.value for one in controls.inputs()}
    for control, update in (pair for each in updates for pair in each.items()):
        if control not in found:
            continue
        if not isinstance(update, dict):
            found[control] = update
        elif "value" in update:
            found[control] = update["value"]
    return found


def test_the_page_begins_with_the_models_own_recipe(shared_controls):
    assert shared_controls.recipe(values(shared_controls)) == shared_controls.start
    assert shared_controls.start.spacing == Karras(rho=3.0) and shared_controls.start.sampler == ds.DDIM(
        eta=0.5
    )


@pytest.mark.parametrize(
    "spacing",
    [
        *(cls() for cls in SPACINGS.values()),
        Karras(rho=2.5),
        Follow(follow="sigmoid"),
        Timesteps(timesteps="90,10.5,0"),
        Sections(sections="ddim25"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "sampler",
    [ds.DDPM(variance="large"), pytest.param(ds.DDIM(eta=0.25), marks=pytest.mark.slow)],
    ids=str,
)
def test_what_is_shown_is_read_back(shared_controls, spacing, sampler):
    recipe = ds.Recipe(
        model="tiny", label="Dog", seeds=(3, 9), steps=spacing.count or 7, sampler=sampler, spacing=spacing
    )
    shown = values(shared_controls, shared_controls.show(recipe))
    assert shared_controls.recipe(shown) == recipe


@pytest.mark.parametrize("kind", ["sampler", "spacing"])
def test_only_the_options_of_the_choice_are_shown(shared_controls, kind):
    choice = getattr(shared_controls, kind)
    for name, cls in choice.registry.items():
        shown = choice.show(cls())
        assert {one for one, group in choice.groups.items() if shown[group]["visible"]} == {name}
    assert set(choice.groups.values()) <= set(shared_controls.outputs())


def test_each_model_comes_back_as_it_was_left(controls, write_checkpoint):
    write_checkpoint("other", defaults={"steps": 9})
    left = ds.Recipe(model="tiny", label="Dog", seeds=(3, 9), steps=7)
    state = {controls.present: "tiny", controls.before: {}}
    at = values(controls, controls.show(left), {controls.model: "other"})
    first = controls._model_updates({**at, **state})
    there = values(
        controls, controls.show(left), first, {controls.model: "tiny"}
    )  # what is equal is not sent
    assert controls.recipe({**there, controls.model: "other"}) == ds.Studio(
        controls.studio.folder, "cpu"
    ).recipe("other")
    again = controls._model_updates(
        {**there, controls.present: first[controls.present], controls.before: first[controls.before]}
    )
    assert (
        controls.recipe(values(controls, controls.show(left), first, again)) == left
        and again[controls.present] == "tiny"
    )


def test_settings_that_cannot_be_read_do_not_hold_a_switch_up(controls, write_checkpoint):
    write_checkpoint("other", defaults={"steps": 9})
    at = values(controls, {controls.seed: "x", controls.model: "other"})
    found = controls._model_updates({**at, controls.present: "tiny", controls.before: {"tiny": "{}"}})
    assert found[controls.present] == "other" and found[controls.before] == {}


def test_the_slider_yields_to_a_spacing_with_steps_of_its_own(shared_controls):
    text = shared_controls.spacing.options["timesteps"].controls["timesteps"]
    given = values(shared_controls, {shared_controls.spacing.menu: "timesteps", text: "50,5"})
    assert given[shared_controls.steps] == 4 and shared_controls.recipe(given).steps == 2


def test_a_choice_that_is_none_is_explained(shared_controls):
    with pytest.raises(OptionError, match="There is no spacing 'karas'"):
        shared_controls.recipe(values(shared_controls, {shared_controls.spacing.menu: "karas"}))


def test_only_samplers_and_options_that_count_are_offered(shared_controls):
    """A model without a learned variance, made for no consistency sampling, and DDPM as it begins."""
    updates = shared_controls.show(ds.Recipe("tiny", sampler="ddpm"))
    assert "consistency" not in updates[shared_controls.sampler.menu]["choices"]
    ddpm = shared_controls.sampler.options["ddpm"].controls
    assert updates[ddpm["variance"]]["choices"] == ["small", "large", "interpolated"]
    assert not updates[ddpm["interpolation"]]["visible"] and not updates[ddpm["learned_above"]]["visible"]
    updates = shared_controls.show(ds.Recipe("tiny", sampler=ds.DDPM(variance="interpolated")))
    assert updates[ddpm["interpolation"]]["visible"] and not updates[ddpm["learned_above"]]["visible"]


def test_what_a_recipe_from_elsewhere_names_is_shown(shared_controls):
    updates = shared_controls.show(ds.Recipe("tiny", sampler="consistency"))
    assert "consistency" in [name for _, name in updates[shared_controls.sampler.menu]["choices"]]
    updates = shared_controls.show(ds.Recipe("tiny", sampler=ds.DDPM(variance="learned")))
    assert "learned" in updates[shared_controls.sampler.options["ddpm"].controls["variance"]]["choices"]
