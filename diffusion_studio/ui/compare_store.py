"""The finished races and grids of each visitor, for switching between them and for files."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ..compare.grid import Grid
from ..compare.race import Race

MOST_BYTES = 1536 << 20  # of all visitors together; the oldest go first


class KeptRuns:
    """The last race and the last grid of each visitor."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._made: OrderedDict[tuple[str, str], Race | Grid] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, visitor: str, kind: str, made: Race | Grid) -> None:
        """Keep it in place of the visitor's last of its kind. The newest is always kept."""
        with self._lock:
            self._made.pop((visitor, kind), None)
            self._made[visitor, kind] = made
            while len(self._made) > 1 and sum(map(_bytes, self._made.values())) > self.most_bytes:
                self._made.popitem(last=False)

    def get(self, visitor: str, kind: str) -> Race | Grid | None:
        with self._lock:
            return self._made.get((visitor, kind))

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        with self._lock:
            for key in [key for key in self._made if key[0] == visitor]:
                del self._made[key]


def _bytes(made: Race | Grid) -> int:
    return sum(frame.nbytes for lane in made.lanes for frame in lane.frames)
