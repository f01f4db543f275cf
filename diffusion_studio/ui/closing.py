"""What has to be done when the app ends, whether by Ctrl-C or by a polite kill: stop trainings, remove visitors' files."""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable
from typing import Any

_waiting: list[Callable[[], None]] = []


def at_end(close: Callable[[], None]) -> None:
    """Have this called once before the program ends; what came last is called first."""
    if not _waiting:
        atexit.register(_close)
    _waiting.append(close)


def ends_politely() -> None:
    """Have the signals that ask to end (Ctrl-C; SIGTERM, by which containers are stopped; a closed terminal) end the program
    without waiting for a run. The exit code is the shell's: 130 after Ctrl-C, 143 after SIGTERM."""
    def handler(number: int, frame: Any) -> None:
        _close()
        os._exit(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        one = getattr(signal, name, None)
        if one is not None and signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, handler)


def _close() -> None:
    while _waiting:
        _waiting.pop()()
