"""The C library has two heaps for all threads, counted in its own report (malloc_info)."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
from diffusion_studio.ui.allocator import limit_heaps, release
limited = limit_heaps() if sys.argv[1] == "limited" else None
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
library.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)
def allocate():
    together.wait()  # each thread that lives takes a heap of its own
    library.free(library.malloc(1000))
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
release()
file = ctypes.c_void_p(library.fopen(sys.argv[2].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
print(limited)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of glibc")
def test_threads_share_two_heaps(tmp_path, monkeypatch):
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    heaps, said = {}, {}
    for how in ("limited", "free"):
        path = tmp_path / how
        done = subprocess.run(
            [sys.executable, "-c", COUNT, how, str(path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        heaps[how], said[how] = path.read_text().count("<heap nr="), done.stdout.strip()
    assert said == {"limited": "True", "free": "None"}
    assert heaps["limited"] <= 2 < heaps["free"]


def test_who_says_how_many_heaps_is_obeyed(monkeypatch):
    from diffusion_studio.ui.allocator import limit_heaps

    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert limit_heaps() is False
