"""The program as a process: its start and end, streams, encodings, signals, environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import diffusion_studio as ds

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "diffusion_studio"]
APP = [sys.executable, "app.py"]
posix = pytest.mark.skipif(os.name != "posix", reason="shells and signals of POSIX")


def env(**changed: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GRADIO_", "PYTHONIO", "PYTHONUTF8"))
    }
    return {**kept, **changed}


def run(words, **named):
    return subprocess.run(
        words, **{"cwd": ROOT, "capture_output": True, "timeout": 300, "env": env(), **named}
    )


def shell(text: str, **named):
    """A shell's line with $RUN for the program."""
    return run(["sh", "-c", text.replace("$RUN", " ".join(COMMAND))], **named)


def sentence(done, code: int = 2) -> str:
    """What a process said that ended with a sentence."""
    said = done.stderr.decode()
    assert done.returncode == code and "Traceback" not in said and said.startswith("diffusion-studio: "), (
        done.returncode,
        said,
    )
    return said


@pytest.fixture
def short(tiny_checkpoint):
    """Words of a run that takes no time."""
    return f"generate tiny --checkpoints {tiny_checkpoint.parents[1]} --steps 2 --count 1"


# ---- streams


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed, short, tmp_path):
    """The file is whole: it has not got the number of a closed stream, into which libraries print."""
    out = tmp_path / "x.gif"
    done = shell(f"$RUN {short} --out {out} {closed}")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert ds.Recipe.from_file(out).steps == 2
    assert shell(f"$RUN models {closed}").returncode == 0
    assert shell(f"$RUN generate nonsense --out {out} {closed}").returncode == 2


@posix
def test_closed_streams_and_a_subprocess(short, tmp_path):
    """ffmpeg is given the streams that there are."""
    out = tmp_path / "x.mp4"
    assert shell(f"$RUN {short} --out {out} <&- >&- 2>&-").returncode == 0
    assert ds.Recipe.from_file(out).steps == 2


@posix
def test_standard_error_that_nobody_reads_or_that_is_full(short, tmp_path):
    """Progress is no reason to stop a run."""
    out = tmp_path / "x.gif"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *short.split(), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=writer,
        env=env(),
        timeout=300,
    )
    os.close(writer)
    assert (done.returncode, done.stdout.decode().strip()) == (0, str(out)) and out.is_file()
    if os.path.exists("/dev/full"):
        assert shell(f"$RUN {short} --out {out} 2>/dev/full").returncode == 0
        assert shell("$RUN generate nonsense 2>/dev/full").returncode == 2


BARE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # ASCII for everything


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_encodings_without_the_letters(encoding, write_checkpoint, tmp_path):
    folder = write_checkpoint(labels=("Cat", "猫→", "Größe")).parents[1]
    done = run([*COMMAND, "models", "--checkpoints", str(folder)], env=env(**encoding))
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u732b\u2192" in done.stdout and b"Cat" in done.stdout
    words = ["generate", "tiny", "--checkpoints", str(folder), "--steps", "1", "--count", "1"]
    made = run(
        [*COMMAND, *words, "--label", "Größe"], env=env(PYTHONPATH=str(ROOT), **encoding), cwd=tmp_path
    )
    assert made.returncode == 0 and [one.name for one in tmp_path.glob("*.gif")] == ["tiny-Größe-0.gif"]
    assert (
        "猫".encode("ascii", "backslashreplace")
        in run([*COMMAND, *words, "--label", "猫"], env=env(**encoding)).stderr
    )


