"""What guidance does at a state: the two answers, their difference, the result."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio.errors import OptionError
from diffusion_studio.inside import drawing
from diffusion_studio.inside.guidance_view import look, over_run
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.settings import Settings
from diffusion_studio.runs.recipe import Recipe


def test_the_result_is_without_and_the_scaled_difference(tiny_model):
    model = tiny_model()
    run = Run(model, Recipe("tiny", "Dog", (1, 2), 5, guidance=2.5, clip=False))
    seen = look(run.state(2), Settings(picture=1))
    np.testing.assert_allclose(seen["result"], seen["without"] + 2.5 * seen["difference"], atol=1e-6)
    assert seen.numbers["scale"] == pytest.approx(2.5, abs=1e-5)
    bare = model.denoiser(None)(run.x(2), run.state(2).level).x0[1]
    np.testing.assert_allclose(seen["without"], bare.numpy(), atol=1e-6)
    assert over_run(run, Settings())["difference_size"].shape == (5,)


def test_off_guidance_shows_what_it_would_do(tiny_model):
    run = Run(tiny_model(), Recipe("tiny", "Dog", (1,), 5, clip=False))
    seen = look(run.state(2), Settings())
    np.testing.assert_allclose(seen["result"], seen["with"], atol=1e-7)
    assert np.abs(seen["difference"]).max() > 0


def test_a_change_on_the_way_counts_from_its_step(tiny_model):
    model = tiny_model()
    recipe = Recipe("tiny", "Dog", (1,), 6, clip=False, change={"step": 3, "label": "Cat"})
    run = Run(model, recipe)
    for k, label in ((2, "Dog"), (3, "Cat")):
        expected = model.denoiser(label)(run.x(k), run.state(k).level).x0[0]
        np.testing.assert_allclose(look(run.state(k), Settings())["with"], expected.numpy(), atol=1e-7)


def test_nothing_to_guide_is_an_error(tiny_model):
    model = tiny_model(network={"classes": None, "null_class": False}, labels=())
    with pytest.raises(OptionError, match="no guidance to see"):
        look(Run(model, Recipe("tiny", steps=2)).state(0), Settings())


def test_a_network_that_always_had_a_label_is_not_said_to_take_none(tiny_model):
    model = tiny_model(network={"null_class": False})
    with pytest.raises(OptionError, match="was always trained with a label") as caught:
        look(Run(model, Recipe("tiny", "Dog", steps=2)).state(0), Settings())
    assert "neither label nor prompt" not in str(caught.value)


def test_a_classifier_s_probabilities_are_drawn():
    """Each bar is as long as its probability."""
    drawn = drawing.bars([("Cat", 0.75), ("Dog", 0.25)], width=420)
    blue = (drawn == drawing.LINES[0]).all(-1)
    lengths = [int(blue[y].sum()) for y in (16, 40)]
    assert lengths == [185, 62]  # of 246 pixels, both ends counted


def test_self_guidance_is_shown_where_there_is_no_other(tiny_model):
    model = tiny_model(network={"classes": None, "null_class": False}, labels=())
    given = {"name": "skipped_layers", "scale": 2.0, "layers": "middle.1"}
    run = Run(model, Recipe("tiny", None, (1, 2), 5, clip=False, self_guidance=given))
    seen = look(run.state(2), Settings(picture=1))
    plain = model.denoiser(None)(run.x(2), run.state(2).level).x0[1].numpy()
    np.testing.assert_allclose(seen["disturbed"] + seen["inside"], plain, atol=1e-6)
    np.testing.assert_allclose(seen["result"], plain + 2 * seen["inside"], atol=1e-6)
    assert "Self-guidance by skipped layers adds 2 times" in seen.lines[0]
    assert [one.title.split(",")[0] for one in seen.tiles][:2] == ["x0 disturbed", "x0 less disturbed"]


def test_the_disturbed_answer_is_not_taken_for_the_one_without_the_label(tiny_model):
    """With guidance off a call has two rows for each picture as well: the label's, and the disturbed one."""
    model = tiny_model()
    given = {"name": "skipped_layers", "layers": "middle.1"}
    run = Run(model, Recipe("tiny", "Dog", (1, 2), 5, clip=False, self_guidance=given))
    seen, bare = look(run.state(2), Settings()), model.denoiser(None)(run.x(2), run.state(2).level).x0[0]
    np.testing.assert_allclose(seen["without"], bare.numpy(), atol=1e-6)
    assert np.abs(seen["disturbed"] - seen["without"]).max() > 1e-3


def test_the_sum_is_shown_before_clipping_and_says_what_clipping_changes(tiny_model):
    """The bound is small, so that it cuts values off."""
    asked = {"label": "Dog", "seeds": (1,), "steps": 5, "guidance": 4.0}
    model = tiny_model()
    clipped = Run(model, Recipe("tiny", **asked, clip_range=0.2))
    seen = look(clipped.state(0), Settings())
    free = look(Run(model, Recipe("tiny", **asked, clip=False)).state(0), Settings())
    np.testing.assert_allclose(seen["before"], free["result"], atol=1e-5)
    np.testing.assert_allclose(seen["result"], free["result"].clip(-0.2, 0.2), atol=1e-6)
    share = float((np.abs(free["result"]) > 0.2).mean())
    assert 0 < share < 1 and seen.numbers["clipped"] == pytest.approx(share, abs=1e-3)
    assert seen.numbers["scale"] == pytest.approx(4, abs=1e-3)
    assert "before clipping: guided x0 = without + 4 x" in seen.lines[0]
    assert f"Clipping to -0.2 to 0.2 changes {share:.1%} of the values" in seen.lines[1]
    titles = [one.title.split(",")[0] for one in seen.tiles]
    assert titles[-2:] == ["guided x0", "cut off by clipping"]
    assert "before" not in free.arrays and "This run does not clip x0" in free.lines[0]


def test_no_sum_is_claimed_before_clipping_where_another_rule_changes_it(tiny_model):
    asked = {"label": "Dog", "seeds": (1,), "steps": 5, "guidance": 4.0, "clip_range": 0.2}
    seen = look(Run(tiny_model(), Recipe("tiny", **asked, guidance_rescale=0.7)).state(0), Settings())
    assert "before" not in seen.arrays and not seen.numbers["exact"]
    assert "after clipping: guided x0 is about" in seen.lines[0]
