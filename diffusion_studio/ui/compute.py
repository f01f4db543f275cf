"""The one thread that runs networks for all visitors, whose runs take turns in it, a network call each.

Gradio pulls a generator from a pool of threads. Each thread that computes brings an OpenMP team of its own,
and where teams outnumber the cores they sleep at every layer instead of spinning: half as fast again on two
cores. So a run has a thread of its own for the sampler, which is arithmetic on a few numbers, and hands its
network calls to the one thread; only the run whose turn it is computes. Besides, Gradio pulls only once its
last answer is sent; here the run goes on by itself, and who watches takes the newest.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from ..diffusion.denoiser import RunEnded
from ..errors import StudioError

T = TypeVar("T")
MAX_RUNS = 32  # that take turns; later ones wait until one of them ends
MAX_WAITING = 96
LOOK_SECONDS, LONGEST_LOOK = 0.5, 4.0  # between two Progress, and two looks at whether somebody still waits
_END = object()


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
    called before each network call with the seconds that the run has used, and may raise an error.
    """

    def __init__(
        self,
        compute: Compute,
        ended: threading.Event | None = None,
        price: float | None = None,
        limit: Callable[[Turn], None] = lambda turn: None,
    ) -> None:
        self.ended = ended or threading.Event()
        self.price = price
        self.calls = 0
        self.spent = 0.0
        self.whole_items = True
        self._limit = limit
        self._compute = compute
        self._go = threading.Event()
        self._used = False

    def ask(self, call: Callable[[], T]) -> T:
        """Make a network call when it is this run's turn. Raises `RunEnded` where it has been ended."""
        self._limit(self)
        return self._spend(call)

    @property
    def left(self) -> float | None:
        """Seconds of computing that are left, where the price is known."""
        return None if self.price is None else max(self.price - self.spent, 0.0)

    def progress(self) -> Progress:
        """How the run stands among the others."""
        return self._compute.turns.progress(self)

    def _spend(self, call: Callable[[], T]) -> T:
        if self._used:  # once a turn
            self._compute.turns.pass_on(self)
        self._used = True
        if self.ended.is_set():
            raise RunEnded
        result, seconds = self._compute.call(lambda: _timed(call))
        self.calls += 1
        self.spent += seconds
        return result

    def wait(self) -> None:
        """Until it is this run's turn, or it is ended."""
        while not self._go.wait(0.1):
            if self.ended.is_set():
                raise RunEnded
        self._go.clear()
        self._used = False

    def start(self) -> None:
        """It is this run's turn."""
        self._go.set()


class Turns:
    """Who computes now: of at most `most` runs one at a time, in a circle. Others wait in their order."""

    def __init__(self, most: int, waiting: int) -> None:
        self.most, self.most_waiting = most, waiting
        self._circle: deque[Turn] = deque()  # the first one computes
        self._waiting: deque[Turn] = deque()
        self._lock = threading.Lock()

    def enter(self, turn: Turn) -> None:
        """Join the runs; behind all that take turns. A `StudioError` where too many wait already."""
        with self._lock:
            if len(self._circle) < self.most:
                self._join(turn)
            elif len(self._waiting) < self.most_waiting:
                self._waiting.append(turn)
            else:
                raise StudioError(
                    f"{self.most} runs are computed here and {len(self._waiting)} wait, which is all that "
                    "this server takes. Try again in a few minutes, or run the app on your own machine."
                )

    def pass_on(self, turn: Turn) -> None:
        """Let all others have a turn, and wait for the next one."""
        with self._lock:
            if len(self._circle) == 1:
                return
            self._circle.rotate(-1)
            self._circle[0].start()
        turn.wait()

    def leave(self, turn: Turn) -> None:
        """End a run's part; the first one that waits takes its place."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            if turn not in self._circle:
                return
            computes = self._circle[0] is turn
            self._circle.remove(turn)
            if computes and self._circle:
                self._circle[0].start()
            if self._waiting:
                self._join(self._waiting.popleft())

    def progress(self, turn: Turn) -> Progress:
        with self._lock:
            place = self._waiting.index(turn) + 1 if turn in self._waiting else 0
            running = [one for one in self._circle if one is not turn]
            before = [*self._waiting][: place - 1] if place else []
            lefts = [one.left for one in [*running, *before]]
        return Progress(turn.calls, place, len(running), _seconds(turn.left, lefts))

    def _join(self, turn: Turn) -> None:
        self._circle.append(turn)
        if len(self._circle) == 1:
            turn.start()

    def __len__(self) -> int:
        return len(self._circle) + len(self._waiting)


class Compute:
    """Runs what is given to it in one thread; whole runs in turns."""

    def __init__(self, most: int = MAX_RUNS, waiting: int = MAX_WAITING) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self.turns = Turns(most, waiting)

    def call(self, fn: Callable[[], T]) -> T:
        """The function's result, or its exception."""
        return self._thread.submit(fn).result()

    def turn(
        self,
        ended: threading.Event | None = None,
        price: float | None = None,
        limit: Callable[[Turn], None] = lambda turn: None,
    ) -> Turn:
        """A place for a run whose network calls take turns with those of others. See `Turn`."""
        turn = Turn(self, ended, price, limit)
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
        comes for a while. It ends before the network call that would be next.
        """
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
            self.turns.leave(turn)
            made.put(_END)

    def _whole(self, items: Iterable[T], turn: Turn) -> Iterator[T]:
        """The items, each made in the one thread at the run's turn."""
        left = iter(items)
        while (item := turn._spend(lambda: next(left, _END))) is not _END:
            yield item

    def _close(self, items: Iterable[Any], turn: Turn) -> None:
        if isinstance(items, Generator):
            if turn.whole_items:
                self.call(items.close)
            else:
                items.close()


@dataclass(frozen=True)
class _Failed:
    """The exception that ended a run."""

    error: BaseException


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "3 minutes", "1.9 hours"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _seconds(own: float | None, others: list[float | None]) -> float | None:
    """Until a run ends that shares the machine equally with others: each takes as much as this one needs, or
    ends before.
    """
    if own is None:
        return None
    return own + sum(min(own, math.inf if one is None else one) for one in others)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def _drained(made: queue.SimpleQueue[Any], seconds: float) -> list[Any]:
    """All that has come, waiting so long for the first."""
    try:
        found = [made.get(timeout=seconds)]
    except queue.Empty:
        return []
    while not made.empty():
        found.append(made.get())
    return found
