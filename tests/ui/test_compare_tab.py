"""The Compare tab's Python: lanes and axes as they are written, and what the page is sent."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import re
from collections.abc import Generator
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.compare import settings
from diffusion_studio.compare.player_data import IN_APP, MEASURED, shown_value
from diffusion_studio.compare.recipes import Axis, GridRecipe, RaceRecipe, fingerprint
from diffusion_studio.compare.text import (
    AS_IT_IS,
    NOT_EDITED,
    RUN_BEFORE,
    axis_of,
    axis_text,
    lanes_of,
    line_of,
)
from diffusion_studio.diffusion.schedule import CLEAN
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.runs.edits import FromPicture
from diffusion_studio.ui.axes import axes_value
from diffusion_studio.ui.axes.axes import RECOMMENDED
from diffusion_studio.ui.compare_choices import (
    FIRST_AXES,
    FIRST_LANES,
    GRID,
    RACE,
    base_sentence,
    base_words,
    format_choices,
    linkable,
    of_its_own,
    remarks,
    second_lane,
    sent_sentence,
    suggestions,
    summary,
)
from diffusion_studio.ui.compare_progress import (
    NewestState,
    ProgressBoard,
    ProgressText,
    progress,
    with_counts,
)
from diffusion_studio.ui.compare_store import KeptRuns
from diffusion_studio.ui.compare_tab import TRIES, CompareTab
from diffusion_studio.ui.compare_view.view import EXAMPLE
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.controls import RecipeControls
from diffusion_studio.ui.lanes import lanes_value
from diffusion_studio.ui.picker.picker import other_items
from diffusion_studio.ui.price import Prices


@pytest.fixture(scope="module")
def studio(tmp_path_factory, checkpoint_writer):
    folder = tmp_path_factory.mktemp("compare") / "checkpoints"
    checkpoint_writer(folder)("tiny")
    return ds.Studio(folder, "cpu", "fp32")


def described(recipe) -> str:
    """The words without their tags."""
    return html.unescape(re.sub("<i>.*?</i>|<[^>]*>", "", base_words(recipe)))


def test_lanes_as_they_are_written(studio):
    base = studio.recipe("tiny", label="Dog")
    found = [(one.steps, type(one.sampler)) for one in lanes_of(base, FIRST_LANES)]
    assert found == [(16, ds.SAMPLERS["ddim"]), (8, ds.SAMPLERS["dpmpp_2m"]), (24, ds.SAMPLERS["ddpm"])]
    found = list(lanes_of(base, '\nAs it is\n eta=0.5 ,steps = 3\nprompt="a, b", label=Cat\n'))
    assert found[0] == base and (found[1].sampler.eta, found[1].steps) == (0.5, 3)
    assert (found[2].prompt, found[2].label) == ("a, b", "Cat")
    with pytest.raises(
        OptionError, match="A lane is 'as it is', 'the run before', 'without the edit', or"
    ) as wrong:
        list(lanes_of(base, "faster"))
    assert wrong.value.field == "lanes"
    with pytest.raises(OptionError, match="no setting 'stepps'"):
        list(lanes_of(base, "stepps=3"))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, AS_IT_IS),
        ({"steps": 3, "label": None}, "label=none, steps=3"),
        ({"sampler": "dpmpp_2m", "spacing": "karras"}, "sampler=dpmpp_2m, spacing=karras"),
        ({"eta": 0.25, "guidance": 2.5}, "eta=0.25, guidance=2.5"),
        ({"sampler": "ddpm", "variance": "large"}, "sampler=ddpm, variance=large"),
        ({"clip": False, "prompt": "an orc, red"}, 'clip=false, prompt="an orc, red"'),
        ({"guidance_rescale": 0.5}, "guidance_rescale=0.5"),
        ({"interval_low": 0.5}, "interval_low=0.5"),
    ],
)
def test_a_lane_is_written_as_it_is_read(studio, changes, line):
    from diffusion_studio.compare.settings import changed

    base = studio.recipe("tiny", label="Dog")
    lane = changed(base, changes)
    assert line_of(base, lane) == line
    assert list(lanes_of(base, line)) == [lane]


def test_a_lane_that_no_line_says(studio):
    base = studio.recipe("tiny", seeds=(0,))
    edited = dataclasses.replace(base, steps=4).continued(2)
    assert line_of(base, edited) is None
    assert "more than one can carry" in linkable(RaceRecipe((base, edited)))


def test_axes_are_written_as_they_are_read():
    for axis in (
        Axis("guidance", (1, 2.5)),
        Axis("prompt", ("orc, red", "elf", None)),
        Axis("sampler", ("ddim", "ddpm")),
        Axis("clip", (True, False)),
    ):
        assert axis_of(axis_text(axis)) == axis
    assert axis_text(None) == ""


def test_links_hold_a_race_and_a_grid(studio):
    base = studio.recipe("tiny", label="Dog")
    race = RaceRecipe.of([base, {"steps": 3}], reference=20)
    assert RaceRecipe.from_json(linkable(race)) == race
    grid = GridRecipe(base, Axis("guidance", (1, 2)))
    assert GridRecipe.from_json(linkable(grid)) == grid
    long = RaceRecipe.of([base, *({"prompt": "word " * 390 + str(k)} for k in range(5))])
    assert linkable(long).startswith("No link: the settings are too long")


def test_every_suggestion_can_be_read(studio):
    for base in (None, studio.recipe("tiny", label="Dog"), studio.recipe("tiny", steps=2, guidance=1.0)):
        for one in suggestions(RACE, base):
            recipe = base or studio.recipe("tiny")
            assert len(set(lanes_of(recipe, one["value"]["lanes"]))) > 1, one
        for one in suggestions(GRID, base):
            assert axis_of(one["value"]["x"]).values and axis_of(one["value"]["y"]).values
    assert described(studio.recipe("tiny", label="Dog", steps=7)).startswith("tiny, “Dog”, DDIM, 7 steps")


def test_the_example_is_what_the_page_shows():
    """As `scripts/page_pictures.py` wrote it, in the form of today."""
    import json

    example = json.loads(EXAMPLE.read_text("utf-8"))
    runs = example["runs"]
    assert len(runs) == len(example["titles"]) == 3 and example["recorded"].startswith("A recorded example")
    assert example["lanes"] == FIRST_LANES  # the form shows what was recorded
    assert [run["said"][-1].split(",")[0] for run in runs] == [
        f"step {n} of {n}" for n in (16, 8, 24)
    ]  # fmt: skip
    assert all(len(run["at"]) == len(example["ticks"]) and len(run["tiles"]) == 2 for run in runs)
    starts = [pixels(run, 0, "x") for run in runs]
    assert (starts[0] == starts[1]).all() and (starts[0] == starts[2]).all()  # from one noise
    ends = [pixels(run, -1, "x") for run in runs]
    assert not (ends[0] == ends[1]).all() and not (ends[0] == ends[2]).all()


def test_the_menus_offer_what_a_lane_can_have(studio):
    """Each value that the menus begin with is one that the lane's setting takes."""
    base = studio.recipe("tiny", label="Dog")
    value = lanes_value(FIRST_LANES, ["tiny"])
    assert value["text"] == FIRST_LANES and [one for one, _ in value["words"]] == [AS_IT_IS]
    assert {one["name"] for one in value["settings"]} >= {"sampler", "steps", "guidance", "model", "prompt"}
    for one in value["settings"]:
        for first in [name for name, _ in one.get("choices", ())] or [one.get("first", "Cat")]:
            sampler = {"eta": "sampler=ddim, "}.get(one["name"], "")
            assert len(list(lanes_of(base, f"{sampler}{one['name']}={first}"))) == 1
    assert [one for one, _ in lanes_value("", [], [RUN_BEFORE])["words"]] == [AS_IT_IS, RUN_BEFORE]


