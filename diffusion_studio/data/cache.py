"""A disk cache of decoded pictures, as uint8 arrays. A folder that was slow to decode opens at once the
second time.

The name of a cache file is a hash of everything that the pixels depend on: each file's path, size and time of
change, and the settings.
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

FOLDER = "DIFFUSION_STUDIO_CACHE"  # environment variable with the folder of the cache
SLOW = 2.0  # seconds of decoding from which the result is cached
MOST = 8 << 30  # bytes of all cache files together; the least recently used are removed first
_VERSION = 3  # of the decoding and of the stored facts


def cached(
    files: Sequence[Path], settings: Sequence[Any], decode: Callable[[], tuple[np.ndarray, dict[str, Any]]]
) -> tuple[np.ndarray, dict[str, Any]]:
    """`decode()`, or its earlier result for the same files and settings.

    The result is (images, facts): (N, H, W, C) uint8, memory-mapped if it comes from the cache, and a JSON
    object. `settings` are the settings. A cache file that is damaged or cannot be written is ignored.
    """
    path = folder() / f"{_key(files, settings)}.npy"
    found = _open(path, len(files))
    if found is not None:
        return found
    start = time.monotonic()
    images, about = decode()
    if time.monotonic() - start >= SLOW and images.nbytes <= MOST // 2:
        _write(path, images, about)
    return images, about


def folder() -> Path:
    """The folder of the cache."""
    own = os.environ.get(FOLDER)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or os.path.join(home, "diffusion-studio", "pictures")).expanduser()


def _key(files: Sequence[Path], settings: Sequence[Any]) -> str:
    digest = hashlib.sha256(repr((_VERSION, *settings)).encode())
    for path in files:
        about = path.stat()
        digest.update(repr((str(path.resolve()), about.st_size, about.st_mtime_ns)).encode())
    return digest.hexdigest()[:40]


def _open(path: Path, count: int) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The array, and the JSON that follows it in the file (its length is in the last 8 bytes). None if
    unusable.
    """
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
    with suppress(OSError):  # a file of another user can be read but not touched
        os.utime(path)  # mark it as recently used
    return found, about


def _write(path: Path, images: np.ndarray, about: dict[str, Any]) -> None:
    with suppress(OSError):  # the folder may be a file, or not writable
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as file:
            np.save(file, images, allow_pickle=False)
            text = json.dumps(about).encode()
            file.write(text + len(text).to_bytes(8, "little"))
        cached_files = sorted(path.parent.glob("*.npy"), key=lambda one: one.stat().st_mtime, reverse=True)
        total = 0
        for one in cached_files:
            total += one.stat().st_size
            if total > MOST:
                one.unlink()
