"""The Compare tab's Python: lanes and axes as they are written, and what the page is sent."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.compare.recipes import Axis, GridRecipe, RaceRecipe
from diffusion_studio.compare.text import AS_IT_IS, axis_of, axis_text, lanes_of, line_of
from diffusion_studio.errors import OptionError
from diffusion_studio.ui.compare_tab import (
    FIRST_LANES,
    GRID,
    RACE,
    _added,
    format_choices,
    in_short,
    linkable,
    suggestions,
)
from diffusion_studio.ui.compare_view import shown_value
from diffusion_studio.ui.compare_view.view import EXAMPLE


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


def test_lanes_as_they_are_written(studio):
    base = studio.recipe("tiny", label="Dog")
    first, second, third = lanes_of(base, FIRST_LANES)
    assert first == base and type(third.sampler) is ds.SAMPLERS["ddpm"]
    assert (second.steps, type(second.sampler)) == (10, ds.SAMPLERS["dpmpp_2m"])
    found = list(lanes_of(base, '\nAs it is\n eta=0.5 ,steps = 3\nprompt="a, b", label=Cat\n'))
    assert found[0] == base and (found[1].sampler.eta, found[1].steps) == (0.5, 3)
    assert (found[2].prompt, found[2].label) == ("a, b", "Cat")
    with pytest.raises(OptionError, match="A lane is 'as it is', or settings") as wrong:
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
    assert in_short(studio.recipe("tiny", label="Dog", steps=7)).startswith("tiny, “Dog”, ddim, 7 steps")


def test_the_example_is_what_the_page_shows():
    """As `scripts/page_pictures.py` wrote it, in the form of today."""
    import json

    example = json.loads(EXAMPLE.read_text("utf-8"))
    runs = example["runs"]
    assert len(runs) == len(example["titles"]) == 3 and example["recorded"].startswith("A recorded example")
    assert all(len(run["at"]) == len(example["ticks"]) and len(run["tiles"]) == 2 for run in runs)
    starts = [pixels(run, 0, "x") for run in runs]
    assert (starts[0] == starts[1]).all() and (starts[0] == starts[2]).all()  # from one noise
    ends = [pixels(run, -1, "x") for run in runs]
    assert not (ends[0] == ends[1]).all() and not (ends[0] == ends[2]).all()


def test_a_lane_is_added(studio):
    assert _added("a\n", "ddpm", "20", " ", None, "karras", "") == [
        "a\nsampler=ddpm, steps=20, spacing=karras",
        *[""] * 6,
    ]
    assert _added("a", *[""] * 6)[0] == f"a\n{AS_IT_IS}"


def test_anaxis_of_as_it_is_written():
    assert axis_of("guidance = 1, 2.5,4").values == (1, 2.5, 4)
    assert axis_of('prompt="orc, red", elf').values == ("orc, red", "elf")
    with pytest.raises(OptionError, match="is a setting and its values"):
        axis_of("guidance")


def test_formats_of_each_kind():
    assert (
        dict(format_choices(RACE))["Film strip"] == "strip"
        and "html" not in dict(format_choices(RACE)).values()
    )
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
    assert value["calls"] == 4 and "paths" not in value and len(value["runs"]) == 2
    assert value["runs"][0]["said"][-1] == "step 4 of 4, 4 of 4 calls"


def test_a_large_race_is_thinned_for_the_page(studio, monkeypatch):
    monkeypatch.setattr("diffusion_studio.ui.compare_view.view.MAX_PIXELS", 1)
    base = studio.recipe("tiny", label="Dog", seeds=(0,), steps=40)
    value = shown_value(ds.race([base, {"steps": 5}], "steps", studio=studio))
    assert len(value["ticks"]) == 12 and value["of"] == 41
    assert (value["ticks"][0], value["ticks"][-1]) == ("step 0", "step 40")
