"""What has to be done when the app ends, whether by Ctrl-C or by a polite kill: stop trainings, remove visitors' files."""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable
from typing import Any

_waiting: list[Callable[[], None]] = []


def at_end(close: Callable[[], None]) -> None:
    """Have this called once before the program ends."""
    if not _waiting:
        atexit.register(_close)
    _waiting.append(close)


def ends_politely() -> None:
    """Have SIGTERM, by which containers are stopped, end the program like Ctrl-C does, without waiting for a run."""
    def handler(number: int, frame: Any) -> None:
        _close()
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, handler)


def _close() -> None:
    while _waiting:
        _waiting.pop()()