def test_the_menus_of_the_axes_begin_with_values_that_run(studio):
    """Each setting's values to begin with make a grid; every other setting can be chosen too."""
    base = studio.recipe("tiny", label="Dog")
    value = axes_value(*FIRST_AXES, studio.models())
    assert (value["x"], value["y"]) == FIRST_AXES and value["labels"] == {
        "tiny": ["Cat", "Dog", "Ankle boot"]
    }
    for one in value["settings"]:
        if one["example"]:
            made = GridRecipe(base, axis_of(f"{one['name']}={one['example']}"))
            assert len(made.cells) == len(set(made.cells)), one
        for name, _ in one.get("choices", ()):
            assert axis_of(f"{one['name']}={name}").values
    offered = [one["name"] for one in value["settings"]]
    assert sorted(offered) == sorted(settings.names())
    groups = {one["name"]: one["group"] for one in value["settings"]}
    assert [name for name, group in groups.items() if group == RECOMMENDED] == [
        *("seed", "guidance", "steps", "sampler", "label", "prompt", "model", "spacing")
    ]
    assert (groups["s_tmin"], groups["cfg_zero_star"], groups["rho"]) == ("Sampler", "Guidance", "Schedule")
    titles = {one["name"]: one["title"] for one in value["settings"]}
    assert (titles["s_tmin"], titles["cfg_zero_star"]) == ("Churn from noise (S_tmin)", "CFG-Zero*")


