"""The Python of README and docs runs as written, and their claims about files hold."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import diffusion_studio as ds
from diffusion_studio.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README = PAGES["README.md"]
BLOCKS = {
    f"{name} {number}": block
    for name, page in PAGES.items()
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page, re.S))
    if "gradio_client" not in block
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_snippet(name, tmp_path):
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[name]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        env=None,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_the_edits_run_in_their_order(tmp_path, monkeypatch):
    """Each on what those before it made, beginning with the file that is continued; in a few steps."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    text = PAGES["docs/command-line.md"].partition("`--beside FILE`")[0].replace("\\\n", " ")
    before, edits = (
        [shlex.split(line) for line in re.findall(r"^    (\S.*)$", part, re.M)]
        for part in text.split("Pictures to edit, films and branches")
    )
    assert len(edits) > 7
    for words in [[*before[0], "--count", "2"], *edits]:
        if words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], check=True, timeout=600)
        else:
            fewer = [] if "--at" in words else ["--steps", "16"]
            assert main([*words[1:], *fewer]) == 0, words
            assert Path(words[words.index("--out") + 1]).is_file()


def test_the_commands_of_the_readme_run(tmp_path, monkeypatch):
    """Those that draw or look inside, in their order, in a few steps."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    text = README.partition("## Command line")[2].partition("## ")[0]
    commands = [shlex.split(line, comments=True) for line in re.findall(r"^    (\S.*)$", text, re.M)]
    drawn = [words for words in commands if words[1] in ("generate", "inside")]
    assert len(drawn) > 4
    for words in drawn:
        fewer = ["--steps", "7"] if words[1] == "generate" else []
        assert main([*words[1:], *fewer]) == 0, words
        assert Path(words[words.index("--out") + 1]).is_file()


@pytest.mark.parametrize("name", PAGES)
def test_linked_files_exist(name):
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\((?!http)([^)#]+)\)|(?:src|srcset)=\"([^\"]+)\"", PAGES[name]):
        target = target[0] or target[1]
        assert (folder / target).exists(), target


def test_the_animation_was_made_by_the_program():
    recipe = ds.Recipe.from_file(ROOT / "assets" / "name.gif")
    assert (recipe.model, recipe.spell, len(recipe.seeds)) == ("letters", "Diffusion\nStudio", 15)


def test_the_linked_player_was_made_by_the_program():
    page = ROOT / "assets" / "hero.html"
    recipe = ds.Recipe.from_file(page)
    assert (recipe.model, recipe.prompt, recipe.seeds) == ("heroes", "a wizard with a ruby staff", (4,))
    assert "http:" not in (text := page.read_text("utf-8")) and "https:" not in text  # it asks no server


def test_requirements_satisfy_the_project():
    """Exact pins in requirements.txt, one for every dependency of pyproject.toml, inside its range."""
    from packaging.requirements import Requirement

    pins = {
        r.name: r
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
        for r in [Requirement(line)]
    }
    listed = re.search(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.S | re.M
    ).group(1)
    wanted = [Requirement(text) for text in re.findall(r'"([^"]+)"', listed)]
    assert set(pins) == {r.name for r in wanted}
    for requirement in wanted:
        (pin,) = pins[requirement.name].specifier
        assert pin.operator == "==" and pin.version in requirement.specifier
