"""The one thread that runs networks for all visitors.

Gradio pulls a generator from a pool of threads. Each thread that computes brings an OpenMP team of its own,
and where teams outnumber the cores they sleep at every layer instead of spinning: half as fast again on two
cores. Besides, Gradio pulls only once its last answer is sent; here the run goes on by itself, and who
watches takes the newest.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


class Compute:
    """Runs one thing at a time, in the order in which they come."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def call(self, fn: Callable[[], T]) -> T:
        """The function's result, or its exception."""
        return self._thread.submit(fn).result()

    def newest(self, items: Iterable[T], pause: float, ended: threading.Event | None = None) -> Iterator[T]:
        """Items of a run as they are made: the first at once, then the newest at most every `pause` seconds,
        and the last.

        Closing this iterator, or setting `ended`, ends the run after the item that is being made; an
        exception in the run comes out here.
        """
        made: queue.SimpleQueue[object] = queue.SimpleQueue()
        ended = ended or threading.Event()
        run = self._thread.submit(_put_all, items, made, ended)
        try:
            more = True
            while more:
                found = _drained(made)
                more = _END not in found
                if newest := [one for one in found if one is not _END][-1:]:
                    yield newest[0]
                    time.sleep(pause if more else 0)
            run.result()
        finally:
            ended.set()


def _put_all(items: Iterable[T], made: queue.SimpleQueue[object], ended: threading.Event) -> None:
    try:
        for item in items:
            made.put(item)
            if ended.is_set():
                break
    finally:
        if isinstance(items, Generator):
            items.close()
        made.put(_END)


def _drained(made: queue.SimpleQueue[object]) -> list[object]:
    """All that has come, waiting for at least one."""
    found = [made.get()]
    while not made.empty():
        found.append(made.get())
    return found
