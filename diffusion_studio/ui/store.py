"""Recorded runs of the app's visitors: bounded in bytes, freed with their page."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from ..imaging.frame import Frame
from ..runs.recipe import Recipe
from ..runs.trajectory import Trajectory, stride

MAX_BYTES = 384 << 20  # of all runs together; the oldest go first
MAX_RUN_BYTES = 96 << 20  # of one run; a longer one keeps every k-th frame
MAX_RUNS_PER_VISITOR = 24
MAX_VISITOR_BYTES = 64 << 20  # of these runs together, but for the last two


@dataclass
class Run:
    """One visitor's run while it is recorded and after. `frames` only ever grows."""

    visitor: str
    recipe: Recipe
    frames: list[Frame] = field(default_factory=list)
    nbytes: int = 0

    @property
    def trajectory(self) -> Trajectory:
        return Trajectory(self.recipe, tuple(self.frames))


class RunStore:
    """Runs by unguessable id (anyone can call a server function with any id)."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_run_bytes: int = MAX_RUN_BYTES) -> None:
        self.max_bytes = max_bytes
        self.max_run_bytes = max_run_bytes
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, visitor: str, recipe: Recipe) -> str:
        """Begin a run and return its id; the visitor's oldest makes room."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            own = [k for k, run in self._runs.items() if run.visitor == visitor]
            while own and (len(own) >= MAX_RUNS_PER_VISITOR or self._too_much(own)):
                del self._runs[own.pop(0)]
            self._runs[key] = Run(visitor, recipe)
        return key

    def _too_much(self, keys: list[str]) -> bool:
        """Whether a visitor's runs are too large to keep all of them. The last one is kept."""
        return len(keys) > 1 and sum(self._runs[key].nbytes for key in keys) > MAX_VISITOR_BYTES

    def append(self, key: str, frame: Frame) -> int | None:
        """Keep a frame and return its place among the kept ones; None where a long run skips it, or was
        freed.
        """
        with self._lock:
            run = self._runs.get(key)
            if run is None or not self._wanted(frame):
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
            return [self._runs.pop(key).recipe for key in keys]

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

    def _wanted(self, frame: Frame) -> bool:
        return frame.index % self._stride(frame) == 0 or frame.index == frame.total