@posix
def test_a_system_of_ascii_alone(write_checkpoint, tmp_path):
    """Output is escaped, names of files leave out what they cannot have, typed ones are taken as bytes."""
    folder = write_checkpoint(labels=("Cat", "猫→", "Größe")).parents[1]
    environment = env(PYTHONPATH=str(ROOT), **BARE)
    done = run([*COMMAND, "models", "--checkpoints", str(folder)], env=environment)
    assert (done.returncode, done.stderr) == (0, b"") and rb"Cat, \u732b\u2192, Gr\xf6\xdfe" in done.stdout
    recipe = tmp_path / "recipe.json"
    recipe.write_text(ds.Recipe(model="tiny", label="猫→", steps=1).to_json())
    words = ["generate", "--recipe", str(recipe), "--checkpoints", str(folder)]
    made = run([*COMMAND, *words], env=environment, cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, b"tiny-0.gif\n"), made.stderr
    named = run([*COMMAND, *words, "--out", "Größe.gif"], env=environment, cwd=tmp_path)
    assert (named.returncode, named.stdout) == (0, "Größe.gif\n".encode()) and (
        tmp_path / "Größe.gif"
    ).is_file()


@posix
@pytest.mark.parametrize(
    "option", ["--prompt", "--negative", "--label", "--change-prompt", "--negative-label"]
)
def test_a_text_in_another_encoding(option):
    """`--prompt "$(cat prompt-latin1.txt)"`."""
    done = run([*map(os.fsencode, [*COMMAND, "generate", "heroes", option]), b"orc with gr\xfcn helm"])
    assert (
        r"must be valid Unicode; 'orc with gr\udcfcn helm' holds the byte 0xFC, which is not valid UTF-8. Save"
        in sentence(done)
    )


@posix
def test_a_file_name_in_another_encoding(short, tmp_path):
    """Is a name like any other, and told as it is."""
    out = os.fsencode(tmp_path) + b"/caf\xe9.gif"
    done = run([*map(os.fsencode, [*COMMAND, *short.split(), "--out"]), out])
    assert (done.returncode, done.stdout) == (0, out + b"\n") and os.path.exists(out)
    assert b"caf" in run([*map(os.fsencode, [*COMMAND, "inspect"]), out]).stderr


# ---- signals

LONG = ["generate", "fashion-mnist", "--label", "Sneaker", "--steps", "1000", "--count", "4"]
# the bar tells that states are coming
# The tests may themselves run under nohup, whose deafness to SIGHUP a child inherits.
HEARD = "import signal; hasattr(signal, 'SIGHUP') and signal.signal(signal.SIGHUP, signal.SIG_DFL)"
WITH_BAR = (
    "import sys; sys.stderr.isatty = lambda: True; from diffusion_studio.cli import main; "
    "sys.exit(main(sys.argv[1:]))"
)


def stopped(tmp_path, words, numbers, wait="/1001"):
    """A process that was sent signals once it had said `wait`: exit code, output, what it said."""
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{HEARD}; {WITH_BAR}", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env=env(),
        )
        deadline = time.monotonic() + 120
        while wait not in (tmp_path / "err").read_text():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "err").read_text()
            time.sleep(0.1)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.05)
        out = process.communicate(timeout=120)[0].strip()
    return process.returncode, out, (tmp_path / "err").read_text()


@posix
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (getattr(signal, "SIGHUP", 1), 129)])
def test_a_run_that_is_ended_leaves_a_file_of_its_states(number, code, tmp_path):
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "stopped.gif"
    ended, said, err = stopped(tmp_path, [*LONG, "--out", str(out)], [number] * 3)  # `timeout` sends it twice
    assert (ended, said) == (code, str(out)) and "interrupted" in err and "Traceback" not in err
    with Image.open(out) as film:
        assert 1 <= film.n_frames < 1001
    assert [one.name for one in out.parent.iterdir()] == ["stopped.gif"]


