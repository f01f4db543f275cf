"""Error messages of the command line for wrong arguments, ports in use, and outputs that cannot be
written.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_run(monkeypatch):
    """Whoever begins a run fails the test."""

    def stream(*args, **kwargs):
        raise AssertionError("a run began")

    monkeypatch.setattr(ds.Studio, "stream", stream)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--out", "none/x.gif"], "There is no folder 'none'"),
        (["--out", "folder.gif"], "is a folder. Add a file name"),
        (["--out", "x.avi"], "suffix"),
        (["--format", "giff"], "There is no export format 'giff'"),
        (["--count", "2", "--only", "5", "--out", "x.gif"], "This run has pictures 1 to 2, got picture 5"),
        (
            ["--beside", "points.json", "--out", "x.gif"],
            "One of these runs makes pictures and the other points",
        ),
    ],
)
def test_a_file_that_cannot_be_made_is_refused_before_the_run(
    words, sentence, tmp_path, monkeypatch, capsys, no_run
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "points.json").write_text(ds.Recipe(model="swiss-roll").to_json())
    assert main(["generate", "mnist", "--checkpoints", str(ROOT / "checkpoints"), *words]) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder.gif", "points.json"]


def test_a_file_that_will_be_too_large_is_refused_at_the_first_state(tmp_path, capsys, monkeypatch):
    asked = []
    denoise = ds.Model.conditioned
    monkeypatch.setattr(ds.Model, "conditioned", lambda *a, **k: _counting(denoise(*a, **k), asked))
    assert (
        main(
            [
                "generate",
                "mnist",
                "--checkpoints",
                str(ROOT / "checkpoints"),
                "--count",
                "16",
                "--scale",
                "64",
                "--steps",
                "20",
                "--guidance",
                "1",
                "--out",
                str(tmp_path / "x.gif"),
            ]
        )
        == 2
    )
    assert "8192 x 8192 = 67 million pixels" in capsys.readouterr().err
    assert len(asked) == 1 and list(tmp_path.iterdir()) == []


def _counting(denoise, asked):
    def call(*given, **named):
        asked.append(1)
        return denoise(*given, **named)

    return call


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["generate", "no-such-model"], "There is no model"),
        (["generate", "fashion-mnst"], "Did you mean 'fashion-mnist'"),
        (["generate"], "Name a model"),
        (["generate", "fashion-mnist", "--steps", "0"], "steps must be a whole number, at least 1, got 0"),
        (["generate", "fashion-mnist", "--steps", "-3"], "at least 1"),
        (["generate", "fashion-mnist", "--steps", "many"], "got 'many'"),
        (["generate", "fashion-mnist", "--steps", "1001"], "from 1 to 1000"),
        (["generate", "fashion-mnist", "--label", "Sneeker"], "Did you mean 'Sneaker'"),
        (["generate", "fashion-mnist", "--sampler", "dpm"], "There is no sampler 'dpm'"),
        (["generate", "fashion-mnist", "--eta", "2"], "from 0 to 1"),
        (
            ["generate", "fashion-mnist", "--sampler", "ddim", "--variance", "large"],
            "not an option of the sampler ddim",
        ),
        (["generate", "fashion-mnist", "--count", "10000"], "from 1 to 64"),
        (["generate", "fashion-mnist", "--seed", "-1"], "A seed is a whole number"),
        (["generate", "fashion-mnist", "--seeds", "1,b"], "--seeds takes whole numbers"),
        (["generate", "fashion-mnist", "--guidance", "nan"], "finite number"),
        (["generate", "fashion-mnist", "--spacing", "karas"], "There is no spacing 'karas'"),
        (
            ["generate", "fashion-mnist", "--rho", "3"],
            "--rho is not an option of the spacing trailing, which has: none",
        ),
        (
            ["generate", "fashion-mnist", "--spacing", "karras", "--rho", "x"],
            "rho must be a finite number from 1 to 20",
        ),
        (
            ["generate", "fashion-mnist", "--spacing", "sections", "--steps", "4"],
            "always makes 45 steps, and 4 were",
        ),
        (
            ["generate", "fashion-mnist", "--spacing", "timesteps", "--timesteps", "1,2"],
            "timesteps must be falling numbers",
        ),
        (["train", "--out", "TMP/run", "--schedule", "flwo"], "There is no --schedule 'flwo'"),
        (["generate", "fashion-mnist", "--out", "run.avi"], "suffix"),
        (
            ["generate", "fashion-mnist", "--steps", "1", "--out", "/no/such/folder/run.gif"],
            "There is no folder",
        ),
        (["generate", "fashion-mnist", "--precision", "fp7"], "There is no precision"),
        (["generate", "fashion-mnist", "--device", "tpu"], "There is no device"),
        (["generate", "--recipe", "LICENSE"], "Diffusion Studio exported"),
        (
            ["generate", "mnist", "--model", "checkpoints/heroes"],
            "The name 'mnist' and --model checkpoints/heroes both say",
        ),
        (
            ["generate", "cifar10-classifier"],
            "cifar10-classifier is a noisy classifier, which guides another model and draws",
        ),
        (
            ["evaluate", "cifar10-classifier", "--data", "cifar10"],
            "cifar10-classifier is a noisy classifier, which guides",
        ),
        (["evaluate", "cifar11", "--data", "cifar10"], "Did you mean 'cifar10'"),
        (
            ["convert", "checkpoints/mnist", "TMP/none/c.safetensors"],
            "Make the folder first, or choose another",
        ),
        (
            ["serve", "--port", "80000"],
            "--port must be a whole number from 1 to 65535, got 80000. Choose another, or leave",
        ),
        (["serve", "--port", "0"], "from 1 to 65535, got 0"),
        (
            ["serve", "--host", "192.0.2.1"],
            "'192.0.2.1' is no address of this computer",
        ),  # kept free for documents
        (["serve", "--host", "a..b"], "'a..b' is no address of this computer"),
        (["models", "--checkpoints", "tests"], "No usable model"),
        (["train", "--data", "no-such-data", "--out", "TMP/run"], "There is no data set"),
        (["train", "--out", "TMP/run", "--multipliers", "1,x"], "multipliers must be numbers"),
        (["train", "--out", "TMP/run", "--attention", "5"], "attention at size 5 is not possible"),
        (["train", "--resume", "TMP/nothing"], "holds no training run"),
        # a message that names no setting begins with its flag
        (["generate", "swiss-roll", "--reuse", "2"], "diffusion-studio: --reuse: swiss-roll has no U-Net"),
        (
            ["generate", "mnist", "--change-step", "5"],
            "diffusion-studio: --change-step: Nothing changes at step 5",
        ),
        (["publish", "bad"], "diffusion-studio: A Space is named USER/NAME"),  # an argument without a flag
    ],
)
def test_mistakes_are_explained(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main([word.replace("TMP", str(tmp_path)) for word in words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith("diffusion-studio: ") and "Traceback" not in said


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_said_before_the_app_is_loaded(host, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--host", host, "--port", str(port)]) == 2
    assert (
        capsys.readouterr().err
        == f"diffusion-studio: Port {port} is taken. Choose another with --port, or leave it out.\n"
    )


@pytest.mark.slow
def test_a_port_that_is_taken_meanwhile(monkeypatch):
    """As where GRADIO_SERVER_PORT says a number, and all from there on are taken."""
    from diffusion_studio.ui import shell

    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(OptionError, match="Port [0-9]+ is taken. Choose another with --port"):
            shell.serve(ds.Studio(ROOT / "checkpoints"), port=other.getsockname()[1])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a file that takes nothing")
@pytest.mark.parametrize(
    "words", [["models"], ["inspect", "--json", "--outline", "checkpoints/mnist"], ["generate", "--help"]]
)
def test_an_output_that_takes_nothing(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "diffusion_studio", *words],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "diffusion-studio: The output cannot be written to where it is sent (No space left on device). Free "
        "space there, or send it elsewhere.\n"
    )


def test_an_output_that_nobody_reads_any_more():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "diffusion_studio", "models"],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_of_another_file_is_not_taken_for_the_outputs(monkeypatch, capsys):
    def fails(given):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("diffusion_studio.cli._run", fails)
    assert main(["models"]) == 2
    assert capsys.readouterr().err == (
        "diffusion-studio: 'somewhere' cannot be used (Permission denied). Choose a folder that "
        "you may write to.\n"
    )


def test_an_interruption_while_the_verbs_are_imported(monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("diffusion_studio.cli.parser.build_parser", interrupted)
    assert main(["models"]) == 130 and capsys.readouterr().err == "\ndiffusion-studio: interrupted\n"
