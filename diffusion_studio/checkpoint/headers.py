"""A cache of inspections: a checkpoint is inspected again only if its files changed."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .folders import higher_folders, weight_file
from .readers import Inspection, inspect

MOST_KEPT = 256


class Headers:
    """A cache of the last `most` inspections, by path and flags. Safe to use from several threads.

    An inspection is reused while the weight file, and all weight and JSON files in the folders that an
    inspection reads, keep their names, inodes, sizes and modification times. Errors are not cached.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.most = most
        self._kept: OrderedDict[tuple[Path, str], tuple[object, Inspection]] = OrderedDict()
        self._lock = threading.Lock()

    def inspect(self, path: str | Path, flags: Mapping[str, Any] | None = None) -> Inspection:
        """As `readers.inspect`, but opens no file if nothing changed."""
        path = weight_file(path)
        key, state = (path, repr(sorted((flags or {}).items()))), _file_state(path)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] == state:
                self._kept.move_to_end(key)
                return kept[1]
        found = inspect(path, flags)
        with self._lock:
            self._kept[key] = state, found
            self._kept.move_to_end(key)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return found


def _file_state(path: Path) -> tuple[Any, ...]:
    """A value that changes if a checkpoint, its configurations or its variants change."""
    roots = [path.parent, *higher_folders(path.parent)]
    folders = [one for root in roots for one in (root, root / "unet", root / "scheduler")]
    return (_stamp(path), *(stamp for folder in dict.fromkeys(folders) for stamp in _stamps(folder)))


def _stamps(folder: Path) -> Iterator[tuple[Any, ...]]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(one.path for one in entries if one.name.endswith((".safetensors", ".json")))
    except OSError:  # no such folder
        return
    for name in names:
        yield _stamp(name)


def _stamp(path: str | Path) -> tuple[Any, ...]:
    try:
        found = os.stat(path)
    except OSError:  # a dangling link, or deleted in the meantime
        return (str(path),)
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
