"""What the benchmarks share. Importing it puts this checkout on the path, so that they measure it and no
other.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def seconds(run: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes."""
    start = clock()
    run()
    return clock() - start


def interleaved(
    runs: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each repeat of each run. They take turns, in an order that also turns, so that what the
    machine does besides falls on all alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for k in range(repeats):
        for name in names if k % 2 == 0 else names[::-1]:
            taken[name].append(seconds(runs[name], clock))
    return taken


def spread(taken: list[float]) -> str:
    """Median and range, for people."""
    return f"{statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f}, {len(taken)} runs)"


def against(measured: float, target: float) -> str:
    """The target, and whether a measurement where less is better meets it."""
    return f"target <= {target:g}: {'met' if measured <= target else 'MISSED'}"