@posix
def test_a_signal_while_the_file_is_written_lets_it_be_finished(tmp_path, short):
    """The first one; the second one ends the writing, and leaves nothing."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\nfrom dataclasses import replace\nfrom diffusion_studio import export\n"
        "from diffusion_studio.cli import main\nplain = export.FORMATS['gif']\n"
        "def write(*given):\n    print('writing', file=sys.stderr, flush=True)\n    time.sleep(2)\n"
        "    plain.write(*given)\n"
        "export.FORMATS['gif'] = replace(plain, write=write)\nsys.exit(main(sys.argv[1:]))\n"
    )
    for numbers, whole in (([signal.SIGTERM], True), ([signal.SIGTERM, signal.SIGTERM], False)):
        folder = tmp_path / f"{len(numbers)}"
        folder.mkdir()
        with (tmp_path / "err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, str(slow), *short.split(), "--out", str(folder / "x.gif")],
                cwd=ROOT,
                stderr=err,
                stdout=subprocess.DEVNULL,
                env=env(PYTHONPATH=str(ROOT)),
            )
            deadline = time.monotonic() + 120
            while "writing" not in (tmp_path / "err").read_text():
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "err").read_text()
                time.sleep(0.05)
            for number in numbers:
                process.send_signal(number)
                time.sleep(0.8)
            assert process.wait(60) == 143, (tmp_path / "err").read_text()
        assert [one.name for one in folder.iterdir()] == ["x.gif"] * whole


@pytest.mark.slow
@posix
def test_a_training_that_is_ended_saves_and_goes_on(tmp_path):
    out = tmp_path / "run"
    ended, _, err = stopped(
        tmp_path,
        ["train", "--data", "swiss-roll", "--images", "100000000", "--out", str(out)],
        [signal.SIGTERM],
        "loss=",
    )
    assert ended == 143 and f"Go on with: diffusion-studio train --resume {out}" in err
    assert (out / "state.safetensors").is_file() and not [
        one for one in out.rglob("*") if "partial" in one.name
    ]


@posix
def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """As by nohup."""
    out = tmp_path / "x.gif"
    code = f"import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); {WITH_BAR}"
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *LONG[:-4], "--steps", "40", "--count", "1", "--out", str(out)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=err,
            env=env(),
        )
        while "/41" not in (tmp_path / "err").read_text():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == 0
    with Image.open(out) as film:
        assert film.n_frames == 41


# ---- the environment


@pytest.mark.parametrize(
    "name, value",
    [
        ("GRADIO_SERVER_PORT", "abc"),
        ("GRADIO_SERVER_PORT", "99999"),
        ("GRADIO_SERVER_PORT", "-1"),
        ("GRADIO_SERVER_PORT", "0"),
        ("GRADIO_SERVER_PORT", "7860.5"),
        ("GRADIO_SERVER_PORT", "²"),
        ("GRADIO_NUM_PORTS", "many"),
    ],
)
def test_a_port_of_the_environment_that_is_none(name, value):
    said = sentence(run(APP, env=env(**{name: value})))
    assert f"{name} must be a whole number from 1 to 65535, got {value!r}. Change it, or unset it." in said


def test_a_folder_for_temporary_files_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    said = sentence(run(APP, env=env(GRADIO_TEMP_DIR=str(tmp_path / "file"))))
    assert (
        f"The folder {str(tmp_path / 'file')!r} that GRADIO_TEMP_DIR names cannot be used (File exists)"
        in said
    )


@posix
def test_a_disk_that_is_full(short, tmp_path):
    """As a limit on the size of files, which Python sees as an error when it writes."""
    folder = tmp_path / "new"
    folder.mkdir()
    for name, limit in (("x.gif", 1), ("x.png", 0), ("x.webp", 1)):
        done = shell(f"ulimit -f {limit}; $RUN {short} --scale 16 --view both --out {folder / name}")
        assert "File too large. Make room" in sentence(done) and list(folder.iterdir()) == []


@posix
def test_a_disk_that_is_full_while_weights_are_converted(tiny_checkpoint, tmp_path):
    out = tmp_path / "new" / "x.safetensors"
    out.parent.mkdir()
    said = sentence(shell(f"ulimit -f 4; $RUN convert {tiny_checkpoint} {out}"))
    assert "Free space there" in said and list(out.parent.iterdir()) == []
