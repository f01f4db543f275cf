"""Staggered runs: each picture starts some steps after the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..imaging.frame import Frame

STAGGERED = "one after another"  # begin of `Frame.part` of such a frame


class Staggered(Sequence[Frame]):
    """The states of a run in which picture k is `delay` * k states behind picture 0.

    A picture that has not begun shows its first state, one that is finished its last. States are assembled
    when they are asked for, so nothing is stored beside the run. The level is that of picture 0.
    """

    def __init__(self, frames: Sequence[Frame], delay: int):
        self.frames, self.delay = frames, delay

    def __len__(self) -> int:
        return len(self.frames) + self.delay * (len(self.frames[-1].x) - 1)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        last = len(self.frames) - 1
        sources = [
            self.frames[min(max(place - k * self.delay, 0), last)] for k in range(len(self.frames[-1].x))
        ]
        part = f"{STAGGERED}, {self.delay} step{'s' * (self.delay != 1)} apart"
        return replace(
            sources[0],
            index=place,
            total=len(self) - 1,
            x=np.stack([frame.x[k] for k, frame in enumerate(sources)]),
            x0=np.stack([frame.x0[k] for k, frame in enumerate(sources)]),
            calls=max(frame.calls for frame in sources),
            part=part,
        )
