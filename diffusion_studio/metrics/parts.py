"""A long computation in parts: each is kept as one file, so that a stopped one goes on and processes share
the work.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import DataError, OptionError

Arrays = dict[str, np.ndarray]
Tick = Callable[[int], None]
Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much
_PATIENCE = timedelta(days=7)  # one process may have nothing to do while another works


def kept(path: Path, make: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
    """The arrays in the file; where it is missing or broken they are made, and written in one piece.

    Raises `DataError` where the folder cannot be written to.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # not there, or cut short by a full disk: it is made anew
    made: dict[str, Any] = dict(make())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, **made)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({files.why(error)}). Free space there, or name another "
            "folder with --work."
        ) from error
    return made


@dataclass(frozen=True)
class Job:
    """One part of a computation: `run` makes it, unless it is there, and ticks on the way to `weight`."""

    run: Callable[[Tick], object]
    weight: int


@dataclass(frozen=True)
class World:
    """Which of how many processes this one is, as torchrun says."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> World:
        """RANK, WORLD_SIZE and LOCAL_RANK; a single process where they are not set."""
        given = {
            name: environment.get(name, default)
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        }
        try:
            rank, size, local = (int(text) for text in given.values())
        except ValueError:
            rank, size, local = -1, 0, 0
        if not 0 <= rank < size:
            raise OptionError(
                "WORLD_SIZE",
                f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers with RANK below WORLD_SIZE, got "
                f"{', '.join(f'{name}={text!r}' for name, text in given.items())}. torchrun sets them.",
            )
        return cls(rank, size, local)

    def share(self, title: str, jobs: Sequence[Job], progress: Progress | None) -> None:
        """Do this process's part of the jobs: every size-th one."""
        own = jobs[self.rank :: self.size]
        total, done = sum(job.weight for job in own), 0
        for job in own:
            ticked = [0]

            def tick(count: int, base: int = done, ticked: list[int] = ticked) -> None:
                ticked[0] += count
                if progress is not None:
                    progress(title, base + ticked[0], total)

            job.run(tick)
            done += job.weight
            if progress is not None:
                progress(title, done, total)

    @contextmanager
    def together(self) -> Iterator[Callable[[], object]]:
        """Gives a function that returns when all processes have called it. One process does not wait for
        itself.
        """
        if self.size == 1:
            yield lambda: None
            return
        from torch import distributed

        mine = not distributed.is_initialized()
        if mine:
            distributed.init_process_group("gloo", timeout=_PATIENCE)
        try:
            yield lambda: distributed.barrier()
        finally:
            if mine:
                distributed.destroy_process_group()
