"""Files that Gradio serves: one copy of each, and nothing left of one that fails."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from diffusion_studio.errors import ExportError
from diffusion_studio.ui import scratch
from diffusion_studio.ui.scratch import served_file

UI = Path(scratch.__file__).parent


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_file_lies_in_the_cache_that_is_served(cache):
    path = Path(served_file("a.gif", lambda path: path.write_bytes(b"x")))
    assert path.name == "a.gif" and path.read_bytes() == b"x" and path.parent.parent == cache


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(cache, error):
    def write(path):
        path.write_bytes(b"half")
        raise error

    with pytest.raises(error):
        served_file("a.gif", write)
    assert list(cache.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(cache):
    cache.write_text("a file in its place")
    with pytest.raises(ExportError, match="No temporary folder can be made .*try again later"):
        served_file("a.gif", lambda path: path.write_bytes(b"x"))


def test_no_other_file_of_the_page_makes_folders_that_nobody_removes():
    """Gradio copies a file that lies elsewhere into its cache, and only the copy goes with the cache."""
    callers = {
        path.name
        for path in UI.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and "mkdtemp" in ast.unparse(node.func)
    }
    assert callers == {"scratch.py", "dropped.py"}  # a dropped model's folder goes with its visitor
