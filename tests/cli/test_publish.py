"""`diffusion-studio publish --dry-run`: the folder of a Space, checked against what Spaces demand, and started."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

import diffusion_studio as ds
from diffusion_studio.cli import main

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
TORCH_ON_ZERO = {"2.8.0", "2.9.1", "2.10.0", "2.11.0"}


def front_of(folder: Path) -> dict:
    import yaml

    text = (folder / "README.md").read_text("utf-8")
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture
def models(write_checkpoint) -> Path:
    folder = write_checkpoint().parent
    (folder / "card.md").write_text("![s](samples.png) ![gone](gone.png) [doc](notes.txt)")
    for name in ("samples.png", "notes.txt", "optimizer.safetensors"):
        (folder / name).write_bytes(b"x")
    return folder.parent


@pytest.mark.parametrize("hardware", ["cpu", "zero-gpu"])
def test_the_folder_is_what_a_space_needs(models, tmp_path, hardware, capsys):
    pytest.importorskip("yaml")
    folder = tmp_path / "space"
    words = [
        "publish",
        "me/studio",
        "--hardware",
        hardware,
        "--dry-run",
        str(folder),
        "--checkpoints",
        str(models),
    ]
    assert main([*words, "--title", 'Mine: "a" \\ b']) == 0
    told = capsys.readouterr().out
    assert ("free account may have two" in told) == (hardware == "zero-gpu")
    front = front_of(folder)
    assert front["title"] == 'Mine: "a" \\ b' and front["sdk"] == "gradio" and front["app_file"] == "app.py"
    assert front["sdk_version"] == version("gradio") and {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert (
        len(front["short_description"]) <= 60
        and front["license"] == "apache-2.0"
        and "diffusion" in front["tags"]
    )
    assert (folder / front["thumbnail"].partition("resolve/main/")[2]).is_file()
    lines = (folder / "requirements.txt").read_text().splitlines()
    pins = dict(
        re.fullmatch(r"([\w-]+)==(\S+)", line).groups() for line in lines if not line.startswith("--")
    )
    assert "gradio" not in pins  # sdk_version pins it
    assert {"torch", "numpy", "pillow", "imageio", "imageio-ffmpeg", "safetensors", "tqdm"} == set(pins)
    if hardware == "cpu":
        assert pins["torch"].endswith("+cpu") and lines[0].endswith("/whl/cpu")
    else:
        assert pins["torch"] in TORCH_ON_ZERO and lines == [
            line for line in lines if not line.startswith("--")
        ]
    first = (folder / "app.py").read_text().split('"""\n', 1)[1].strip().splitlines()[0]
    assert first.startswith("import spaces") == (hardware == "zero-gpu")
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert all(one.stat().st_size < 10_000_000 for one in files)
    assert sorted(one.name for one in (folder / "checkpoints" / "tiny").iterdir()) == [
        "card.md",
        "model.safetensors",
        "samples.png",
    ]
    assert not [one for one in files if "test" in one.parts or one.suffix == ".pyc" or ".git" in one.parts]


