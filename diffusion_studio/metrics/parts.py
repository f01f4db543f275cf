"""A long computation in parts. Each part is kept as a file, so that it can be stopped and resumed, and
shared between processes.
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
Progress = Callable[[str, int, int], None]  # (what, done, total)
_TIMEOUT = timedelta(days=7)  # a process without work waits for the others


def load_or_compute(path: Path, make: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
    """The arrays in a file. If it is missing or broken they are made, and written atomically.

    Raises `DataError` if the folder cannot be written to.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # missing, or cut off by a full disk
    arrays: dict[str, Any] = dict(make())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({files.why(error)}). Free space there, or name another "
            "folder with --work."
        ) from error
    return arrays


@dataclass(frozen=True)
class Job:
    """A part of a computation: `run` makes it unless it exists, and calls its argument with the progress,
    up to `weight`. `cost` is how much work a unit of progress is, beside other jobs: pictures in its batch.
    """

    run: Callable[[Tick], object]
    weight: int
    cost: int = 1

    @property
    def work(self) -> int:
        """The work of the whole job."""
        return self.weight * self.cost


@dataclass(frozen=True)
class World:
    """The number of this process, the number of all, and the number on this machine, as set by torchrun."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> World:
        """Read RANK, WORLD_SIZE and LOCAL_RANK; a single process if they are not set. Raises `OptionError`
        for invalid values.
        """
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

    def part_of(self, jobs: Sequence[Job]) -> list[Job]:
        """This process's jobs, in their order. The longest are dealt first, each to the process with the
        least work by then. Full and partly full batches alternate: every second job may be most of the work.
        """
        own, loads = [], [0] * self.size
        for k in sorted(range(len(jobs)), key=lambda k: -jobs[k].work):
            least = loads.index(min(loads))
            loads[least] += jobs[k].work
            if least == self.rank:
                own.append(k)
        return [jobs[k] for k in sorted(own)]

    def share(self, title: str, jobs: Sequence[Job], progress: Progress | None) -> None:
        """Run this process's share of the jobs."""
        own = self.part_of(jobs)
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
        """A context that gives a function to wait until all processes have called it. A single process
        does not wait.
        """
        if self.size == 1:
            yield lambda: None
            return
        from torch import distributed

        mine = not distributed.is_initialized()
        if mine:
            distributed.init_process_group("gloo", timeout=_TIMEOUT)
        try:
            yield lambda: distributed.barrier()
        finally:
            if mine:
                distributed.destroy_process_group()
