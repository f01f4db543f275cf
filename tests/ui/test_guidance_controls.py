"""The section about guidance: it shows what the model can use, and holds any recipe."""

from __future__ import annotations

import gradio as gr
import pytest
import torch
from rendered_controls import render_outside_drawer
from test_controls import values

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.classifier_spec import ClassifierSpec
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.imaging.palettes import PALETTES
from diffusion_studio.networks.classifier import NoisyClassifier
from diffusion_studio.networks.classifier_config import ClassifierConfig
from diffusion_studio.networks.mlp import MLP
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.runs.guidance_options import (
    ByClassifier,
    CfgZero,
    Change,
    Interval,
    Palette,
    Projection,
    SelfGuidance,
)
from diffusion_studio.ui.controls import RecipeControls
from diffusion_studio.ui.handlers import LABELLED

BARE = {"classes": None, "null_class": False}


@pytest.fixture
def controls(tmp_path, checkpoint_writer):
    return rendered(tmp_path / "checkpoints", checkpoint_writer)


@pytest.fixture(scope="module")
def shared_controls(tmp_path_factory, checkpoint_writer):
    """The same, made once for the tests that only read them."""
    return rendered(tmp_path_factory.mktemp("controls"), checkpoint_writer)


def rendered(folder, checkpoint_writer) -> RecipeControls:
    write_checkpoint = checkpoint_writer(folder)
    write_checkpoint("a-tiny")
    write_checkpoint("bare", network=BARE)
    write_checkpoint("bare-small", network={**BARE, "channels": 16})
    write_checkpoint("large", image_size=16, network=BARE)
    spec = ClassifierSpec(
        "judge",
        ClassifierConfig(1, 3, 8, 8, (1, 1), 1, norm_groups=4),
        Linear(timesteps=100),
        ("Cat", "Dog", "Elk"),
    )
    points = MLPConfig(width=8, layers=1)
    (folder / "points").mkdir()
    checkpoint.write(
        folder / "points" / "model.safetensors",
        ds.ModelSpec("points", points),
        MLP(points).state_dict(),
        torch.float32,
    )
    (folder / "judge").mkdir()
    checkpoint.write(
        folder / "judge" / "classifier.safetensors",
        spec,
        NoisyClassifier(spec.network).state_dict(),
        torch.float32,
    )
    with gr.Blocks() as page:
        made = RecipeControls(ds.Studio(folder, "cpu", "fp32"))
        render_outside_drawer(made)
        made.render_rest()
    made.page = page
    return made


RECIPES = [
    ds.Recipe(
        "a-tiny", "Cat", guidance=3.0, guidance_shape="cosine", guidance_rescale=0.5, negative_label="Dog"
    ),
    ds.Recipe(
        "a-tiny",
        "Cat",
        guidance=3.0,
        interval=Interval(0.25, 4),
        projection=Projection(0.5, 7),
        guidance_scales="1,6",
    ),
    ds.Recipe("a-tiny", "Cat", classifier=ByClassifier("judge", 4.0, "mean", "Elk"), sampler="ddpm"),
    ds.Recipe("a-tiny", "Cat", weaker="bare", guidance=1.5, change=Change(9, "any", guidance=-1)),
    ds.Recipe("large", palette=Palette("#000,#fff,#a0522d", 1.5)),
    ds.Recipe("bare", palette=Palette("pico-8")),
    ds.Recipe("bare", classifier=ByClassifier("judge", label="Dog"), weaker="bare-small", guidance=2.0),
    ds.Recipe("large", self_guidance=SelfGuidance("skipped_layers", 1.5, "middle.0"), interval=Interval(0.5)),
    ds.Recipe(
        "a-tiny",
        "Cat",
        guidance=0.0,
        self_guidance=SelfGuidance("smoothed_energy", blur=2),
        cfg_zero=CfgZero(True, 9),
    ),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.to_command())
def test_what_is_shown_is_read_back(shared_controls, recipe):
    shown = values(shared_controls, shared_controls.show(recipe))
    assert shared_controls.recipe(shown) == recipe


def shown(controls, model: str, **settings) -> set[str]:
    updates = controls.show(ds.Recipe(model, **settings))
    return {name for name, control in controls.guiding.controls.items() if updates[control]["visible"]}


def test_only_what_the_model_can_use_is_shown(controls):
    over = {
        "guidance_shape",
        "guidance_rescale",
        "interval_low",
        "interval_high",
        "projection_parallel",
        "projection_radius",
        "cfg_zero_star",
    }
    turn_on = {"guidance_scales", "change_step"}
    inside = {"self_guidance"}  # needs neither label nor prompt
    by = {"classifier"}  # what goes with it comes with a choice
    always = turn_on | by | inside | {"palette"}
    assert shown(controls, "a-tiny") == shown(controls, "bare") == always
    assert shown(controls, "a-tiny", guidance=3.0) == over | always | {"negative_label", "weaker"}
    assert shown(controls, "bare", guidance=3.0) == over | always | {"weaker"}
    assert shown(controls, "large") == inside | {"palette"}
    assert shown(controls, "large", self_guidance="perturbed_attention") >= {"interval_low", "interval_high"}
    assert shown(controls, "points") == set()
    updates = controls.show(ds.Recipe("points"))
    assert not updates[controls.guiding.section]["visible"] and not updates[controls.guidance]["visible"]
    assert controls.show(ds.Recipe("bare"))[controls.guidance]["visible"]


