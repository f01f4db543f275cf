"""Signals that ask the process to end (Ctrl-C, SIGTERM, a closed terminal), handled without losing work."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ENDING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # SIGBREAK exists on Windows only
_REPEAT_SECONDS = 0.5  # signals within this time count as one, because `timeout` sends two
_received: list[int] = []  # numbers of the signals since `raised` was entered
_first_waits = False  # whether the first signal takes effect only at the end of `finishing`


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end. As a `KeyboardInterrupt` it is not an `Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """The exit code by the convention of shells: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


def listen(handler: Callable[[int], None]) -> dict[int, Any]:
    """Call `handler` with the number of each ending signal. Returns the former handlers by signal number.

    An ignored signal (nohup) stays ignored. Python allows this in the main thread only.
    """
    last: list[float] = []

    def called(number: int, frame: Any) -> None:
        now = time.monotonic()
        if not last or now - last[0] > _REPEAT_SECONDS:
            last[:] = [now]
            handler(number)

    numbers = [getattr(signal, name) for name in _ENDING_SIGNALS if hasattr(signal, name)]
    handled_numbers = [one for one in numbers if signal.getsignal(one) not in (signal.SIG_IGN, None)]
    return {one: signal.signal(one, called) for one in handled_numbers}


@contextmanager
def handled(handler: Callable[[int], None]) -> Iterator[None]:
    """`listen` within the `with` block, and restore the former handlers at its end."""
    before = listen(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            # once a signal has arrived, a later one must not change the exit code
            ending = bool(_received) and old is signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if ending else old)


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Stopped` at an ending signal within the `with` block, so that `finally` clauses run.

    Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    with handled(_on_signal):
        yield


def _on_signal(number: int) -> None:
    """Record a signal, and raise `Stopped` unless it is the first one within `finishing`."""
    _received.append(number)
    if not _first_waits or len(_received) > 1:
        raise Stopped(number)


@contextmanager
def finishing() -> Iterator[None]:
    """Let the `with` block finish after a first signal, then raise `Stopped`. A second one ends it now."""
    global _first_waits
    _first_waits = True
    try:
        yield
    finally:
        _first_waits = False
    if _received:
        raise Stopped(_received[0])
