"""Files that take seconds to make: each in a thread, with how far it is, until the page has fetched it.

The page asks again and again; a file that nobody asks for is given up.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import OptionError, StudioError
from .handlers import in_words

Write = Callable[[Path, Callable[[int, int], None]], Path]
PATIENCE = 30.0  # seconds without a question after which nobody waits any more


class _GivenUp(Exception):
    """The visitor cancelled the file, or has left."""


@dataclass
class _Making:
    """One file: how far it is, and what came of it."""

    done: int = 0
    of: int = 0
    asked: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    result: dict[str, Any] | None = None

    @property
    def wanted(self) -> bool:
        return not self.cancelled.is_set() and time.monotonic() - self.asked < PATIENCE


class FileMaking:
    """Makes `at_once` files at one time; at most `most` are made, wait, or have not been fetched."""

    def __init__(self, at_once: int, most: int) -> None:
        self.most = most
        self._places = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._making: dict[str, _Making] = {}

    def begin(self, name: str, write: Write) -> dict[str, Any]:
        """Begin a file: {"making": key}. `write(folder, progress)` writes it into a folder and returns its
        path; `progress(done, of)` raises where nobody waits for it any more.
        """
        one, key = _Making(), secrets.token_hex(16)
        with self._lock:
            self._making = {key: kept for key, kept in self._making.items() if kept.wanted}
            if len(self._making) >= self.most:
                raise OptionError(
                    "format", f"{self.most} files are being made here already. Try again in a minute."
                )
            self._making[key] = one
        threading.Thread(target=self._make, args=(one, name, write), name=f"file {name}", daemon=True).start()
        return {"making": key}

    def ask(self, key: object) -> dict[str, Any]:
        """How far a file is, {"done", "of"} in pictures, or once it is made {"name", "data"} in base64."""
        with self._lock:
            one = self._making.get(key) if isinstance(key, str) else None
            if one is None:
                raise OptionError("format", "This file is no longer being made. Save it again.")
            one.asked = time.monotonic()
            if one.result is not None:
                self._making = {name: kept for name, kept in self._making.items() if kept is not one}
                return one.result
        return {"done": one.done, "of": one.of}

    def cancel(self, key: object) -> dict[str, Any]:
        """Give a file up; it ends with the picture that is being drawn."""
        with self._lock:
            one = self._making.pop(key, None) if isinstance(key, str) else None
        if one is not None:
            one.cancelled.set()
        return {"cancelled": one is not None}

    def _make(self, one: _Making, name: str, write: Write) -> None:
        def progress(done: int, of: int) -> None:
            one.done, one.of = done, of
            if not one.wanted:
                raise _GivenUp

        result = {"error": "The program failed at this file. Its log has the details."}
        try:
            with self._places, TemporaryDirectory(prefix="diffusion-studio-file-") as folder:
                progress(0, 0)
                data = write(Path(folder), progress).read_bytes()
                result = {"name": name, "data": base64.b64encode(data).decode()}
        except StudioError as error:
            result = {"error": in_words(error)}
        except _GivenUp:
            pass
        finally:
            one.result = result