def handler_of(page: gr.Blocks, control):
    """What the page calls after `control` has changed."""
    handlers = [
        one
        for one in page.fns.values()
        if getattr(one.fn, "__name__", "") == "look"
        and control._id in [trigger for trigger, _ in one.targets]
    ]
    (handler,) = handlers
    return handler


def visible_after(page: gr.Blocks, control, values: list) -> dict[str, bool]:
    """What the page shows, by label, after `control` has changed."""
    return {one.label: update["visible"] for one, update in handler_of(page, control).fn(*values).items()}


def test_what_a_setting_switches_off_leaves_the_page_with_it(controls):
    page, guiding, more = controls.page, controls.guiding.controls, controls.advanced.controls
    assert visible_after(page, more["clip"], [False, 1.0]) == {"Bound of the clipping": False}
    assert visible_after(page, more["clip"], [True, 1.0]) == {"Bound of the clipping": True}
    assert visible_after(page, more["threshold"], [0.9, True]) == {
        LABELLED["clip"]: False,
        "Bound of the clipping": False,
        "Most that thresholding scales back": True,
    }
    updates = controls.show(ds.Recipe("a-tiny", threshold=0.9))
    limits = [updates[more[name]]["visible"] for name in ("clip", "clip_range", "threshold_most")]
    assert limits == [False, False, True]
    assert visible_after(page, guiding["change_step"], ["10", "a-tiny"]) == {
        "New label": True,
        "New prompt": False,  # this model reads no prompt
        "New guidance": True,
    }
    assert not any(visible_after(page, guiding["change_step"], ["", "a-tiny"]).values())
    over = {"Guidance over the run", "Restore contrast", "Negative label", "Projection", "Longest step"}
    over |= {"Weaker model", "CFG-Zero*", "Least noise", "Most noise"}

    def seen(control, **changes) -> set[str]:
        at = {"guidance": 1.0, "model": "a-tiny"} | changes
        handler = handler_of(page, control)
        given = [at.get(one.elem_id.replace("-", "_"), "") for one in handler.inputs]
        return {one.label for one, update in handler.fn(*given).items() if update["visible"]}

    assert seen(controls.guidance) & over == set() and "Negative prompt" not in seen(controls.guidance)
    assert seen(controls.guidance, guidance=3.0) >= over
    assert seen(guiding["change_guidance"], change_guidance="2") >= over
    assert seen(guiding["guidance_scales"], guidance_scales="1,6") >= over - {"Guidance over the run"}
    assert "Guidance" not in seen(guiding["guidance_scales"], guidance_scales="1,6")
    assert "Guidance" in seen(guiding["guidance_scales"])
    assert seen(guiding["self_guidance"], self_guidance="perturbed_attention") & over == {
        "Least noise",
        "Most noise",
    }


def test_the_palette_of_a_model_is_offered_where_it_has_one(controls, write_checkpoint):
    def offered(model: str) -> list[str]:
        return [
            value
            for _, value in controls.show(ds.Recipe(model))[controls.guiding.controls["palette"]]["choices"]
        ]

    assert offered("large") == ["", *PALETTES]
    write_checkpoint("large", image_size=16, network=BARE, palette=("#000000", "#ffffff"))
    assert offered("large") == ["", "own", *PALETTES]


def test_what_goes_with_a_classifier_is_shown_with_it(controls):
    updates = controls.show(RECIPES[2])
    assert all(
        updates[controls.guiding.controls[f"classifier_{name}"]]["visible"]
        for name in ("scale", "form", "label")
    )


def test_what_is_left_from_another_model_is_not_sent(controls):
    left = values(controls, controls.show(RECIPES[1]), {controls.model: "large", controls.guidance: 1.0})
    assert controls.recipe(left) == ds.Recipe("large")


def test_half_a_setting_says_nothing(controls):
    """A label beside no classifier, or a guidance beside no step, is not a mistake but unfinished."""
    left = values(
        controls,
        controls.show(RECIPES[0]),
        {
            controls.guiding.controls["classifier_label"]: "Elk",
            controls.guiding.controls["change_guidance"]: "3",
        },
    )
    assert controls.recipe(left) == RECIPES[0]


def test_a_helper_that_is_not_here_is_kept_to_be_explained(controls):
    recipe = ds.Recipe("a-tiny", "Cat", classifier="gone")
    assert controls.recipe(values(controls, controls.show(recipe))) == recipe
    with pytest.raises(ds.StudioError, match="There is no classifier in .* 'gone'. Choose one of: judge"):
        controls.studio.stream(recipe)


def test_every_control_has_a_name_of_its_own(controls):
    labels = [control.label for control in controls.guiding.controls.values()]
    assert len(labels) == len(set(labels))


def test_only_the_kinds_of_self_guidance_that_the_network_has_something_for(controls, write_checkpoint):
    def offered() -> list[str]:
        return [
            value
            for _, value in controls.show(ds.Recipe("large"))[controls.guiding.controls["self_guidance"]][
                "choices"
            ]
        ]

    assert offered() == ["", "perturbed_attention", "smoothed_energy", "skipped_layers"]
    write_checkpoint("large", image_size=16, network={**BARE, "middle": "residual"})
    assert offered() == ["", "skipped_layers"]
    updates = controls.show(ds.Recipe("a-tiny", self_guidance="perturbed_attention"))
    visible = {name for name, control in controls.guiding.controls.items() if updates[control]["visible"]}
    assert {"self_guidance_scale", "self_guidance_layers"} <= visible and "self_guidance_blur" not in visible
