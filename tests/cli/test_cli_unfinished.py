"""A run on the command line that fails or is interrupted leaves a file of the states that there were."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli import main

ROOT = Path(__file__).resolve().parents[2]
# with a progress bar; and with Ctrl-C, which what a script starts in the background ignores
AS_IN_A_TERMINAL = """
import signal, sys
from diffusion_studio.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stderr.isatty = lambda: True
sys.exit(main(sys.argv[1:]))
"""


def test_a_run_that_fails_on_its_way(overflowing, tmp_path, capsys):
    out = tmp_path / "wild.gif"
    folder = overflowing("wild").parent.parent
    assert (
        main(
            [
                "generate",
                "wild",
                "--checkpoints",
                str(folder),
                "--precision",
                "fp32",
                "--label",
                "Cat",
                "--steps",
                "10",
                "--count",
                "2",
                "--guidance",
                "1",
                "--out",
                str(out),
            ]
        )
        == 2
    )
    said = capsys.readouterr()
    assert (
        said.out.strip() == str(out)
        and "From step 4 of 10 on (t = 59) the states are no finite numbers" in said.err
    )
    with Image.open(out) as film:
        assert film.n_frames == 4


@pytest.mark.parametrize(
    "steps, kept",  # of 11 states of 256 bytes as many as 1,000 bytes hold, and the last
    [(10, 5), (2, 3)],
)
def test_a_long_run_keeps_one_state_in_so_many(write_checkpoint, tmp_path, capsys, monkeypatch, steps, kept):
    monkeypatch.setattr("diffusion_studio.cli.generate.MAX_BYTES", 1000)
    folder, out = write_checkpoint("tiny").parent.parent, tmp_path / "run.gif"
    words = ["generate", "tiny", "--checkpoints", folder, "--precision", "fp32", "--label", "Cat"]
    words += ["--steps", steps, "--count", 2, "--out", out]
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr().err
    assert ("One in 3 is kept, and the last" in told) == (kept < steps + 1)
    with Image.open(out) as film:
        assert film.n_frames == kept


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_a_run_that_is_interrupted(tmp_path):
    out = tmp_path / "stopped.gif"
    words = [
        "generate",
        "fashion-mnist",
        "--label",
        "Sneaker",
        "--steps",
        "1000",
        "--count",
        "4",
        "--out",
        str(out),
    ]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", AS_IN_A_TERMINAL, *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
        deadline = time.monotonic() + 120
        while "/1001" not in (tmp_path / "err").read_text():  # the progress bar: states are coming
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=120)[0].strip() == str(out)
    assert process.returncode == 130 and "interrupted" in (tmp_path / "err").read_text()
    with Image.open(out) as film:
        assert 1 <= film.n_frames < 1001
    assert ds.Recipe.from_file(out).steps == 1000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_a_race_that_is_interrupted(tmp_path):
    """What there is of it is written, and opens again as the whole race."""
    out, log = tmp_path / "race.png", tmp_path / "err"
    words = ["race", "fashion-mnist", "--label", "Sneaker", "--vary", "steps=1000,900", "--count", "4"]
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", AS_IN_A_TERMINAL, *words, "--out", str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
        deadline = time.monotonic() + 120
        while "/1902" not in log.read_text():  # the progress bar: states are coming
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=120)[0].strip() == str(out)
    assert process.returncode == 130
    assert "Ended early: " in log.read_text() and "interrupted" in log.read_text()
    assert [lane.steps for lane in ds.read_race(out).lanes] == [1000, 900]
