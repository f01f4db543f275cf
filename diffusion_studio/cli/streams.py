"""Make standard output and standard error robust against closed streams and missing letters."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from typing import Any


def secure_streams() -> None:
    """Let standard output and error take any text, even if they are closed.

    Closed file descriptors are opened on the null device, because otherwise the next opened file would get
    their number, and receive what libraries print. Letters that an encoding lacks are written as escapes.
    Errors on standard error are ignored, because progress and warnings are no reason to fail.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    codecs.register_error("escaped", _escaped)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="escaped")
    if not isinstance(sys.stderr, _IgnoringErrors):
        sys.stderr = _IgnoringErrors(sys.stderr)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """An encoding error handler: a letter becomes its escape, a surrogate of an undecodable file name its
    byte.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return letter.encode("ascii", "backslashreplace").decode(), error.start + 1


class _IgnoringErrors:
    """A stream that drops what cannot be written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # a closed stream raises ValueError
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._drop()

    def _drop(self) -> None:
        """Redirect the stream to nowhere: Python would flush it again at exit, and exit with code 120."""
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
