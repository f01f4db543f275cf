"""Recorded runs of the app's visitors: bounded in bytes, freed with their page."""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..export import ExportOptions, save
from ..imaging.frame import Frame
from ..options import build
from ..runs.recipe import Recipe
from ..runs.trajectory import Trajectory, stride

MAX_BYTES = 384 << 20  # of all runs together; the oldest go first
MAX_RUN_BYTES = 96 << 20  # of one run; a longer one keeps every k-th frame
MAX_RUNS_PER_VISITOR = 24
MAX_VISITOR_BYTES = 64 << 20  # of these runs together, but for the last two


@dataclass(frozen=True)
class NoRecipe:
    """A source of frames that no recipe makes, such as a training. `title` names its files."""

    title: str


Source = Recipe | NoRecipe  # what the frames of a run come from


@dataclass(frozen=True)
class Recording:
    """Frames that no recipe makes, as `Trajectory` is those that one does."""

    title: str
    frames: Sequence[Frame]

    def save(self, path: str | Path, format: str | None = None, **options: Any) -> Path:
        """Export the frames as `Trajectory.save` does. The file names its source and carries no recipe."""
        chosen = build(ExportOptions, options, "export option")
        return save(self.frames, path, json.dumps({"title": self.title}), chosen, format)


@dataclass
class Run:
    """One visitor's run while it is recorded and after. `frames` only ever grows."""

    visitor: str
    source: Source
    frames: list[Frame] = field(default_factory=list)
    nbytes: int = 0

    @property
    def recipe(self) -> Recipe:
        """The recipe that makes the frames. Raises `OptionError` where there is none."""
        if isinstance(self.source, NoRecipe):
            raise OptionError(
                "run",
                f"The frames of {self.source.title} were made by no recipe, so they can be watched and "
                "exported alone. Choose a run of a model.",
            )
        return self.source

    @property
    def trajectory(self) -> Trajectory:
        """The recipe with the frames so far. Raises `OptionError` where there is no recipe."""
        return Trajectory(self.recipe, tuple(self.frames))

    @property
    def recorded(self) -> Trajectory | Recording:
        """The frames so far, to be exported."""
        frames = tuple(self.frames)
        if isinstance(self.source, NoRecipe):
            return Recording(self.source.title, frames)
        return Trajectory(self.source, frames)


class RunStore:
    """Runs by unguessable id (anyone can call a server function with any id)."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_run_bytes: int = MAX_RUN_BYTES) -> None:
        self.max_bytes = max_bytes
        self.max_run_bytes = max_run_bytes
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, visitor: str, source: Source) -> str:
        """Begin a run and return its id; the visitor's oldest makes room."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            own = [k for k, run in self._runs.items() if run.visitor == visitor]
            while own and (len(own) >= MAX_RUNS_PER_VISITOR or self._over_visitor_limit(own)):
                del self._runs[own.pop(0)]
            self._runs[key] = Run(visitor, source)
        return key

    def _over_visitor_limit(self, keys: list[str]) -> bool:
        """Whether the runs of a visitor exceed `MAX_VISITOR_BYTES`. A single run never does."""
        return len(keys) > 1 and sum(self._runs[key].nbytes for key in keys) > MAX_VISITOR_BYTES

    def append(self, key: str, frame: Frame) -> int | None:
        """Keep a frame and return its place among the kept ones; None where a long run skips it, or was
        freed.
        """
        with self._lock:
            run = self._runs.get(key)
            if run is None or not self._is_kept(frame):
                return None
            run.frames.append(frame)
            run.nbytes += frame.nbytes
            while (
                sum(r.nbytes for r in self._runs.values()) > self.max_bytes and next(iter(self._runs)) != key
            ):
                self._runs.popitem(last=False)
            return len(run.frames) - 1

    def get(self, key: object) -> Run | None:
        """The run, or None where there is none (any more)."""
        with self._lock:
            return self._runs.get(key) if isinstance(key, str) else None

    def forget(self, visitor: str) -> list[Recipe]:
        """Free all runs of a visitor whose page has closed; returns their recipes."""
        with self._lock:
            keys = [k for k, run in self._runs.items() if run.visitor == visitor]
            sources = [self._runs.pop(key).source for key in keys]
        return [source for source in sources if isinstance(source, Recipe)]

    @property
    def nbytes(self) -> int:
        """Memory that the kept frames hold."""
        with self._lock:
            return sum(run.nbytes for run in self._runs.values())

    def last_place(self, frame: Frame) -> int:
        """The place that the finished picture of this frame's run will have among the kept ones."""
        return -(-frame.total // self._stride(frame))

    def _stride(self, frame: Frame) -> int:
        """Every how many-th frame is kept of a run whose frames are as large as this one."""
        return stride(frame, self.max_run_bytes)

    def _is_kept(self, frame: Frame) -> bool:
        return frame.index % self._stride(frame) == 0 or frame.index == frame.total
