"""The one thread that runs networks for all visitors. Runs take turns in it, one network call each.

Gradio pulls a generator from a pool of threads. Each thread that computes brings its own team of OpenMP
threads, and where teams outnumber the cores they sleep at every layer instead of spinning: half as fast
again on two cores. So a run has a thread of its own for the sampler, which is arithmetic on a few numbers,
and hands its network calls to the one thread, which makes them in the order in which they come. Calls of
several runs about one model are made as one, which takes less time: see `models.network_call`.

Gradio pulls only once its last answer is sent; here the run goes on by itself, and who watches takes the
newest state.
"""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..diffusion.denoiser import RunEnded
from ..errors import StudioError
from ..models.network_call import NetworkCall, made_by, made_together
from .allocator import release

T = TypeVar("T")
MAX_RUNS = 32  # that take turns; later ones wait until one of them ends
MAX_WAITING = 96
MAX_ROWS = 64  # pictures in one network call; measured: more take no less time each
LOOK_SECONDS, LONGEST_LOOK = 0.5, 4.0  # between two Progress, and two looks at whether somebody still waits
# A network call waits so long, and at most this share of the last one's time, for runs that are about to ask
PATIENCE_SECONDS, PATIENCE_SHARE = 0.02, 0.2
BACK_SECONDS = 0.05  # a run that has not asked again for so long after its last call is not waited for
IDLE_SECONDS = 60.0  # then the thread ends, until the next call
# by how much the thread stands behind those that answer the page; `tests/benchmarks/answer_time.py`
NICER = 5
_END: Any = object()


class ServerFull(StudioError):
    """As many runs wait as may."""


@dataclass(frozen=True)
class Progress:
    """How a run stands between two of its items.

    `calls` are the network calls that it has made; `place` is 0 while it computes, else its place among the
    runs that wait; `others` take turns with it; `seconds` are about left until its end, None where nobody
    knows.
    """

    calls: int
    place: int = 0
    others: int = 0
    seconds: float | None = None


class Turn:
    """A run's place among all. Setting `ended` ends the run at its next network call.

    Give `ask` to `Studio.stream`: then other runs have their turn after every network call of this one, else
    after every item. `price` are the seconds that the whole run takes alone, where they are known; `limit` is
    called before each network call with the seconds that the run has used, and may raise an error. With
    `shares` its network calls may be made together with those of other runs.
    """

    def __init__(
        self,
        compute: Compute,
        ended: threading.Event | None = None,
        price: float | None = None,
        limit: Callable[[Turn], None] = lambda turn: None,
        shares: bool = False,
    ) -> None:
        self.ended = ended or threading.Event()
        self.price = price
        self.calls = 0
        self.spent = 0.0
        self.waited = 0.0  # for the calls of other runs
        self.first_spent = 0.0  # in the first network call
        self.whole_items = True
        self.shares = shares
        self.returned = -math.inf  # when its last network call was made
        self._limit = limit
        self._compute = compute
        self._go = threading.Event()

    def ask(self, call: Callable[[], T]) -> T:
        """Make a network call when it is this run's turn. Raises `RunEnded` where it has been ended."""
        self._limit(self)
        if not self.shares:
            return self.spend(call)
        before = self.calls
        with made_by(self.spend):  # what is around the network is made here, in the run's own thread
            result = call()
        self.calls = before + 1
        return result

    @property
    def left(self) -> float | None:
        """Seconds of computing that are left, where the price is known."""
        return None if self.price is None else max(self.price - self.spent, 0.0)

    def progress(self) -> Progress:
        """How the run stands among the others."""
        return self._compute.turns.progress(self)

    def spend(self, call: Callable[[], T]) -> T:
        """What the call returns, made in the one thread after the calls that came before it."""
        if self.ended.is_set():
            raise RunEnded
        job, began = _Job(call, self), time.perf_counter()
        self._compute.worker.add(job)
        while not job.done.wait(0.1):
            if self.ended.is_set() and self._compute.worker.drop(job):
                raise RunEnded
        result = job.result()
        self.calls += 1
        self.spent += job.seconds
        self.waited += max(time.perf_counter() - began - job.seconds, 0.0)
        return result

    def wait(self) -> None:
        """Until the run is among those that take turns, or is ended."""
        while not self._go.wait(0.1):
            if self.ended.is_set():
                raise RunEnded

    def start(self) -> None:
        """The run takes turns from now on."""
        self._go.set()


