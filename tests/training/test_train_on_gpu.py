"""The script that makes a checkout small: what it copies and runs, and what it moves and brings back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import diffusion_studio as ds

ROOT = Path(ds.__file__).resolve().parents[1]
SCRIPT = "scripts/train_on_gpu.py"
RECIPE = "checkpoints/mine/recipe.toml"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A small checkout with the script, two models and an ignored data file."""
    root = tmp_path / "checkout"
    files = {
        ".gitignore": b"runs/\n",
        "code.py": b"pass\n",
        "checkpoints/other/model.safetensors": bytes(3 << 20),
        "checkpoints/other/card.md": b"# other\n",
        "checkpoints/mine/model.safetensors": bytes(1 << 20),
        RECIPE: b'data = "runs/letters.npz"\nstart_from = "checkpoints/mine/model.safetensors"\n',
        "runs/small.npz": bytes(2 << 20),
        SCRIPT: (ROOT / SCRIPT).read_bytes(),
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def run(checkout: Path, *given: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPT, *given],
        cwd=checkout,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def tree(checkout: Path) -> set[str]:
    return {
        path.relative_to(checkout).as_posix()
        for path in checkout.rglob("*")
        if path.is_file() and ".git/" not in str(path)
    }


def test_a_dry_run_tells_all_and_moves_nothing(checkout):
    before = tree(checkout)
    told = run(
        checkout,
        RECIPE,
        "--carry",
        "runs/small.npz",
        "--first",
        "python make.py",
        "--dry-run",
        "--",
        "--batch",
        "512",
    )
    assert told.returncode == 0, told.stderr
    assert (
        "Copied: 7 files, 3.0 MiB" in told.stdout
        and "Not copied: 1 weights and pictures, 3.0 MiB" in told.stdout
    )
    assert "runs                         1     2.00 MiB" in told.stdout
    assert (
        f"  python make.py\n  diffusion-studio train {RECIPE} --device cuda --precision bf16 "
        "--out runs/mine --batch 512\n" in told.stdout
    )
    assert "Back: runs/mine/model.safetensors" in told.stdout and tree(checkout) == before
    over = run(checkout, RECIPE, "--carry", "runs/small.npz", "--limit", "2.5", "--dry-run")
    assert over.returncode and "3.0 MiB is over the limit of 2.5 MiB" in over.stderr


def test_files_are_away_and_come_back(checkout):
    before, weights = tree(checkout), "checkpoints/other/model.safetensors"
    aside = checkout.with_name("checkout.set-aside")
    assert run(checkout, RECIPE).returncode == 0
    assert before - tree(checkout) == {weights} and (aside / weights).stat().st_size == 3 << 20
    again = run(checkout, RECIPE)
    assert again.returncode and "Run train_on_gpu.py --restore first" in again.stderr
    (checkout / weights).write_bytes(b"other")  # nothing is lost where something else came
    refused = run(checkout, "--restore")
    assert refused.returncode and weights in refused.stderr and (aside / weights).stat().st_size == 3 << 20
    (checkout / weights).unlink()
    assert run(checkout, "--restore").returncode == 0
    assert tree(checkout) == before and not aside.exists()
    failed = run(checkout, RECIPE, "--during", f"test ! -e {weights} && exit 7")
    assert failed.returncode == 7 and tree(checkout) == before and not aside.exists()


def test_what_is_refused(checkout):
    (checkout / "checkpoints/other/model.safetensors").write_bytes(b"mine")
    for given, message in (
        ((RECIPE,), "Not committed, so it will not be moved: checkpoints/other/model.safetensors"),
        ((RECIPE, "--", "--bach", "3"), "--bach"),
        (("nowhere.toml",), "nowhere.toml is not a file in"),
        ((RECIPE, "--carry", "/etc/hostname"), "is not a file in"),
        ((), "give a training configuration, or --restore"),
    ):
        told = run(checkout, *given)
        assert told.returncode and message in told.stderr, told.stderr
    assert (checkout / "checkpoints/other/model.safetensors").read_bytes() == b"mine"
