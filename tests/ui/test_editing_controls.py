"""The section of pictures to edit, without a browser: what it shows is the recipe, and what it holds makes
it again.
"""

from __future__ import annotations

import base64

import gradio as gr
import numpy as np
import pytest
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.runs.edits import EDITS, FromPicture, Inpaint, Interpolate, Invert, Morph, Travel
from diffusion_studio.runs.recipe import ANY, Recipe
from diffusion_studio.ui.controls import RecipeControls
from diffusion_studio.ui.generate_tab import MAX_LINK, NO_LINK, linkable
from diffusion_studio.ui.painter import mask_in, sheet

RANDOM = np.random.default_rng(0)
PICTURE, OTHER = (Picture(RANDOM.integers(0, 256, (8, 8, 1), dtype=np.uint8)) for _ in range(2))
MASK = Picture(np.where(RANDOM.random((8, 8)) < 0.5, 255, 0).astype(np.uint8))
BASE = Recipe(model="tiny", label="Dog", seeds=(3,), steps=5)


@pytest.fixture(scope="module")
def controls(tmp_path_factory, checkpoint_writer):
    """Made once: the tests only read them."""
    folder = tmp_path_factory.mktemp("controls")
    checkpoint_writer(folder)("tiny", defaults={"steps": 4, "count": 2})
    with gr.Blocks():
        made = RecipeControls(ds.Studio(folder, "cpu", "fp32"))
        render_outside_drawer(made)
        made.render_rest()
    return made


def values(controls: RecipeControls, updates: dict, folder) -> dict:
    """What the page would send: the controls as the updates left them, pictures as the files that Gradio
    keeps.
    """
    found = {one: one.value for one in controls.inputs()}
    for control, update in updates.items():
        value = update.get("value", found.get(control)) if isinstance(update, dict) else update
        if control in found:
            found[control] = value
    for number, image in enumerate(controls.editing.pictures.values()):
        if found[image] is not None:
            path = folder / f"{number}.png"
            found[image].save(path)
            found[image] = str(path)
    return found


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(model="tiny", label="Dog", seeds=(3, 4), edit=FromPicture(PICTURE, 0.35)),
        Recipe(model="tiny", edit=Inpaint(PICTURE, MASK, jumps=3)),
        Recipe(model="tiny", edit=Invert(PICTURE, source_label="Cat")),
        Recipe(model="tiny", seeds=(1, 5), edit=Interpolate(9, True)),
        Recipe(model="tiny", edit=Morph(PICTURE, OTHER)),
        BASE.continued(2, label="Cat"),
        BASE.continued(2, edit=Inpaint(PICTURE, MASK)),
        BASE.continued(1).continued(3, guidance=2.0),
        BASE,
    ],
    ids=str,
)
def test_what_is_shown_is_read_back(controls, recipe, tmp_path):
    assert controls.recipe(values(controls, controls.show(recipe), tmp_path)) == recipe


def test_a_film_through_prompts_goes_from_what_is_drawn_to_the_next_of_the_models_own():
    studio = ds.Studio()
    with gr.Blocks():
        made = RecipeControls(studio)
        render_outside_drawer(made)
        made.render_rest()

    def stops(*given: str | None) -> str:
        said = made.editing.kind_chosen("travel", *given)[made.editing.options["stops"]]["value"]
        studio.recipe(given[0], edit=Travel(stops=said))  # whatever it says can be run
        return said

    first, second, *_, last = studio.card("emoji").spec.prompts
    assert (
        stops("emoji", first, "Any") == f"{first} | {second}" and stops("emoji", last) == f"{last} | {first}"
    )
    assert stops("emoji", "an owl") == f"an owl | {first}" and stops("emoji", "") == f"{first} | {second}"
    assert (
        stops("mnist", "cat face", "7") == "7 | 8" and stops("mnist", "cat face", ANY) == "0 | 1"
    )  # which reads none


@pytest.mark.parametrize("kind", ["none", *EDITS])
def test_only_what_matters_to_a_kind_is_shown(controls, kind):
    shown = controls.editing.kind_chosen(kind, "tiny")
    assert set(shown) == set(controls.editing.kind_outputs())
    names = {
        "none": set(),
        "picture": {"picture", "strength"},
        "inpaint": {"picture", "mask", "strength", "jumps"},  # and jump_length once there are jumps
        "invert": {"picture", "strength", "source_label"},
        "interpolate": {"film", "loop"},
        "travel": {"stops", "film", "loop"},
        "morph": {"picture", "other", "film", "loop", "strength", "source_label"},
    }[kind]
    both = {**controls.editing.pictures, **controls.editing.options}
    assert {
        name for name, control in both.items() if shown[control]["visible"]
    } == names  # this model reads no text


def test_one_seed_counts_where_no_seed_matters(controls, tmp_path):
    shown = values(controls, controls.show(Recipe(model="tiny", edit=Invert(PICTURE))), tmp_path)
    assert controls.recipe({**shown, controls.count: 4, controls.seed: "7"}).seeds == (7,)


