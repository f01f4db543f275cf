"""The newest run of each visitor: a newer press ends the run of an older one."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
POLL_SECONDS = 0.1


@dataclass(eq=False)
class ActiveRun:
    """A run that a press began. Setting `ended` ends it; it sets `over` once it has ended.

    `name` is the name that the page gave the press, `pressed` its time in the page. `replaced` says that a
    newer press ended it. `before` is the run that it ended, if that one was still at work.
    """

    name: str = ""
    pressed: float = 0.0
    before: ActiveRun | None = None
    replaced: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    _started: threading.Lock = field(default_factory=threading.Lock)

    def start(self, name: str | None = None) -> bool:
        """Whether the run starts now: once, and only under its name if one is given."""
        return (name is None or name == self.name) and self._started.acquire(blocking=False)

    def wait_for_before(self, seconds: float) -> bool:
        """Wait until the run before has ended, for at most `seconds`. False if this run is ended first."""
        done = self.before is None or self.wait_for(self.before.over, seconds)
        self.before = None
        return done

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, for at most `seconds`. False if this run is ended meanwhile."""
        until = time.monotonic() + seconds
        while not event.wait(POLL_SECONDS) and time.monotonic() < until:
            if self.ended.is_set():
                return False
        return True


class NewestRuns(Generic[K]):
    """The newest run of each key: a visitor, or a place of the page. Any thread may call its methods."""

    def __init__(self) -> None:
        self._newest: dict[K, ActiveRun] = {}
        self._lock = threading.Lock()

    def begin(self, key: K, name: str = "", pressed: float = 0.0) -> ActiveRun:
        """End the key's run and give its place to a new one. The new one is ended from the start if a later
        press came here first.
        """
        run = ActiveRun(name, pressed)
        with self._lock:
            before = self._newest.get(key)
            if before is not None and before.pressed > pressed:
                run.replaced = True
                run.ended.set()
                return run
            self._newest[key] = run
            if before is not None:
                before.replaced = True
                before.ended.set()
                if before.start():  # and so it never will
                    run.before = before.before
                elif not before.over.is_set():
                    run.before = before
        return run

    def get(self, key: K) -> ActiveRun | None:
        return self._newest.get(key)

    def end(self, key: K) -> None:
        """End the key's run."""
        if (run := self.get(key)) is not None:
            run.ended.set()

    def end_all(self) -> None:
        """End the runs of all keys."""
        with self._lock:
            for run in self._newest.values():
                run.ended.set()

    def leave(self, key: K, run: ActiveRun) -> None:
        """The run has ended. Its key has no run any more, unless there is a newer one."""
        run.over.set()
        with self._lock:
            if self._newest.get(key) is run:
                del self._newest[key]

    def forget(self, key: K) -> ActiveRun | None:
        """End the key's run and free its place. Returns the run."""
        with self._lock:
            run = self._newest.pop(key, None)
        if run is not None:
            run.ended.set()
        return run
