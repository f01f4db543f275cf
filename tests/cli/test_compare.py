"""`race` and `grid` on the command line."""

from __future__ import annotations

import json

import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli import main


@pytest.fixture
def folder(tmp_path, write_checkpoint, monkeypatch):
    write_checkpoint("tiny", defaults={"count": 2, "steps": 5, "label": "Cat"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(capsys, *words: str) -> str:
    assert main(list(words)) == 2
    return capsys.readouterr().err


def test_vary_makes_a_lane_of_each_value(folder, capsys):
    vary = ["--vary", "sampler=ddim,dpmpp_2m", "--vary", "steps=4,2"]
    assert main(["race", "tiny", *vary, "--seed", "7", "--clock", "calls", "--out", "race.gif"]) == 0
    assert capsys.readouterr().out.strip() == "race.gif"
    race = ds.read_race("race.gif")
    assert race.clock == "calls"
    assert [(type(one.sampler).__name__, one.steps, one.seeds, one.label) for one in race.lanes] == [
        ("DDIM", 4, (7, 8), "Cat"),
        (ds.SAMPLERS["dpmpp_2m"].__name__, 2, (7, 8), "Cat"),
    ]
    assert Image.open("race.gif").n_frames == 5  # 0 to 4 calls
    # the file is the race again, on another clock
    assert main(["race", "race.gif", "--clock", "steps", "--out", "again.png", "--format", "strip"]) == 0
    assert ds.read_race("again.png") == ds.RaceRecipe(race.lanes, "steps")


def test_a_time_budget(folder, capsys):
    """What was chosen is said, and is the recipe of the file."""
    assert main(["generate", "tiny", "--seconds", "0.3", "--out", "a.gif"]) == 0
    said = capsys.readouterr().err
    recipe = ds.Recipe.from_file("a.gif")
    assert f"{recipe.steps} step" in said and "because tiny has no table of its own" in said
    assert main(["generate", "tiny", "--seconds", "1", "--steps", "3", "--out", "b.gif"]) == 2
    assert "--seconds chooses --steps" in capsys.readouterr().err
    assert main(["generate", "tiny", "--seconds", "0", "--out", "b.gif"]) == 2
    assert not (folder / "b.gif").exists()


def test_files_of_runs_are_lanes(folder):
    for steps, name in (("3", "a.gif"), ("2", "b.png")):
        assert main(["generate", "tiny", "--steps", steps, "--out", name]) == 0
    third = {**json.loads(ds.Recipe.from_file("b.png").to_json()), "sampler": "ddpm"}
    (folder / "c.json").write_text(json.dumps(third))
    assert main(["race", "a.gif", "b.png", "c.json", "--reference", "--out", "race.mp4"]) == 0
    race = ds.read_race("race.mp4")
    assert [one.steps for one in race.lanes] == [3, 2, 2] and race.reference


@pytest.mark.parametrize("verb", ["race", "grid"])
def test_what_a_run_of_another_model_falls_back_to_is_said(folder, checkpoint_writer, capsys, verb):
    checkpoint_writer(folder / "checkpoints")("letters", labels=("A", "B", "C"), defaults={"label": "B"})
    axis = {"race": "--vary", "grid": "--x"}[verb]
    flags = ["--label", "Dog", "--steps", "2", axis, "model=tiny,letters", "--out", "made.png"]
    assert main([verb, "tiny", *flags]) == 0
    said = "There is no label of letters 'Dog', so the label is the default of letters, 'B'."
    assert said in capsys.readouterr().err


def test_differences_that_change_nothing_are_said_once(folder, capsys):
    axes = ["--x", "clip_range=0.5,1", "--y", "clip=true,false"]
    for flags, said in (
        (axes, "--clip-range has no effect while --clip is false."),  # in one of the rows
        ([*axes[:2], "--no-clip"], "--clip-range has no effect while --clip is false."),
        (["--x", "guidance=1,2", "--label", "any"], "Without a prompt or label guidance changes nothing."),
    ):
        assert main(["grid", "tiny", *flags, "--steps", "2", "--out", "grid.png"]) == 0
        assert capsys.readouterr().err.count(said) == 1
    assert main(["grid", "tiny", *axes[:2], "--steps", "2", "--out", "grid.png"]) == 0
    assert "no effect" not in capsys.readouterr().err


def test_a_grid_shows_one_picture_a_cell_unless_more_are_asked_for(folder):
    axes = ["--x", "guidance=1,2.5", "--y", 'label="Dog",Cat,none']
    assert main(["grid", "tiny", *axes, "--out", "grid.png"]) == 0
    grid = ds.read_grid("grid.png")
    assert grid.x.values == (1, 2.5) and grid.y.values == ("Dog", "Cat", None)
    assert grid.recipe.seeds == (0,) and len(grid.cells) == 6
    assert main(["grid", "tiny", "--x", "guidance=1,2", "--seed", "4", "--out", "seeded.png"]) == 0
    assert ds.read_grid("seeded.png").recipe.seeds == (4,)
    assert main(["grid", "grid.png", "--clock", "steps", "--out", "grid.gif"]) == 0
    assert ds.read_grid("grid.gif").clock == "steps" and Image.open("grid.gif").n_frames == 6
    assert main(["grid", "tiny", "--x", "steps=2,3", "--count", "2", "--out", "two.webp"]) == 0
    assert ds.read_grid("two.webp").recipe.seeds == (0, 1)
    assert main(["generate", "tiny", "--label", "Dog", "--out", "run.gif"]) == 0
    assert main(["grid", "run.gif", "--y", "eta=0,1", "--out", "eta.png"]) == 0
    assert ds.read_grid("eta.png").recipe == ds.Recipe.from_file("run.gif")


@pytest.mark.parametrize(
    "words, message",
    [
        (["race"], "Name two to six recipes"),
        (["race", "tiny"], "There is no file 'tiny'"),
        (["race", "tiny", "--vary", "steps"], "--vary is SETTING=A,B"),
        (["race", "tiny", "--vary", "steps=3"], "2 to 6 lanes, got 1"),
        (["race", "tiny", "--vary", "steps=3,4", "--vary", "eta=1"], "steps has 2, eta has 1"),
        (["race", "tiny", "--vary", "steps=3,x"], "must be a number, got 'x'"),
        (["race", "tiny", "--vary", "steps=3,3", "--vary", "guidance=1,99"], "from -20 to 50, got 99"),
        (["race", "tiny", "--vary", "seed=1,2"], "start from the same noise"),
        (["race", "tiny", "--vary", "steps=2,3", "--clock", "sun"], "There is no clock 'sun'"),
        (["race", "tiny", "--vary", "steps=2,3", "--out", "a.html", "--only", "9"], "got picture 9"),
        (["race", "tiny", "--vary", "steps=2,300"], "from 1 to 100"),
        (["race", "tiny", "twin", "--vary", "steps=2,3"], "one recipe to vary, got tiny, twin"),
        (["grid", "tiny"], "There is no file 'tiny'"),
        (["grid", "tiny", "--x", "eta=0,1", "--clock", "seconds"], "share network calls"),
        (["grid", "tiny", "--x", "eta=0,1", "--format", "strip"], "saved as one of"),
    ],
)
def test_mistakes_are_said_before_anything_runs(folder, capsys, words, message):
    assert message in failed(capsys, *words)
    assert not list(folder.glob("*.*"))


def test_flags_that_nothing_would_use_are_refused(folder, capsys):
    assert main(["race", "tiny", "--vary", "steps=2,3", "--out", "race.png"]) == 0
    assert "--steps changes a recipe that is varied" in failed(capsys, "race", "race.png", "--steps", "3")
    assert "holds a race. A lane is one run" in failed(capsys, "race", "race.png", "race.png")
    assert "holds no grid" in failed(capsys, "grid", "race.png")
    assert "This is a race of several runs" in failed(capsys, "generate", "--recipe", "race.png")
    assert json.loads(ds.read_race("race.png").to_json())["race"]["clock"] == "log-snr"
