"""Durations of the frames of an animation."""

from __future__ import annotations


def durations(count: int, fps: float, hold: float, per_second: int) -> list[int]:
    """The durations of `count` frames in ticks of 1/per_second s. The last frame stays `hold` seconds, if
    that is longer.

    Each frame *ends* at the tick nearest to its exact time, so rounding errors do not add up.
    """
    ends = [k / fps for k in range(count)] + [(count - 1) / fps + max(hold, 1 / fps)]
    ticks = [int(per_second * end + 0.5) for end in ends]
    return [to - now for now, to in zip(ticks, ticks[1:])]
