"""The registry of views, their pictures and animations, the Python names and the command line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.errors import OptionError
from diffusion_studio.inside import NAMES
from diffusion_studio.inside.views import VIEWS, image
from diffusion_studio.runs.recipe import Recipe


@pytest.fixture
def studio(write_checkpoint):
    return ds.Studio(write_checkpoint().parents[1], precision="fp32")


@pytest.fixture
def recipe(studio):
    return studio.recipe("tiny", label="Dog", steps=4, seeds=(1, 2))


SETTINGS = {"decided": {"again": 2}, "surprise": {"terms": 4}}


@pytest.mark.parametrize("name", NAMES)
def test_every_view_explains_itself_and_draws(studio, recipe, name):
    seen = getattr(ds.inside, name)(studio, recipe, step=2, **SETTINGS.get(name, {}))
    about = VIEWS[name]
    assert seen.view == name and len(about.about) == 2 and about.paper and about.title
    drawn = image(seen)
    assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[2] == 3 and drawn.std() > 1
    assert all(isinstance(array, np.ndarray) for array in seen.arrays.values())


def test_the_names_are_those_of_the_registry():
    assert tuple(VIEWS) == NAMES


def test_a_view_takes_its_own_settings_only(studio, recipe):
    with pytest.raises(OptionError, match="has no word; it reads: picture, place"):
        ds.inside.sum(studio, recipe, step=1, word="hat")
    with pytest.raises(OptionError, match="no setting of a view 'wrod'"):
        ds.inside.attention(studio, recipe, step=1, wrod="hat")
    with pytest.raises(OptionError, match="no view 'sums'"):
        ds.inside.view(studio, recipe, "sums")
    with pytest.raises(OptionError, match="give a recipe"):
        ds.inside.sum(studio)


def test_a_view_uses_the_states_that_a_run_left(studio, recipe, monkeypatch):
    studio.run(recipe)
    run = ds.inside.Run.of(studio, recipe)
    monkeypatch.setattr(run, "_replay", None)  # a replay would call it
    assert ds.inside.sum(run, step=2).numbers["rounding"] < 1e-5


def test_pictures_and_animations_carry_the_recipe(studio, recipe, tmp_path):
    ds.inside.save_view(studio, recipe, tmp_path / "one.png", "sum", 2)
    assert Recipe.from_file(tmp_path / "one.png") == recipe
    seen = ds.inside.save_over_run(studio, recipe, tmp_path / "all.gif", "guidance")
    with Image.open(tmp_path / "all.gif") as made:
        assert made.n_frames == len(seen) == 4
    ds.inside.save_over_run(studio, recipe, tmp_path / "curve.png", "guidance")
    with pytest.raises(OptionError, match="one state at a time"):
        ds.inside.save_over_run(studio, recipe, tmp_path / "sum.png", "sum")


def test_the_command_line_reads_an_exported_run(studio, recipe, tmp_path, capsys):
    run = studio.run(recipe).save(tmp_path / "RUN.gif")
    common = ["--checkpoints", str(studio.folder)]
    out = tmp_path / "x.png"
    main(["inside", str(run), "--at", "2", "--out", str(out), "--arrays", str(tmp_path / "x.npz"), *common])
    assert "DDIM: x(3) = " in capsys.readouterr().out and out.is_file()
    assert np.load(tmp_path / "x.npz")["term_products"].shape == (2, 1, 1, 8, 8)
    main(["inside", str(run), "--view", "decided", "--over-run", "--out", str(tmp_path / "x.gif"), *common])
    with Image.open(tmp_path / "x.gif") as made:
        assert made.n_frames == 4


def test_the_command_line_counts_pictures_and_heads_from_one(studio, tmp_path, capsys):
    """As the page does; Python's indices begin at 0."""
    run = studio.run(studio.recipe("tiny", steps=3, seeds=(1, 2))).save(tmp_path / "RUN.gif")
    common = ["inside", str(run), "--checkpoints", str(studio.folder), "--at", "1", "--view", "attention"]
    common += ["--out", str(tmp_path / "x.png"), "--arrays", str(tmp_path / "x.npz"), "--precision", "fp32"]
    recipe = Recipe.from_file(run)
    assert main([*common, "--picture", "2", "--head", "1"]) == 0
    wanted = ds.inside.attention(studio, recipe, step=1, picture=1, head=0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x0"], wanted["x0"])
    assert f"head 1 of {wanted.numbers['heads']}" in capsys.readouterr().out
    for flags, said in (
        (["--picture", "3"], "pictures 1 to 2, got picture 3"),
        (["--picture", "0"], "must be a whole number from 1 to 10001, got 0"),
        (["--head", "0"], "must be a whole number from 1 to 1001, got 0"),
        (["--head", "9"], "got head 9"),
    ):
        assert main([*common, *flags]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(OptionError, match="pictures 0 to 1, got picture 2"):
        ds.inside.attention(studio, recipe, step=1, picture=2)


def test_naming_the_room_loads_no_torch():
    code = "import sys, diffusion_studio as ds; ds.inside.NAMES; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
