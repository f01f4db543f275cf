"""A run with another below it: their states are matched by noise level, so that runs of other steps or
spacings compare too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging.arrays import enlarge
from ..imaging.frame import Frame
from .film import PICTURE
from .stagger import STAGGERED

_CLEAN = 1e12  # as far from any noise as nothing else is
_GAP = 24  # the space between the two is this part of the width
Titles = tuple[tuple[str, ...], tuple[str, ...]]
NONE: Titles = ((), ())


@dataclass(frozen=True)
class Pair:
    """A frame of the run above, which it looks like, with the one below; `titles` say what each has
    otherwise.
    """

    above: Frame
    below: Frame
    titles: Titles = NONE

    def __getattr__(self, name: str) -> Any:
        return getattr(self.above, name)


def layers(frame: Any) -> tuple[Frame, ...]:
    """The frame alone, or of a `Pair` the one above and the one below."""
    return (frame.above, frame.below) if isinstance(frame, Pair) else (frame,)


def paired(frames: Sequence[Frame], others: Sequence[Frame], titles: Titles = NONE) -> list[Pair]:
    """Each of `frames` with the one of `others` whose noise is nearest to its own; the first with the
    first, the finished with the finished. Of films of pictures each with the one as far on its way.
    """
    return [Pair(frame, others[at], titles) for frame, at in zip(frames, matched(frames, others))]


def matched(frames: Sequence[Frame], others: Sequence[Frame]) -> list[int]:
    """For each of `frames` a place in `others`."""
    last = len(others) - 1
    shares = [k / max(len(frames) - 1, 1) for k in range(len(frames))]
    if frames[-1].part == PICTURE or frames[-1].part.startswith(STAGGERED):
        return [round(share * last) for share in shares]
    ways = np.array([k / max(last, 1) for k in range(last + 1)])
    noise = np.array([_log_snr(other) for other in others])
    return [
        0
        if k == 0 and len(frames) > 1
        else int(
            np.argmin(np.abs(noise - _log_snr(frame)) + 1e-9 * np.abs(ways - share))
        )  # where it is there twice
        for k, (frame, share) in enumerate(zip(frames, shares))
    ]


def _log_snr(frame: Frame) -> float:
    return float(np.clip(frame.level.log_snr, -_CLEAN, _CLEAN))


def stacked(above: np.ndarray, below: np.ndarray, paper: int) -> np.ndarray:
    """(H, W, C): one (H, W, C) canvas above the other on the grey `paper`, the narrower enlarged by a
    whole number and centred.
    """
    width = max(above.shape[1], below.shape[1])
    channels = max(above.shape[2], below.shape[2])

    def laid(canvas: np.ndarray) -> np.ndarray:
        canvas = enlarge(canvas, width // canvas.shape[1])
        canvas = canvas if canvas.shape[2] == channels else np.repeat(canvas, channels, axis=2)
        side = width - canvas.shape[1]
        return np.pad(canvas, [(0, 0), (side // 2, side - side // 2), (0, 0)], constant_values=paper)

    return np.concatenate(
        [laid(above), np.full((max(1, width // _GAP), width, channels), paper, np.uint8), laid(below)]
    )