@dataclass(eq=False)
class _Job(Generic[T]):
    """A function to call in the one thread, for a run or for nobody's. `seconds` is its share of the time."""

    call: Any  # () -> T
    turn: Turn | None = None
    done: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.0
    _made: list[T] = field(default_factory=list)
    _error: BaseException | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its run has been ended."""
        return self.turn is not None and self.turn.ended.is_set()

    @property
    def joins(self) -> bool:
        """Whether it can be made together with others."""
        return isinstance(self.call, NetworkCall) and self.call.joins

    def result(self) -> T:
        """What the call returned, or its exception."""
        if self._error is not None:
            raise self._error
        return self._made[0]

    def make(self) -> None:
        """Call the function."""
        began = time.perf_counter()
        try:
            if self.has_ended:
                raise RunEnded
            self._made.append(self.call())
        except BaseException as error:
            self._error = error
        self.finish(time.perf_counter() - began)

    def complete(self, result: T, seconds: float) -> None:
        """Take its result, which was made together with others."""
        self._made.append(result)
        self.finish(seconds)

    def finish(self, seconds: float) -> None:
        """Let go whoever waits for it."""
        self.seconds = seconds
        if self.turn is not None:
            self.turn.returned = time.perf_counter()
        self.done.set()


class _Worker:
    """The one thread. Calls of no run go first; those of runs are made in the order in which they came, which
    is one each in turn, as a run asks for its next one only after the last.

    Where it `gives_way` the threads that answer the page go before it. So do all other programs of the
    machine, which may take half of its time: it is for an app that has its machine or container to itself.
    """

    def __init__(self) -> None:
        self._first: deque[_Job[Any]] = deque()
        self._runs: deque[_Job[Any]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._sharing: set[Turn] = set()  # runs whose calls can be made together
        self._last_seconds = 0.0  # of a call of theirs
        self.gives_way = False

    def add(self, job: _Job[Any], first: bool = False) -> None:
        """Make a call soon."""
        with self._changed:
            (self._first if first else self._runs).append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="compute", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, job: _Job[Any]) -> bool:
        """Forget a call that has not begun. Returns whether it had not."""
        with self._changed:
            if job not in self._runs:
                return False
            self._runs.remove(job)
            return True

    def begin(self, turn: Turn) -> None:
        """A run takes turns from now on."""
        if turn.shares:
            with self._changed:
                self._sharing.add(turn)

    def end(self, turn: Turn) -> None:
        """A run asks no more."""
        with self._changed:
            self._sharing.discard(turn)

    def _work(self) -> None:
        if self.gives_way:
            _lower_priority()
        while (jobs := self._next()) is not None:
            self._make(jobs)

    def _next(self) -> list[_Job[Any]] | None:
        """The calls to make now: one, or several that are made as one. None after a long time without any."""
        with self._changed:
            until = time.perf_counter() + IDLE_SECONDS
            while not (self._first or self._runs):
                if (left := until - time.perf_counter()) <= 0:
                    self._thread = None
                    return None
                self._changed.wait(left)
            if self._first:
                return [self._first.popleft()]
            self._wait_for_others()
            return self._take_batch()

    def _wait_for_others(self) -> None:
        """Wait a moment for runs whose last call was just made. Those of one call come back together, but for
        the first, which would be alone in the next one.
        """
        until = time.perf_counter() + min(PATIENCE_SECONDS, PATIENCE_SHARE * self._last_seconds)
        while self._runs and self._runs[0].joins and not self._first:
            now = time.perf_counter()
            asked = {job.turn for job in self._runs}
            coming = [one for one in self._sharing - asked if now - one.returned < BACK_SECONDS]
            if now >= until or not coming or _rows(self._batchable()) >= MAX_ROWS:
                return
            self._changed.wait(until - now)

    def _batchable(self) -> list[_Job[Any]]:
        """The next call of a run, and those that can be made together with it."""
        first = self._runs[0]
        return [job for job in self._runs if job is first or job.joins and job.call.fits(first.call)]

    def _take_batch(self) -> list[_Job[Any]]:
        """As many of them as one network call takes, out of the queue."""
        if not self._runs:  # dropped meanwhile
            return []
        first, *others = self._batchable() if self._runs[0].joins else [self._runs[0]]
        taken = [first]
        for job in others:
            if _rows([*taken, job]) > MAX_ROWS:
                break
            taken.append(job)
        for job in taken:
            self._runs.remove(job)
        return taken

    def _make(self, jobs: list[_Job[Any]]) -> None:
        for job in jobs:
            if job.has_ended:
                job.make()  # which ends it
        jobs = [job for job in jobs if not job.done.is_set()]
        if len(jobs) > 1 and self._made_together(jobs):
            return
        for job in jobs:
            job.make()
            self._last_seconds = job.seconds

    def _made_together(self, jobs: list[_Job[Any]]) -> bool:
        """Make the network calls as one. Where that fails each is made alone, and its own run fails."""
        calls = [job.call for job in jobs]
        began = time.perf_counter()
        try:
            results = made_together(calls)
        except Exception:
            return False
        self._last_seconds = time.perf_counter() - began
        for job, result in zip(jobs, results):
            job.complete(result, self._last_seconds * job.call.rows / _rows(jobs))
        return True


def _lower_priority() -> None:
    """Let the page's requests go before this thread, and before the OpenMP threads that it starts.

    Only Linux gives a thread a priority of its own. Nobody but root can raise it again, so this is for a
    thread that computes until its end.
    """
    if sys.platform == "linux":
        own = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICER)


def _rows(jobs: list[_Job[Any]]) -> int:
    """Pictures in the network calls together."""
    return sum(job.call.rows for job in jobs)


class Turns:
    """Which runs take turns: at most `most` of them. Others wait in their order."""

    def __init__(self, most: int, waiting: int) -> None:
        self.most, self.most_waiting = most, waiting
        self._running: list[Turn] = []
        self._waiting: deque[Turn] = deque()
        self._lock = threading.Lock()

    def enter(self, turn: Turn) -> None:
        """Join the runs, or those that wait. A `ServerFull` where too many wait already."""
        with self._lock:
            if len(self._running) < self.most:
                self._join(turn)
            elif len(self._waiting) < self.most_waiting:
                self._waiting.append(turn)
            else:
                raise ServerFull(
                    f"{self._full()} Try again in a few minutes, or run the app on your own machine."
                )

    def check_room(self) -> None:
        """Raise `ServerFull` where `enter` would."""
        with self._lock:
            if len(self._running) >= self.most and len(self._waiting) >= self.most_waiting:
                raise ServerFull(self._full())

    def _full(self) -> str:
        runs = "1 run is" if self.most == 1 else f"{self.most} runs are"
        waiting = f"{len(self._waiting)} wait{'s' * (len(self._waiting) == 1)}"
        return f"{runs} computed here and {waiting}, which is all that this server takes."

    def leave(self, turn: Turn) -> None:
        """End a run's part; the first one that waits takes its place."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            if turn not in self._running:
                return
            self._running.remove(turn)
            if self._waiting:
                self._join(self._waiting.popleft())

    def progress(self, turn: Turn) -> Progress:
        """How a run stands among all."""
        with self._lock:
            place = self._waiting.index(turn) + 1 if turn in self._waiting else 0
            running = [one for one in self._running if one is not turn]
            before = [*self._waiting][: place - 1] if place else []
            lefts = [one.left for one in [*running, *before]]
        return Progress(turn.calls, place, len(running), _seconds(turn.left, lefts))

    def _join(self, turn: Turn) -> None:
        self._running.append(turn)
        turn.start()

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)


