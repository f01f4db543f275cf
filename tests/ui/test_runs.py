"""Training runs as child processes: started, watched, stopped, resumed, found again by another app."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.presets import PRESETS, SIZES, configured
from diffusion_studio.training.status import Status
from diffusion_studio.ui import training_view
from diffusion_studio.ui.run_state import read_state
from diffusion_studio.ui.runs import Runs, free_name, save_intervals


@pytest.fixture
def pictures(tmp_path):
    draw = np.random.default_rng(0)
    for label in ("dark", "light"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for k in range(4):
            shade = draw.integers(0, 90, (8, 8)) + (150 if label == "light" else 0)
            Image.fromarray(shade.astype(np.uint8)).save(tmp_path / "pictures" / label / f"{k}.png")
    return tmp_path / "pictures"


@pytest.fixture
def runs(tmp_path):
    made = Runs(tmp_path / "runs")
    yield made
    made.close()


def tiny(pictures, **changes):
    return TrainConfig(
        **{
            "data": str(pictures),
            "size": 8,
            "channels": 8,
            "multipliers": "1",
            "attention": "",
            "batch": 4,
            "heads": 1,
            "images": 400,
            "warmup": 1,
            **changes,
        }
    )


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_a_run_trains_in_a_process_of_its_own_to_its_end(runs, pictures, tmp_path):
    config = tiny(pictures)
    runs.start("mine", config, 200, 200)
    assert runs.names() == ["mine"] and runs.training() == "mine"
    number = runs._process("mine")
    assert number != os.getpid() and os.getpriority(os.PRIO_PROCESS, number) > os.getpriority(
        os.PRIO_PROCESS, 0
    )
    with pytest.raises(OptionError, match="'mine' is training. Stop it first"):
        runs.start("other", config, 200, 200)
    until(lambda: not runs.alive("mine"))
    state = runs.state("mine")
    assert state.finished and not state.paused and state.error == "" and state.config == config
    assert state.seen == 400 and [row["seen"] for row in state.rows] == [*range(8, 401, 8)]
    assert {path.stem for path in state.samples} == {"000000200", "000000400", "final"}
    shown = training_view.view(state)
    assert "Finished" in shown and "<polyline" in shown
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    name = studio.open(state.model, name="mine")
    assert studio.run(studio.recipe(name, steps=2, label="light")).images.shape[1:] == (8, 8, 1)
    with pytest.raises(OptionError, match="There is a run 'mine' already"):
        runs.start("mine", config, 200, 200)


@pytest.mark.slow
def test_a_run_is_stopped_and_resumed_by_another_app(runs, pictures, tmp_path):
    runs.start("long", tiny(pictures, images=10**6), 10**6, 10**6)
    until(lambda: (status := runs.state("long").status) and status.images > 100)
    state = runs.state("long")
    assert (
        state.running
        and state.status.losses
        and state.status.rate > 0
        and "Training." in training_view.view(state)
    )
    other = Runs(tmp_path / "runs")  # as after a restart: it started nothing
    assert other.training() == "long"
    other.stop("long")
    asked = other.state("long")
    assert asked.stopping == asked.running  # it may have ended by now
    assert "Stopping: " in training_view.view(replace(asked, stopping=True))
    until(lambda: not runs.alive("long"))
    stopped = other.state("long")
    assert (
        not stopped.stopping
        and stopped.paused
        and stopped.error == ""
        and "Resume" in training_view.view(stopped)
    )
    assert stopped.model.name == "model.safetensors"
    seen = stopped.seen
    other.resume("long", 10**6, 10**6)
    try:
        until(lambda: other.state("long").seen > seen + 200)
        assert other.training() == "long"
    finally:
        other.close()  # as the app ends: it is saved
    assert other.state("long").paused and not other.alive("long")


def test_what_is_wrong_with_the_pictures_is_said(runs, pictures):
    (pictures / "dark" / "broken.png").write_bytes(b"no picture")
    runs.start("wrong", tiny(pictures), 200, 200)
    until(lambda: not runs.alive("wrong"))
    state = runs.state("wrong")
    assert "1 of 9 images cannot be used" in state.error and not state.paused and not state.finished
    assert "1 of 9 images cannot be used" in training_view.view(state)


def test_another_process_with_the_number_is_not_taken_for_the_run(runs, pictures, tmp_path):
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(tiny(pictures).to_json())
    (folder / "process.json").write_text(f'{{"pid": {os.getpid()}, "started": "before"}}')
    assert runs.names() == ["old"] and not runs.alive("old")
    (folder / "process.json").write_text("[]")
    assert not runs.alive("old")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "..\\x", "/tmp"])
def test_a_run_is_named_without_a_path(runs, name):
    with pytest.raises(OptionError, match="no name for a run"):
        runs.start(name, TrainConfig(), 1, 1)


def test_a_run_that_could_not_say_why_it_ended(tmp_path):
    """Killed while it read its data: its status stands where it was."""
    Status("preparing", 0, 100).write(tmp_path)
    assert read_state(tmp_path, running=True).error == ""
    assert "ended without an error message" in read_state(tmp_path, running=False).error


def test_a_log_under_way_and_a_hostile_status_are_read(tmp_path):
    folder = tmp_path / "<b>run"
    folder.mkdir()
    (folder / "config.json").write_text(TrainConfig(images=1000).to_json())
    (folder / "log.csv").write_text(
        "step,seen,loss,lr,rate\n50,100,0.5,1e-3,9\n100,200,x,1e-3,9\n150,300,0.2,1e-3,9\n200,40"
    )
    Status("failed", 323, 1000, 0.4, 97.5, 9.0, "<script>", losses=((123, 0.4),)).write(folder)
    state = read_state(folder, running=False)
    assert [row["seen"] for row in state.rows] == [100, 300] and state.seen == 323
    shown = training_view.view(state)
    assert "&lt;script&gt;" in shown and "<script>" not in shown and "<b>run" not in shown


def test_of_a_run_that_has_not_said_yet_what_it_is_nothing_is_claimed(tmp_path):
    state = read_state(tmp_path, running=True)
    assert not state.has_config and "Starting" in training_view.view(state)
    assert not any(name in training_view.view(state) for name in ("Size", "Images seen", "Data"))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_presets_fit_every_size(preset, size):
    config = configured(preset, size)
    assert config.size == size and config.network(3, None).attention_levels == (2,) and config.images >= 1000
    sheets, saves = save_intervals(config)
    assert config.images // sheets in (19, 20, 21) and saves <= sheets


def test_free_names_are_folders_names():
    assert free_name("a b/../c", []) == "a-b----c"
    assert free_name("mine", ["mine", "mine-2"]) == "mine-3" and free_name("???", []) == "run"
