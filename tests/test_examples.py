"""The notebooks of examples/ run from top to bottom, as a person runs them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
MADE = {
    "watch_a_run": ["sneakers.gif", "strip.png", "compared.gif"],
    "look_inside_a_checkpoint": ["inside.gif"],
    "train_points": ["roll.gif", "roll.png"],
}


def code_of(notebook: Path) -> str:
    """Its code cells as one program; a cell's last expression is evaluated and thrown away, as without a
    screen.
    """
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_all_notebooks_are_tried():
    assert {path.stem for path in NOTEBOOKS} == set(MADE)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """A small network with weights by formula, as diffusers saves it."""
    place = ROOT / "tests" / "checkpoint" / "conftest.py"
    spec = importlib.util.spec_from_file_location("checkpoints_as_saved", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("foreign") / "tiny-cifar"
    weights = module.golden.formula_weights
    return module._written(folder, module.STORED, weights, "diffusers", "default", configured=True)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook, tmp_path, foreign):
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    environment = os.environ | {"CHECKPOINT": str(foreign)}
    done = subprocess.run(
        [sys.executable, "-c", code_of(notebook)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    for name in MADE[notebook.stem]:
        with Image.open(tmp_path / name) as picture:
            picture.load()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_saved_without_outputs(notebook):
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