class Compute:
    """Runs what is given to it in one thread; whole runs in turns."""

    def __init__(self, most: int = MAX_RUNS, waiting: int = MAX_WAITING) -> None:
        self.worker = _Worker()
        self.turns = Turns(most, waiting)
        # Ends what nobody listens for: `Listeners.while_heard` where the app counts its connections
        self.while_heard: Callable[[Iterator[Any]], Generator[Any]] = _all

    def call(self, fn: Callable[[], T]) -> T:
        """The function's result, or its exception. It goes before the network calls of runs."""
        job = _Job(fn)
        self.worker.add(job, first=True)
        job.done.wait()
        return job.result()

    def turn(
        self,
        ended: threading.Event | None = None,
        price: float | None = None,
        limit: Callable[[Turn], None] = lambda turn: None,
        shares: bool = False,
    ) -> Turn:
        """A place for a run whose network calls take turns with those of others. See `Turn`."""
        turn = Turn(self, ended, price, limit, shares)
        turn.whole_items = False
        return turn

    def newest(self, items: Iterable[T], pause: float, ended: threading.Event | None = None) -> Iterator[T]:
        """Items of a run as they are made: the first at once, then the newest at most every `pause` seconds,
        and the last. Each is made in the one thread, in turns with those of other runs.

        Closing this iterator, or setting `ended`, ends the run after the item that is being made; an
        exception in the run comes out here.
        """
        found = self.watched(items, pause, Turn(self, ended))
        try:
            for one in found:
                if not isinstance(one, Progress):
                    yield one
        finally:
            found.close()

    def watched(self, items: Iterable[T], pause: float, turn: Turn) -> Generator[T | Progress]:
        """As `newest`, of a run whose network calls go through `turn.ask`, with a `Progress` where no item
        comes for a while. It ends before the network call that would be next, also where nobody listens.
        """
        yield from self.while_heard(self._watched(items, pause, turn))

    def _watched(self, items: Iterable[T], pause: float, turn: Turn) -> Generator[T | Progress]:
        made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.turns.enter(turn)
        run = threading.Thread(target=self._run, args=(items, made, turn), name="run", daemon=True)
        try:
            run.start()
            more, look = True, LOOK_SECONDS
            while more:
                found = _drained(made, look)
                more = _END not in found
                failed = [one.error for one in found if isinstance(one, _Failed)]
                if newest := [one for one in found if one is not _END and not isinstance(one, _Failed)][-1:]:
                    look = LOOK_SECONDS
                    yield newest[0]
                    time.sleep(pause if more else 0)
                elif more:  # each is work for the server, so the more the fewer
                    yield turn.progress()
                    look = min(LONGEST_LOOK, max(LOOK_SECONDS, 0.1 * len(self.turns)) + look / 2)
                if failed:
                    raise failed[0]
        finally:
            turn.ended.set()

    def _run(self, items: Iterable[T], made: queue.SimpleQueue[Any], turn: Turn) -> None:
        try:
            turn.wait()
            self.worker.begin(turn)
            for item in self._whole(items, turn) if turn.whole_items else items:
                made.put(item)
                if turn.ended.is_set() and turn.whole_items:  # else its next network call ends it
                    break
        except RunEnded:
            pass
        except BaseException as error:
            made.put(_Failed(error))
        finally:
            self._close(items, turn)
            self.worker.end(turn)
            self.turns.leave(turn)
            made.put(_END)
            if not len(self.turns):
                release()

    def _whole(self, items: Iterable[T], turn: Turn) -> Iterator[T]:
        """The items, each made in the one thread at the run's turn."""
        left = iter(items)
        while (item := turn.spend(lambda: next(left, _END))) is not _END:
            yield item

    def _close(self, items: Iterable[Any], turn: Turn) -> None:
        if isinstance(items, Generator):
            if turn.whole_items:
                self.call(items.close)
            else:
                items.close()


def _all(items: Iterator[T]) -> Generator[T]:
    yield from items


@dataclass(frozen=True)
class _Failed:
    """The exception that ended a run."""

    error: BaseException


def duration(seconds: float) -> str:
    """Seconds in words, rounded up as the page's player does: "40 s", "3 minutes", "1.9 hours"."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _seconds(own: float | None, others: list[float | None]) -> float | None:
    """Until a run ends that shares the machine equally with others: each takes as much as this one needs, or
    ends before.
    """
    if own is None:
        return None
    return own + sum(min(own, math.inf if one is None else one) for one in others)


def _drained(made: queue.SimpleQueue[Any], seconds: float) -> list[Any]:
    """All that has come, waiting so long for the first."""
    try:
        found = [made.get(timeout=seconds)]
    except queue.Empty:
        return []
    while not made.empty():
        found.append(made.get())
    return found
