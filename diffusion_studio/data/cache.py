"""Decoded pictures kept on disk as uint8, where decoding took long: opening a folder the second time takes no
time.

A cache is named after what its pictures follow from: every file's path, size and time of change, and what was
asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing

FOLDER = "DIFFUSION_STUDIO_CACHE"  # environment variable: where to keep them
SLOW = 2.0  # seconds of decoding from which a cache pays
MOST = 8 << 30  # bytes of all caches together; those not used for longest go first
_VERSION = 3  # of how files become pixels, and of what is told of them


def cached(
    files: Sequence[Path], asked: Sequence[Any], decode: Callable[[], tuple[np.ndarray, dict[str, Any]]]
) -> tuple[np.ndarray, dict[str, Any]]:
    """`decode()`, or what it gave before for the same files and settings: (N, H, W, C) uint8, read from disk
    when used, and what is told of them, which JSON can hold.

    A cache that cannot be written, or is damaged, costs nothing but its time.
    """
    path = folder() / f"{_key(files, asked)}.npy"
    found = _open(path, len(files))
    if found is not None:
        return found
    start = time.monotonic()
    images, about = decode()
    if time.monotonic() - start >= SLOW and images.nbytes <= MOST // 2:
        _keep(path, images, about)
    return images, about


def folder() -> Path:
    """Where caches lie."""
    own = os.environ.get(FOLDER)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or os.path.join(home, "diffusion-studio", "pictures")).expanduser()


def _key(files: Sequence[Path], asked: Sequence[Any]) -> str:
    made = hashlib.sha256(repr((_VERSION, *asked)).encode())
    for path in files:
        about = path.stat()
        made.update(repr((str(path.resolve()), about.st_size, about.st_mtime_ns)).encode())
    return made.hexdigest()[:40]


def _open(path: Path, count: int) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The array, and the JSON that lies behind it in the file with its length in the last 8 bytes."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(8), "little")
            file.seek(-8 - length, os.SEEK_END)
            about = json.loads(file.read(length))
    except (OSError, ValueError, EOFError, RecursionError):
        return None
    if not isinstance(about, dict) or found.dtype != np.uint8 or found.ndim != 4 or len(found) != count:
        return None
    with suppress(OSError):  # somebody else's is still good to read
        os.utime(path)  # used just now
    return found, about


def _keep(path: Path, images: np.ndarray, about: dict[str, Any]) -> None:
    with suppress(OSError):  # the folder may be a file, or somebody else's
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as file:
            np.save(file, images, allow_pickle=False)
            told = json.dumps(about).encode()
            file.write(told + len(told).to_bytes(8, "little"))
        kept = sorted(path.parent.glob("*.npy"), key=lambda one: one.stat().st_mtime, reverse=True)
        total = 0
        for one in kept:
            total += one.stat().st_size
            if total > MOST:
                one.unlink()