def test_a_branch_is_compared_with_the_run_before(studio):
    before = studio.recipe("tiny", label="Cat", steps=6)
    branch = before.continued(2, label="Dog")
    assert list(lanes_of(branch, "as it is\nThe run before")) == [branch, before]
    assert line_of(branch, before) == RUN_BEFORE
    race = RaceRecipe((branch, before))
    assert RaceRecipe.from_json(linkable(race)) == race
    first = suggestions(RACE, branch)[0]
    assert (first["title"], first["value"]) == (
        "The run that it branched from",
        {"lanes": f"{AS_IT_IS}\n{RUN_BEFORE}"},
    )
    assert second_lane(branch) == RUN_BEFORE and "the run that it branched from" in sent_sentence(branch)
    assert described(branch).endswith("branched at step 2 of the run of “Cat”")
    # other noise is none of the race's
    one = studio.recipe("tiny", seeds=(0,), steps=6)
    assert RUN_BEFORE not in of_its_own(one.continued(2, seeds=(5, 6))).values()
    with pytest.raises(OptionError, match="what all runs begin with is no branch") as wrong:
        list(lanes_of(before, "the run before"))
    assert wrong.value.field == "lanes"


def test_an_edited_run_is_compared_with_the_same_from_noise(studio):
    picture = Picture(np.zeros((8, 8, 3), np.uint8))
    edited = dataclasses.replace(studio.recipe("tiny", steps=6), edit=FromPicture(picture, strength=0.5))
    assert list(lanes_of(edited, "without the edit")) == [dataclasses.replace(edited, edit=None)]
    assert suggestions(RACE, edited)[0]["value"]["lanes"] == f"{AS_IT_IS}\n{NOT_EDITED}"
    assert line_of(edited, dataclasses.replace(edited, edit=None)) == NOT_EDITED
    assert "the settings hold its pixels, and not the run that drew them" in sent_sentence(edited)
    assert FromPicture.title.lower() in described(edited).lower()
    with pytest.raises(OptionError, match="what all runs begin with is from noise"):
        list(lanes_of(studio.recipe("tiny"), "without the edit"))


def test_the_status_says_how_far_the_runs_are(studio):
    """A reference run comes last; a grid has no order of its cells."""
    base = studio.recipe("tiny", steps=4)
    race = RaceRecipe.of([base, {"steps": 2}], reference=True)
    frame = Frame(1, 4, CLEAN, np.zeros((1, 8, 8, 1), np.uint8), np.zeros((1, 8, 8, 1), np.uint8))
    found = {run: progress(NewestState(run, frame, 3), race) for run in (-1, 0, 1)}
    # 4 steps of lane 1, 2 of lane 2 and 1,000 of the reference run
    assert found[0] == ProgressText("Lane 1 of 2: step 1 of 4", 0.001)  # 1/1006
    assert found[1] == ProgressText("Lane 2 of 2: step 1 of 4", 0.004)  # 4.5/1006
    assert found[-1] == ProgressText("The reference run: step 1 of 4", 0.254)  # 256/1006
    # 10 s x 750/256 = 29.3 s, rounded up
    assert progress(NewestState(-1, frame, 3), race, 10.0).text.endswith("step 1 of 4, about 30 s left")
    grid = GridRecipe(base, Axis("steps", (1, 3)))
    assert progress(NewestState(0, frame, 3), grid).text == "3 of about 6 states of 2 cells"


