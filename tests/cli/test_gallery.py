"""`diffusion-studio gallery`: a static page of players."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.cli.gallery import unique_name
from diffusion_studio.compare.recipes import read_grid, read_race
from diffusion_studio.diffusion.schedule import Cosine, Linear
from diffusion_studio.export.metadata import read_recipe
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.forward_pictures import from_json, process, save_forward

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


@pytest.fixture
def exported(write_checkpoint, tmp_path, monkeypatch):
    """Two exported files of one name in two folders, of a model with markup in a label."""
    folder = write_checkpoint(labels=("<b>Boot</b>", "Dog", "Cat")).parent.parent
    studio, found = ds.Studio(folder), []
    for k, label in enumerate(("<b>Boot</b>", "Dog")):
        path = tmp_path / f"{k}" / "my run.gif"
        path.parent.mkdir()
        studio.run(ds.Recipe(model="tiny", label=label, steps=3, seeds=(k,))).save(path)
        found.append(str(path))
    monkeypatch.chdir(tmp_path)
    return folder, found


def test_a_page_of_players(exported, tmp_path, capsys):
    folder, paths = exported
    words = ["gallery", *paths, "--out", "site", "--title", "My <i>runs</i>", "--checkpoints", str(folder)]
    assert main(words) == 0
    site = tmp_path / "site"
    assert {one.name for one in site.iterdir()} == {
        "index.html",
        "my-run.html",
        "my-run.png",
        "my-run-2.html",
        "my-run-2.png",
    }
    text = (site / "index.html").read_text("utf-8")
    assert "&lt;b&gt;Boot&lt;/b&gt;: tiny" in text and "<i>" not in text and "My &lt;i&gt;" in text
    for target in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert (site / target).is_file()
    assert ds.Recipe.from_file(site / "my-run-2.html") == ds.Recipe.from_file(paths[1])
    assert ds.Recipe.from_file(site / "my-run.png").label == "<b>Boot</b>"


def test_what_is_wrong_is_said_before_the_first_run(exported, tmp_path, capsys):
    folder, paths = exported
    (tmp_path / "other.gif").write_bytes(b"GIF89a")
    assert main(["gallery", *paths, "other.gif", "--out", "site", "--checkpoints", str(folder)]) == 2
    assert "other.gif is cut off" in capsys.readouterr().err and not (tmp_path / "site").exists()


def test_names_for_files_and_addresses():
    taken = {"index"}
    assert [unique_name(one, taken) for one in ("index", "a b", "A B", "?", "../x")] == [
        "index-2",
        "a-b",
        "A-B-2",
        "run",
        "x",
    ]


def test_every_export_that_opens_again_is_taken(exported, tmp_path, capsys):
    """A race, a grid, a forward process and points, each as its own player."""
    folder, paths = exported
    studio = ds.Studio(folder)
    base = studio.recipe("tiny", label="Dog", steps=2, seeds=(0,))
    race = ds.race([base, {"steps": 3}], "steps", studio=studio)
    race.save(tmp_path / "race.gif")
    grid = ds.grid(base, ("guidance", [1.0, 2.0]), studio=studio)
    grid.save(tmp_path / "grid.png")
    picture = Picture(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    rows = [process(picture, one, 4, 3, name) for name, one in (("one", Linear()), ("two", Cosine()))]
    save_forward(rows, tmp_path / "forward.gif")
    words = ["gallery", paths[0], "race.gif", "grid.png", "forward.gif", "--out", "site"]
    assert main([*words, "--checkpoints", str(folder)]) == 0
    site = tmp_path / "site"
    text = (site / "index.html").read_text("utf-8")
    for said in ("A race of 2 runs: Dog, tiny", "2 runs, clock: Steps", "A grid of guidance: Dog"):
        assert said in text, said
    assert "The forward process" in text and "4 steps, one, two" in text
    for target in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert (site / target).is_file()
    assert read_race(site / "race.html") == race.recipe and read_race(site / "race.png") == race.recipe
    assert read_grid(site / "grid.html") == grid.recipe
    again = from_json(read_recipe(site / "forward.html"))
    np.testing.assert_array_equal(again[1].iterated, rows[1].iterated)
    # what the race's page plays is the race, the curve with it
    page = (site / "race.html").read_text("utf-8")
    assert 'class="together"' in page and '"paths":' in page


def test_points_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studio = ds.Studio(CHECKPOINTS)
    recipe = studio.recipe("swiss-roll", seeds=(0,), points=50, steps=2)
    studio.run(recipe).save("roll.gif")
    assert main(["gallery", "roll.gif", "--out", "site", "--checkpoints", str(CHECKPOINTS)]) == 0
    assert "2 steps, 1 cloud<" in (tmp_path / "site" / "index.html").read_text("utf-8")
    assert ds.Recipe.from_file(tmp_path / "site" / "roll.html") == recipe
