"""The Compare tab's Python: lanes and axes as they are written, and what the page is sent."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.ui.compare_tab import (
    AS_IT_IS,
    FIRST_LANES,
    GRID,
    RACE,
    _added,
    _format_choices,
    _lanes,
    axis_of,
)
from diffusion_studio.ui.compare_view import shown_value


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


def test_lanes_as_they_are_written(studio):
    base = studio.recipe("tiny", label="Dog")
    first, second = _lanes(base, FIRST_LANES)
    assert first == base and (second.steps, type(second.sampler)) == (10, ds.SAMPLERS["dpmpp_2m"])
    found = list(_lanes(base, '\nAs in Generate\n eta=0.5 ,steps = 3\nprompt="a, b", label=Cat\n'))
    assert found[0] == base and (found[1].sampler.eta, found[1].steps) == (0.5, 3)
    assert (found[2].prompt, found[2].label) == ("a, b", "Cat")
    with pytest.raises(OptionError, match="A lane is 'as in Generate', or settings") as wrong:
        list(_lanes(base, "faster"))
    assert wrong.value.field == "lanes"
    with pytest.raises(OptionError, match="no setting 'stepps'"):
        list(_lanes(base, "stepps=3"))


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
        dict(_format_choices(RACE))["Film strip"] == "strip"
        and "html" not in dict(_format_choices(RACE)).values()
    )
    assert (
        dict(_format_choices(GRID))["PNG sheet"] == "png"
        and "strip" not in dict(_format_choices(GRID)).values()
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