def test_guidance_of_runs_that_ask_for_nothing_is_named(studio):
    """Their pictures are equal, which nothing else on the page explains."""
    said = "Without a prompt or label guidance changes nothing"
    free = GridRecipe(studio.recipe("tiny", steps=2), Axis("guidance", (1.0, 3.0)))
    assert summary(ds.grid(free, studio=studio)).partition(". ")[2].startswith(said)
    for other in (
        GridRecipe(studio.recipe("tiny", label="Dog", steps=2), Axis("guidance", (1.0, 3.0))),
        GridRecipe(studio.recipe("tiny", steps=2), Axis("guidance", (1.0, 3.0)), Axis("label", ("Dog",))),
        GridRecipe(studio.recipe("tiny", steps=2), Axis("steps", (1, 2))),
    ):
        assert remarks(other) == []


def test_an_axis_that_another_setting_switches_off_is_named(studio):
    """Its cells are equal, which nothing else on the page explains."""
    bound = Axis("clip_range", (0.5, 1.0))
    free = GridRecipe(studio.recipe("tiny", steps=2, clip=False), bound)
    said = "Bound of the clipping has no effect while Clip the predicted x0 is false."
    made = ds.grid(free, studio=studio)
    assert (made.cells[0].finished == made.cells[1].finished).all()
    assert remarks(free) == [said] and summary(made).endswith(said)
    clip = Axis("clip", (True, False))
    for partly in (GridRecipe(free.recipe, bound, clip), GridRecipe(free.recipe, clip, bound)):
        assert remarks(partly) == [said]  # in the row, or the column, of false
    for other in (
        GridRecipe(studio.recipe("tiny", steps=2), bound),
        GridRecipe(studio.recipe("tiny", steps=2), bound, Axis("clip", (True,))),
        RaceRecipe.of([free.recipe, {"clip_range": 0.5}]),
    ):
        assert remarks(other) == []


def test_a_page_asks_how_far_a_run_is():
    followed = ProgressBoard()
    key = followed.begin()
    assert followed.at(key) == {"text": "Starting ...", "share": None, "states": [], "upto": 0}
    followed.tell(key, ProgressText("Lane 1 of 2: step 1 of 4", 0.5))
    assert followed.at(key) == {"text": "Lane 1 of 2: step 1 of 4", "share": 0.5, "states": [], "upto": 0}
    followed.end(key)
    assert followed.at(key) is followed.at("another") is followed.at(None) is None


def test_a_page_gets_each_new_state_once():
    """The newest state of each run, exactly, but for the reference run; a big one comes alone."""
    rng, followed = np.random.default_rng(0), ProgressBoard()
    key = followed.begin()
    frames = [
        Frame(1, 4, CLEAN, rng.integers(0, 256, (1, side, side, 3), np.uint8), np.zeros((1, 1, 1, 3)))
        for side in (8, 8, 320)
    ]

    def answer(after: int) -> tuple[list[int], int]:
        found = followed.at(key, after)
        assert found is not None
        for run, webp in found["states"]:
            with Image.open(io.BytesIO(base64.b64decode(webp))) as seen:
                np.testing.assert_array_equal(np.asarray(seen), frames[run].x[0])
        return [run for run, _ in found["states"]], found["upto"]

    def runs() -> Generator[tuple[int, Frame], None, Any]:
        for run in (0, 2, 1, -1, 0):
            yield run, frames[run]

    states = [one for one in with_counts(runs()) if isinstance(one, NewestState)]
    followed.tell(key, ProgressText("early"), states[2].of_each)
    assert answer(0) == ([0], 1)  # with the big one it would be too much
    assert answer(1) == ([2], 2)
    assert answer(2) == ([1], 3) and answer(3) == ([], 3)
    followed.tell(key, ProgressText("later"), states[4].of_each)
    assert answer(3) == ([0], 5) and answer(5) == ([], 5)
    followed.tell(key, ProgressText("no news"))
    assert answer(0) == ([2], 2)


def test_an_update_of_the_suggestions_has_all_properties():
    """A picker that the page has not drawn yet has only those of its update: it lost its look and label."""
    update = other_items(suggestions(RACE, None), **TRIES)
    assert (update["look"], update["group"], len(update["items"])) == ("chips", "Try", 3)


@pytest.fixture(scope="module")
def shared_tab(studio):
    """A Compare tab, rendered once, as that takes long."""
    with gr.Blocks():
        compute = Compute()
        controls = RecipeControls(studio)
        render_outside_drawer(controls)
        controls.render_rest()
        tab = CompareTab(studio, compute, Prices(studio, compute), controls)
    return tab


