"""Training runs as child processes of the same command line: they outlive the page, and their folder tells
how they stand.

A run's folder is what `diffusion-studio train` makes, and in it `process.json` (who trains) and `console.txt`
(what it said). So a run that was started before the app is seen, stopped and resumed like one that the app
started.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from .. import files
from ..errors import OptionError, StudioError
from ..training.config import TrainConfig
from ..training.run import RunFolder
from .closing import at_end
from .run_state import CONSOLE, RunState, read_state

NICE = 10  # whoever generates pictures comes first
PATIENCE = 60.0  # seconds for a run to save itself when the app ends
_PROCESS = "process.json"


class Runs:
    """The runs in a folder. At most one trains at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: dict[str, subprocess.Popen[bytes]] = {}
        self._asked_to_stop: set[str] = set()
        self._lock = threading.Lock()
        at_end(self.close)

    def names(self) -> list[str]:
        """All runs, the newest first."""
        found = {path.parent for name in ("config.json", CONSOLE) for path in self.folder.glob(f"*/{name}")}
        return [path.name for path in sorted(found, key=_start_time, reverse=True)]

    def training(self) -> str | None:
        """The run that trains now."""
        return next((name for name in self.names() if self.alive(name)), None)

    def start(self, name: str, config: TrainConfig, sample_every: int, save_every: int) -> None:
        """Begin a new run. An `OptionError` where one trains already, or the folder is taken."""
        folder = self._folder(name)
        if (folder / "config.json").exists():
            raise OptionError("run", f"There is a run {name!r} already. Choose another name, or resume it.")
        words = shlex.split(config.command(folder.resolve()))[1:]
        self._spawn(folder, [*words, "--sample-every", str(sample_every), "--save-every", str(save_every)])

    def resume(self, name: str, sample_every: int, save_every: int) -> None:
        """Go on with a run from its last checkpoint."""
        folder = self._folder(name)
        RunFolder(folder).config()  # says what is wrong with it
        self._spawn(
            folder,
            [
                "train",
                "--resume",
                str(folder.resolve()),
                "--sample-every",
                str(sample_every),
                "--save-every",
                str(save_every),
            ],
        )

    def stop(self, name: str) -> None:
        """Ask a run to finish its step, save and end."""
        number = self._process(name)
        if number is not None:
            self._asked_to_stop.add(name)
            os.kill(number, signal.SIGTERM)

    def alive(self, name: str) -> bool:
        """Whether a process trains this run."""
        return self._process(name) is not None

    def state(self, name: str) -> RunState:
        """How a run stands, from its folder."""
        alive = self.alive(name)
        if not alive:
            self._asked_to_stop.discard(name)
        return replace(read_state(self._folder(name), alive), stopping=name in self._asked_to_stop)

    def close(self) -> None:
        """Stop the runs that this program started, and wait until they are saved."""
        for child in self._own.values():
            if child.poll() is None:
                child.terminate()
        until = time.monotonic() + PATIENCE
        for child in self._own.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()

    def _folder(self, name: str) -> Path:
        if not name or name in (".", "..") or any(c in name for c in "/\\\0"):
            raise OptionError("run", f"{name!r} is no name for a run. Use letters, digits, - and _.")
        return self.folder / name

    def _spawn(self, folder: Path, words: list[str]) -> None:
        with self._lock:
            if (other := self.training()) is not None:
                raise OptionError("run", f"The run {other!r} is training. Stop it first, or wait for it.")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with (folder / CONSOLE).open("wb") as console:
                    child = subprocess.Popen(
                        [sys.executable, "-m", "diffusion_studio", *words],
                        stdin=subprocess.DEVNULL,
                        stdout=console,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                about = {"pid": child.pid, "started": _process_start(child.pid)}
                files.write_text(folder / _PROCESS, json.dumps(about))
            except OSError as error:
                raise StudioError(
                    f"Training cannot be started in {folder} ({error.strerror}). Free space there, or choose "
                    "another folder with --runs."
                ) from error
            if hasattr(os, "setpriority"):
                try:
                    os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
                except OSError:  # it has ended already, or may not be slowed: its console says the rest
                    pass
            self._own[folder.name] = child
            self._asked_to_stop.discard(folder.name)

    def _process(self, name: str) -> int | None:
        """The number of the process that trains a run; None where there is none, or another has its number
        by now.
        """
        if (child := self._own.get(name)) is not None:
            return child.pid if child.poll() is None else None
        try:
            given = json.loads((self._folder(name) / _PROCESS).read_text("utf-8"))
            number, started = int(given["pid"]), given["started"]
            os.kill(number, 0)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return number if _process_start(number) == started else None


def save_intervals(config: TrainConfig) -> tuple[int, int]:
    """The numbers of images between two sample sheets, and two checkpoints: about twenty of each in a run."""
    each = max(config.batch, config.images // 20)
    return each, min(each, 20_000)


def free_name(wanted: str, taken: list[str]) -> str:
    """The name, as a folder may have it, with a number behind it where it is taken."""
    base = (
        "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in wanted).strip("-")[:60]
        or "run"
    )
    names = (base if k == 1 else f"{base}-{k}" for k in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _start_time(folder: Path) -> float:
    """The time of the last start of a run, or of its folder."""
    for name in (_PROCESS, "config.json", CONSOLE):
        if (folder / name).is_file():
            return (folder / name).stat().st_mtime
    return 0.0


def _process_start(number: int) -> str:
    """The start time of a process in clock ticks, from /proc where there is one. It tells reused process
    numbers apart.
    """
    try:
        return Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