def test_mistakes_are_said(models, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("precious")
    (tmp_path / "empty").mkdir()
    for words, said in (
        (["studio", "--dry-run", "x"], "A Space is named USER/NAME, got 'studio'"),
        (["me/studio", "--hardware", "tpu", "--dry-run", "x"], "There is no hardware 'tpu'"),
        (["me/studio", "--dry-run", str(tmp_path / "full"), "--checkpoints", str(models)], "is not empty"),
        (
            ["me/studio", "--dry-run", str(tmp_path / "a"), "--checkpoints", str(tmp_path / "empty")],
            "no model in",
        ),
        (
            ["me/studio", "--static", str(tmp_path / "empty"), "--dry-run", str(tmp_path / "b")],
            "no index.html",
        ),
    ):
        assert main(["publish", *words]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "full" / "x").read_text() == "precious"


def test_a_gallery_becomes_a_static_space(tmp_path, capsys):
    pytest.importorskip("yaml")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html>")
    folder = tmp_path / "space"
    assert main(["publish", "me/runs", "--static", str(tmp_path / "site"), "--dry-run", str(folder)]) == 0
    assert front_of(folder)["sdk"] == "static" and (folder / "index.html").is_file()


SPACES = '''
"""Stands for what Spaces install: on ZeroGPU it runs the function in a process with a GPU."""
asked = []
def GPU(duration):
    def mark(fn):
        def run(recipe):
            print("GPU seconds asked:", duration(recipe), flush=True)
            yield from fn(recipe)
        return run
    return mark
'''


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="read-only folders of POSIX")
@pytest.mark.parametrize("hardware", ["cpu", "zero-gpu"])
def test_the_app_starts_from_the_folder_and_generates(hardware, tmp_path):
    """With a Space's variables, its folder read-only, and nothing of this checkout on the path."""
    from gradio_client import Client

    folder, home = tmp_path / "space", tmp_path / "home"
    assert main(["publish", "me/studio", "--hardware", hardware, "--dry-run", str(folder)]) == 0
    home.mkdir()
    (home / "spaces.py").write_text(SPACES)
    for one in [folder, *folder.rglob("*")]:
        one.chmod(one.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH",)}
    zero = {"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(home)} if hardware == "zero-gpu" else {}
    environment = {
        **kept,
        "SPACE_ID": "me/studio",
        "HOME": str(home),
        "TMPDIR": str(home),
        **zero,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADIO_SERVER_PORT": "",
    }
    log = home / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://\S+:(\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        client = Client(f"http://127.0.0.1:{found[1]}", verbose=False, download_files=str(home / "got"))
        given = {"model": "fashion-mnist", "label": "Bag", "count": 1, "api_name": "/animate"}
        path = client.predict(steps=3, **given)
        assert ds.Recipe.from_file(path).steps == 3
        if hardware == "zero-gpu":
            assert re.search(r"GPU seconds asked: 15$", log.read_text(), re.M)
        else:
            with pytest.raises(Exception, match="here a run may take"):  # hosted: there is a limit
                client.predict(
                    **{**given, "count": 64, "model": "emoji", "label": "", "prompt": "a cat"}, steps=1000
                )
    finally:
        process.kill()
        process.wait()
        for one in [folder, *folder.rglob("*")]:
            one.chmod(one.stat().st_mode | stat.S_IWUSR)
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
def test_app_py_has_a_demo():
    """As tools of Gradio's expect; nothing is made until it is asked for."""
    code = "import sys, app; assert 'gradio' not in sys.modules; print(type(app.demo).__name__, app.demo is app.demo)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["Blocks", "True"], done.stderr


@pytest.mark.slow
def test_a_tool_that_launches_the_demo_shows_a_page_that_starts():
    code = r"""
import re, urllib.request, app
_, address, _ = app.demo.launch(prevent_thread_lock=True, quiet=True)
read = lambda path: urllib.request.urlopen(address + path).read().decode()
module = re.search(r"page-files/\w+\.js", read(""))[0]
print("mounts" in read(module))
app.demo.close(verbose=False)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.split()[-1:] == ["True"], done.stderr


def test_the_dockerfile_names_what_is_there():
    """Its sources and its command; built and run it is where there is docker."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    sources = [one for words in re.findall(r"^COPY (.+) \S+$", text, re.M) for one in words.split()]
    assert sources and all((ROOT / one).exists() for one in sources)
    assert (
        text.index("USER studio") < text.index("CMD") and "torch==2" not in text
    )  # one pin, in requirements
    (command,) = re.findall(r"^CMD (\[.+\])$", text, re.M)
    words = json.loads(command)
    from diffusion_studio.cli.parser import build_parser

    args = build_parser("serve").parse_args(["serve", *words[2:]])
    assert words[:2] == ["python", "app.py"] and args.hosted and args.host == "0.0.0.0"
