"""Two runs in one export, one above the other. Their states are matched by noise level, so that runs with
different steps or spacings can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging.arrays import enlarge
from ..imaging.frame import Frame
from .slideshow import PICTURE
from .stagger import STAGGERED

_CLEAN = 1e12  # bound that replaces an infinite log-SNR, so that distances stay finite
_GAP = 24  # the gap between the two is the width divided by this
Titles = tuple[tuple[str, ...], tuple[str, ...]]
NONE: Titles = ((), ())


@dataclass(frozen=True)
class Pair:
    """A frame of the run above, whose attributes it has, together with one of the run below.

    `titles` hold for each run the settings in which it differs from the other.
    """

    above: Frame
    below: Frame
    titles: Titles = NONE

    def __getattr__(self, name: str) -> Any:
        return getattr(self.above, name)


def layers(frame: Any) -> tuple[Frame, ...]:
    """The frames in a frame: itself, or for a `Pair` the one above and the one below."""
    return (frame.above, frame.below) if isinstance(frame, Pair) else (frame,)


def paired(frames: Sequence[Frame], others: Sequence[Frame], titles: Titles = NONE) -> list[Pair]:
    """Pair each of `frames` with the matching one of `others`, see `matched`."""
    return [Pair(frame, others[at], titles) for frame, at in zip(frames, matched(frames, others))]


def matched(frames: Sequence[Frame], others: Sequence[Frame]) -> list[int]:
    """For each of `frames` the index in `others` of the frame nearest in log-SNR.

    The first frame is matched with the first, the last with the last. In slideshows and staggered runs,
    frames are matched by their share of the way instead.
    """
    last = len(others) - 1
    shares = [k / max(len(frames) - 1, 1) for k in range(len(frames))]
    if frames[-1].part == PICTURE or frames[-1].part.startswith(STAGGERED):
        return [round(share * last) for share in shares]
    other_shares = np.array([k / max(last, 1) for k in range(last + 1)])
    noise = np.array([_log_snr(other) for other in others])
    return [
        0
        if k == 0 and len(frames) > 1
        else int(
            # the second term decides between equal levels
            np.argmin(np.abs(noise - _log_snr(frame)) + 1e-9 * np.abs(other_shares - share))
        )
        for k, (frame, share) in enumerate(zip(frames, shares))
    ]


def _log_snr(frame: Frame) -> float:
    return float(np.clip(frame.level.log_snr, -_CLEAN, _CLEAN))


def stacked(above: np.ndarray, below: np.ndarray, paper: int) -> np.ndarray:
    """One canvas (H, W, C) above another, on paper of grey `paper`. The narrower one is enlarged by a
    whole number and centred.
    """
    width = max(above.shape[1], below.shape[1])
    channels = max(above.shape[2], below.shape[2])

    def fit_width(canvas: np.ndarray) -> np.ndarray:
        canvas = enlarge(canvas, width // canvas.shape[1])
        canvas = canvas if canvas.shape[2] == channels else np.repeat(canvas, channels, axis=2)
        side = width - canvas.shape[1]
        return np.pad(canvas, [(0, 0), (side // 2, side - side // 2), (0, 0)], constant_values=paper)

    return np.concatenate(
        [
            fit_width(above),
            np.full((max(1, width // _GAP), width, channels), paper, np.uint8),
            fit_width(below),
        ]
    )
