"""What a process owes to those who start it: streams that take any text, and signals that lose nothing."""

from __future__ import annotations

import codecs
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")      # Ctrl-C; docker stop, timeout; a closed terminal; Windows' own
_came: list[int] = []                                       # signals of this command
_patient = False                                            # whether the first of them waits


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end; like Ctrl-C, it is no `Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """As shells count: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


@contextmanager
def signals() -> Iterator[None]:
    """Raise `Stopped` where a signal asks to end, so that what is under way cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _came.clear()
    with handled(_asked):
        yield


@contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Call the handler at every signal that asks to end; one that is ignored (nohup) stays ignored. Main thread only."""
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {one: signal.signal(one, handler) for one in numbers if signal.getsignal(one) not in (signal.SIG_IGN, None)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _asked(number: int, frame: Any) -> None:
    _came.append(number)
    if not _patient or len(_came) > 1:
        raise Stopped(number)


@contextmanager
def finishing() -> Iterator[None]:
    """Let what is inside come to its end at the first signal, which counts afterwards; the second one ends it."""
    global _patient
    _patient = True
    try:
        yield
    finally:
        _patient = False
    if _came:
        raise Stopped(_came[0])


def secure_streams() -> None:
    """Let standard output and error take any text, and whatever lies behind them.

    A closed one leads nowhere; else the next file that is opened would have its number, and take what libraries print. What
    an encoding has no letter for is written as its escape. Standard error takes progress and warnings, which are no reason
    to fail where nobody reads them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)                  # takes the lowest number that is free, which is this one
    codecs.register_error("escaped", _escaped)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))     # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="escaped")
    if not isinstance(sys.stderr, _Careless):
        sys.stderr = _Careless(sys.stderr)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """A letter that an encoding lacks as its escape; a byte of a file's name that is no text as itself."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return letter.encode("ascii", "backslashreplace").decode(), error.start + 1


class _Careless:
    """A stream that drops what cannot be written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):                       # the latter: it was closed
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._drop()

    def _drop(self) -> None:
        """Send the rest nowhere: Python would try once more at its end, and end with 120."""
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
