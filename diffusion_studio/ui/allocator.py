"""The C library's allocator, told not to keep a heap for every thread.

glibc gives threads heaps of their own, up to eight for each core, and keeps what was freed in them. Each
run has a thread, and so has each visitor who watches one: of 1.2 GB in the heaps 0.95 were free after a
hundred short runs on two cores. With two heaps it was 0.16 of 0.4 GB, and runs took no longer, as their
arithmetic is made in one thread.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

HEAPS = 2
_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


def limit_heaps() -> bool:
    """Have at most `HEAPS` heaps from here on. Returns whether the C library takes it.

    Nothing is changed where the environment says how many (MALLOC_ARENA_MAX).
    """
    if not sys.platform.startswith("linux") or "MALLOC_ARENA_MAX" in os.environ:
        return False
    library: Any = ctypes.CDLL(None)
    return hasattr(library, "gnu_get_libc_version") and library.mallopt(_ARENA_MAX, HEAPS) == 1


def release() -> None:
    """Give freed memory back to the system, where the C library can. It takes some milliseconds."""
    if sys.platform.startswith("linux"):
        library: Any = ctypes.CDLL(None)
        if hasattr(library, "malloc_trim"):
            library.malloc_trim(0)
