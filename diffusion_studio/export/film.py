"""The finished pictures of a run one after another, instead of its states: a film from seed to seed, say."""

from __future__ import annotations

from collections.abc import Sequence

from ..imaging.frame import Frame

PICTURE = "picture"  # the part that marks such a frame, for captions


def film(frames: Sequence[Frame], bounce: bool = False) -> list[Frame]:
    """A Frame for each picture of the last state. With `bounce` they come back to the first, which closes
    the loop.
    """
    last = frames[-1]
    count = len(last.x)
    places = [*range(count), *range(count - 2, 0, -1)] if bounce else range(count)
    return [
        Frame(k, count - 1, last.level, last.x[k : k + 1], last.x0[k : k + 1], last.calls, PICTURE)
        for k in places
    ]