def test_the_way_back_from_a_branch(controls, tmp_path):
    branch = BASE.continued(2, label="Cat")
    shown = controls.show(branch)
    assert (
        shown[controls.editing.notice]["visible"]
        and "Continues from step 2" in shown[controls.editing.notice]["value"]
    )
    assert controls.editing.whole(shown[controls.editing.branch]) == BASE
    assert not controls.show(BASE)[controls.editing.notice]["visible"]
    strange = Recipe(model="tiny", label="Dog", prompt=None, seeds=(1,)).continued(1)
    assert (
        "<script>"
        not in controls.show(ds.Recipe(model="tiny", label="<script>").continued(1, label="Dog"))[
            controls.editing.notice
        ]["value"]
        and strange.branch.at == 1
    )


@pytest.mark.parametrize(
    "edit, change, message",
    [
        (
            FromPicture(PICTURE),
            "picture",
            "the picture is missing. Put one into the section 'Edit a picture'",
        ),
        (Inpaint(PICTURE, MASK), "mask", "the mask is missing. Paint over what is to be drawn anew"),
    ],
)
def test_a_missing_picture_is_explained(controls, edit, change, message, tmp_path):
    shown = values(controls, controls.show(Recipe(model="tiny", edit=edit)), tmp_path)
    shown[controls.editing.canvas] = sheet(PICTURE)  # with nothing painted
    with pytest.raises(OptionError, match=message):
        controls.recipe({**shown, controls.editing.pictures[change]: None})


def test_a_mask_of_another_size_is_explained(controls, tmp_path):
    shown = values(controls, controls.show(Recipe(model="tiny", edit=Inpaint(PICTURE, MASK))), tmp_path)
    shown[controls.editing.canvas] = sheet(PICTURE)  # with nothing painted, so that the file counts
    path = tmp_path / "mask.png"
    path.write_bytes(Picture(np.full((5, 9), 255, np.uint8)).png())
    with pytest.raises(OptionError, match="The mask is 9x5 grey and the picture 8x8 grey"):
        controls.recipe({**shown, controls.editing.pictures["mask"]: str(path)})


def test_what_is_painted_is_the_mask_before_a_file(controls, tmp_path):
    shown = values(controls, controls.show(Recipe(model="tiny", edit=Inpaint(PICTURE, MASK))), tmp_path)
    drawn = RANDOM.integers(0, 2, (8, 8), dtype=np.uint8)
    value = {**sheet(PICTURE), "mask": base64.b64encode(drawn.tobytes()).decode()}
    assert np.array_equal(
        controls.recipe({**shown, controls.editing.canvas: value}).edit.mask.pixels[..., 0], drawn * 255
    )
    assert controls.recipe({**shown, controls.editing.canvas: sheet(PICTURE)}).edit.mask == MASK
    other = {**sheet(Picture(np.zeros((4, 4), np.uint8))), "mask": base64.b64encode(bytes([1] * 16)).decode()}
    with pytest.raises(OptionError, match="What was painted has 4x4 pixels, and tiny draws 8x8"):
        controls.recipe({**shown, controls.editing.canvas: other})


def test_a_mask_of_black_and_white_is_painted_and_one_with_greys_stays_a_file(controls, tmp_path):
    painted = sheet(PICTURE, MASK, what="inpaint")
    assert mask_in(painted) == MASK and painted["what"] == "inpaint"
    grey = Picture(np.full((8, 8), 100, np.uint8))
    assert (
        sheet(PICTURE, grey)["mask"] == ""
        and sheet(PICTURE, Picture(np.zeros((4, 4), np.uint8)))["mask"] == ""
    )
    recipe = Recipe(model="tiny", edit=Inpaint(PICTURE, grey))
    assert controls.recipe(values(controls, controls.show(recipe), tmp_path)) == recipe


@pytest.mark.parametrize(
    "value", [None, 3, {}, {"mask": ""}, {**sheet(PICTURE), "mask": base64.b64encode(bytes(64)).decode()}]
)
def test_nothing_painted_is_no_mask(value):
    assert mask_in(value) is None


@pytest.mark.parametrize(
    "change", [{"mask": "%"}, {"mask": 3}, {"mask": "AAAA"}, {"width": "8"}, {"height": -1, "width": 3}]
)
def test_a_mask_that_no_page_sends(change):
    with pytest.raises(OptionError, match="did not arrive whole"):
        mask_in({**sheet(PICTURE), "mask": base64.b64encode(bytes([1] * 64)).decode(), **change})


def test_a_link_that_cannot_carry_a_picture_says_so():
    def noise(side: int) -> Recipe:
        return Recipe(edit=FromPicture(Picture(RANDOM.integers(0, 256, (side, side, 1), dtype=np.uint8))))

    small, large = noise(8), noise(128)
    assert linkable(small) == small.to_json() and len(linkable(small)) < MAX_LINK
    assert linkable(large).startswith(NO_LINK) and "Export the run" in linkable(large)