@pytest.fixture
def visit(shared_tab):
    """A Compare tab, and the request of a visitor who is forgotten at the end."""
    yield shared_tab, gr.Request(session_hash="ann")
    shared_tab.forget("ann")
    assert shared_tab._kept.get("ann", RACE) is None


def test_another_clock_takes_effect_on_finished_runs(studio, visit):
    """The view, the link and a file are on it; nothing runs again."""
    tab, ann = visit
    race = ds.race([studio.recipe("tiny", label="Dog", steps=4), {"steps": 2}], studio=studio)
    tab._kept.put("ann", RACE, race)
    updates = tab._clock_chosen("steps", RACE, ann)
    assert updates[tab.view]["ticks"] == [f"step {k}" for k in range(5)] and updates[tab.view]["moved"]
    assert RaceRecipe.from_json(updates[tab.link]).clock == "steps"
    kept = tab._kept.get("ann", RACE)
    assert kept.recipe.clock == "steps" and kept.lanes is race.lanes


def test_a_clock_that_is_chosen_while_runs_are_made_is_theirs(studio, visit):
    tab, ann = visit
    race = ds.race([studio.recipe("tiny", label="Dog", steps=4), {"steps": 2}], studio=studio)
    tab._clock_chosen("calls", RACE, ann)
    view, *_ = list(tab._finished(race, RACE, "ann"))[-1]
    assert view["ticks"][-1] == "4 calls" and tab._kept.get("ann", RACE).recipe.clock == "calls"


def test_what_a_comparison_costs_is_said_before(studio, visit):
    """4 calls of lane 1, 2 of lane 2; then the reference run, which a file with its distances does not need."""
    tab, _ = visit
    race = RaceRecipe.of([studio.recipe("tiny", label="Dog", steps=4, guidance=1), {"steps": 2}])
    assert tab._plan(race, race.lanes) == "2 lanes: 6 network calls."
    measured = race.with_reference(50)
    assert (
        tab._plan(measured, measured.lanes)
        == "2 lanes: 6 network calls. Then the reference: 50 network calls."
    )
    prints = tuple(fingerprint(lane, 50, b"") for lane in race.lanes)
    known = dataclasses.replace(measured, distances=(0.1, 0.2), fingerprints=prints)
    assert tab._plan(known, known.lanes) == "2 lanes: 6 network calls."
    grid = GridRecipe(race.lanes[0], Axis("steps", (2, 4)))
    assert tab._plan(grid, grid.cells).startswith(
        "2 cells: 6 network calls if each ran alone. Cells at one noise level"
    )


def test_each_visitor_has_a_race_and_a_grid(studio):
    base = studio.recipe("tiny", label="Dog", seeds=(0,), steps=2)
    race = ds.race([base, {"steps": 1}], studio=studio)
    grid = ds.grid(base, ("guidance", [1.0, 2.5]), studio=studio)
    kept = KeptRuns()
    kept.put("ann", RACE, race)
    kept.put("ann", GRID, grid)
    kept.put("bob", RACE, race)
    assert kept.get("ann", RACE) is race and kept.get("ann", GRID) is grid and kept.get("bob", GRID) is None
    kept.forget("ann")
    assert kept.get("ann", RACE) is kept.get("ann", GRID) is None and kept.get("bob", RACE) is race
    small = KeptRuns(1)  # the newest stays whatever its size
    small.put("ann", RACE, race)
    small.put("ann", GRID, grid)
    assert small.get("ann", RACE) is None and small.get("ann", GRID) is grid


def test_an_axis_as_it_is_written():
    assert axis_of("guidance = 1, 2.5,4").values == (1, 2.5, 4)
    assert axis_of('prompt="orc, red", elf').values == ("orc, red", "elf")
    with pytest.raises(OptionError, match="is a setting and its values"):
        axis_of("guidance")


def test_formats_of_each_kind():
    assert dict(format_choices(RACE))["Film strip"] == "strip"
    assert dict(format_choices(RACE))["HTML player"] == dict(format_choices(GRID))["HTML player"] == "html"
    assert (
        dict(format_choices(GRID))["PNG sheet"] == "png"
        and "strip" not in dict(format_choices(GRID)).values()
    )


