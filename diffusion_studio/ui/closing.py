"""What has to be done when the app ends, whether by Ctrl-C or by a polite kill: stop trainings, remove
visitors' files.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable

from ..files.signals import listen

_waiting: list[Callable[[], None]] = []


def at_end(close: Callable[[], None]) -> None:
    """Have this called once before the program ends; what came last is called first."""
    if not _waiting:
        atexit.register(_close)
    _waiting.append(close)


def ends_politely() -> None:
    """End the program without waiting for a run when it is asked to: by Ctrl-C, by SIGTERM as containers are,
    by a closed terminal. The exit code is the shell's: 130 after Ctrl-C, 143 after SIGTERM."""

    def handler(number: int) -> None:
        _close()
        os._exit(128 + number)

    listen(handler)


def _close() -> None:
    while _waiting:
        _waiting.pop()()
