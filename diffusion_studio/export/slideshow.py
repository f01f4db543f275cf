"""The finished pictures of a run one after another, instead of its states, such as a film from seed to
seed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..imaging.frame import Frame

PICTURE = "picture"  # `Frame.part` of such a frame


def slideshow(frames: Sequence[Frame], bounce: bool = False) -> list[Frame]:
    """A Frame for each picture of the last state. With `bounce` they also run backwards, which closes the
    loop.
    """
    last = frames[-1]
    count = len(last.x)
    order = [*range(count), *range(count - 2, 0, -1)] if bounce else range(count)
    return [
        Frame(k, count - 1, last.level, last.x[k : k + 1], last.x0[k : k + 1], last.calls, PICTURE)
        for k in order
    ]
