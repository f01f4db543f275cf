"""A cache of the states of recent runs, so that a branch can start from one without a replay."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

from ..imaging.frame import Frame
from .recipe import Recipe

MAX_BYTES = 96 << 20  # limit for all runs together, frames included; a larger run is not cached


@dataclass(eq=False)
class Run:
    """The cached states of one run so far, as `TrajectoryCache.open` returns it."""

    model: Any  # a weak reference: states of a model that was reloaded since are not used
    states: list[tuple[Frame, torch.Tensor]] = field(default_factory=list)
    nbytes: int = 0


class TrajectoryCache:
    """States of recent runs by recipe, least recently used first out. Safe to use from several threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._runs: OrderedDict[Recipe, Run] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, recipe: Recipe, model: Any) -> Run:
        """Start the record of a run; it replaces an older one of the same recipe."""
        run = Run(weakref.ref(model))
        with self._lock:
            self._runs.pop(recipe, None)
            self._runs[recipe] = run
        return run

    def keep(self, run: Run, frame: Frame, x: torch.Tensor) -> None:
        """Add a state to a run. Does nothing if the run was evicted, or is larger than the cache."""
        with self._lock:
            size = frame.nbytes + x.nbytes
            if run not in self._runs.values() or size * (frame.total + 1) > self.max_bytes:
                return
            run.states.append((frame, x))
            run.nbytes += size
            while sum(one.nbytes for one in self._runs.values()) > self.max_bytes:
                self._runs.popitem(last=False)

    def forget(self, recipe: Recipe) -> None:
        """Remove the record of a recipe's run."""
        with self._lock:
            self._runs.pop(recipe, None)

    def stopped(self, recipe: Recipe, model: Any) -> list[tuple[Frame, torch.Tensor]]:
        """The states of a recipe's run on this model, if it was stopped before its end."""
        with self._lock:
            run = self._runs.get(recipe)
            if run is None or run.model() is not model or not run.states:
                return []
            last, _ = run.states[-1]
            return list(run.states) if len(run.states) - 1 == last.index < last.total else []

    def before(self, recipe: Recipe, model: Any, at: int) -> list[tuple[Frame, torch.Tensor]] | None:
        """The states 0 to `at` of a recipe's run on this model, or None if they are not cached."""
        with self._lock:
            run = self._runs.get(recipe)
            if run is None or run.model() is not model or len(run.states) <= at:
                return None
            self._runs.move_to_end(recipe)
            return run.states[: at + 1]