def pixels(run: dict, tick: int, half: str) -> np.ndarray:
    """The (H, W) that the page draws of a run at a tick, as view.js cuts it."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(run["sheet"]))).convert("L"))
    at, (width, height) = run["at"][tick], run["size"]
    left = at % run["columns"] * width + (width - run["half"] if half == "x0" else 0)
    top = at // run["columns"] * height
    return sheet[top : top + height, left : left + run["half"]]


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_gets_the_frames_of_each_tick(studio, count):
    base = studio.recipe("tiny", label="Dog", seeds=tuple(range(count)), steps=5)
    race = ds.race([base, {"steps": 2}], "steps", studio=studio, reference=True)
    value = shown_value(race)
    assert value["titles"] == ["steps 5", "steps 2"] and value["ticks"][-1] == "step 5"
    assert value["runs"][1]["said"][-1] == f"step 2 of 2, 2 of 2 calls, {race.lanes[1].took:.2f} s"
    for tick in (0, 3, 5):
        for run, frame in zip(value["runs"], race.shown(tick)):
            for half in ("x", "x0"):
                wanted = frame.sheet(getattr(frame, half))[..., 0]
                np.testing.assert_array_equal(pixels(run, tick, half), wanted)
    assert len(value["markers"]) == 6 and len(value["paths"]) == 2
    assert all(0 <= part <= 100 for one in value["markers"] for place in one for part in place)


def test_the_page_gets_a_grid(studio):
    base = studio.recipe("tiny", label="Dog", seeds=(0,), steps=4)
    value = shown_value(ds.grid(base, ("guidance", [1.0, 2.5]), studio=studio))
    assert value["x"] == {"name": "guidance", "values": ["1", "2.5"]} and value["y"] is None
    assert value["note"] == "4 network calls for 2 cells (batched: alone they would make 8)."
    assert "paths" not in value and len(value["runs"]) == 2
    assert value["runs"][0]["said"][-1] == "step 4 of 4, 4 of 4 calls"


def test_a_large_race_is_thinned_for_the_page(studio):
    base = studio.recipe("tiny", label="Dog", seeds=(0,), steps=40)
    made = ds.race([base, {"steps": 5}], "steps", studio=studio)
    value = shown_value(made, packing=dataclasses.replace(IN_APP, max_pixels=1))
    assert len(value["ticks"]) == 12 and value["of"] == 41
    assert value["note"] == f"12 of 41 ticks are shown here; a file has all. {MEASURED}"
    assert shown_value(made)["note"] == MEASURED
    assert (value["ticks"][0], value["ticks"][-1]) == ("step 0", "step 40")


def test_the_words_of_a_shared_link_are_no_markup():
    """The sentence was Markdown, in which [words](address) made a link that works."""
    said = base_sentence(base_words(ds.Recipe("letters", prompt="[Log in](https://example.com) <b>R</b>")))
    assert "[Log in](https://example.com) &lt;b&gt;R&lt;/b&gt;" in said and said.startswith("<p>")


def test_a_start_says_what_goes_first(studio):
    recipe = studio.recipe("tiny", label="Dog", steps=4)
    from diffusion_studio.ui.compute import Progress

    asked = RaceRecipe((recipe, dataclasses.replace(recipe, steps=3)))
    assert progress(Progress(0, 2), asked).text == "Waiting: place 2."
    assert "1 other run of this server takes turns" in progress(Progress(0, 0, 1), asked).text
    assert "3 other runs of this server take turns" in progress(Progress(0, 0, 3), asked).text
    assert progress(Progress(4, 0, 3), asked) is None and progress(Progress(0), asked) is None
    grid = GridRecipe(recipe, Axis("steps", (2, 3)))
    first = progress(Progress(4), grid, 0.0, 5)  # before the first state
    assert first == ("2 cells: network call 5 of at most 5", 0.0)
    assert progress(Progress(4), grid, 1.0, 5) is None  # states say it from then on


def test_an_axis_says_what_it_sets_of_the_base(studio):
    """compare_tab.css says "steps by the axis" there."""
    words = base_words(studio.recipe("tiny", label="Dog", steps=7, guidance=2.0))
    assert 'data-setting="steps"><span>7 steps</span><i>steps by the axis</i>' in words
    assert 'data-setting="label"><span>“Dog”</span>' in words


def test_guidance_below_0_is_explained(studio):
    recipe = studio.recipe("tiny", label="Dog", steps=4)
    away = RaceRecipe((recipe, dataclasses.replace(recipe, guidance=-5.0)))
    [said] = remarks(away)
    assert said.startswith("Guidance below 0 leads away")
