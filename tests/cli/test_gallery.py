"""`diffusion-studio gallery`: a static page of players."""

from __future__ import annotations

import re

import pytest

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.cli.gallery import free


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
    assert [free(one, taken) for one in ("index", "a b", "A B", "?", "../x")] == [
        "index-2",
        "a-b",
        "A-B-2",
        "run",
        "x",
    ]
