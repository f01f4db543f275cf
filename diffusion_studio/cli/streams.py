"""Standard output and error that take any text, whatever lies behind them."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from typing import Any


def secure_streams() -> None:
    """Let standard output and error take any text, and whatever lies behind them.

    A closed one leads nowhere; else the next file that is opened would have its number, and take what
    libraries print. What an encoding has no letter for is written as its escape. Standard error takes
    progress and warnings, which are no reason to fail where nobody reads them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    codecs.register_error("escaped", _escaped)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
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
        except (OSError, ValueError):  # the latter: it was closed
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
