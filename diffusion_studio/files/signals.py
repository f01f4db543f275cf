"""Signals that ask the process to end, so that nothing is lost: Ctrl-C, SIGTERM, a closed terminal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows' own
_ONE = 0.5  # seconds within which signals count as one: `timeout` sends two
_came: list[int] = []  # signals of this command
_patient = False  # whether the first of them waits


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end; like Ctrl-C, it is no `Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """As shells count: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


def listen(handler: Callable[[int], None]) -> dict[int, Any]:
    """Call the handler at every signal that asks to end; returns what was called before, by number.

    A signal that is ignored (nohup) stays ignored. Only in the main thread.
    """
    last: list[float] = []

    def called(number: int, frame: Any) -> None:
        now = time.monotonic()
        if not last or now - last[0] > _ONE:
            last[:] = [now]
            handler(number)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    heard = [one for one in numbers if signal.getsignal(one) not in (signal.SIG_IGN, None)]
    return {one: signal.signal(one, called) for one in heard}


@contextmanager
def handled(handler: Callable[[int], None]) -> Iterator[None]:
    """`listen` for as long as the `with` lasts."""
    before = listen(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            ending = bool(_came) and old is signal.SIG_DFL  # a late one must not change the exit code
            signal.signal(number, signal.SIG_IGN if ending else old)


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Stopped` where a signal asks to end, so that what is under way cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _came.clear()
    with handled(_asked):
        yield


def _asked(number: int) -> None:
    _came.append(number)
    if not _patient or len(_came) > 1:
        raise Stopped(number)


@contextmanager
def finishing() -> Iterator[None]:
    """Finish what is inside at the first signal, which counts afterwards; the second one ends it."""
    global _patient
    _patient = True
    try:
        yield
    finally:
        _patient = False
    if _came:
        raise Stopped(_came[0])
