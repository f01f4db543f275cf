"""Animated WebP: lossless, all colours, every state a whole frame (RFC 9649).

Pillow compresses the pixels. The container is assembled here, because libwebp merges equal neighbours into
one frame, and a state of a run must be found again as it was.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import OptionError
from ..imaging.arrays import to_pil
from ..imaging.frame import Frame
from .metadata import WEBP_KEY
from .options import ExportOptions
from .render import Scene
from .timing import durations

_MAX_SIDE = 16_383
_MAX_BYTES = 2**32 - 10
_ANIMATION = 0b10  # flag of the file header
_NO_BLENDING = 0b10  # flag of a frame: its pixels replace those of the frame before


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen states as a WebP that loops for ever. The recipe comes last, in a chunk of its own."""
    scene = Scene.of(frames, options)
    times = durations(len(scene.frames), options.fps, options.hold, 1000)
    with open(path, "wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        for k, picture in enumerate(scene.pictures()):
            height, width = picture.shape[:2]
            if max(height, width) > _MAX_SIDE:
                raise OptionError(
                    "export.scale",
                    f"A WebP has at most {_MAX_SIDE} pixels a side; this one would have {width} x {height}. "
                    "Choose a smaller scale.",
                )
            if k == 0:
                file.write(
                    _chunk(b"VP8X", bytes([_ANIMATION, 0, 0, 0]) + _uint24(width - 1) + _uint24(height - 1))
                )
                file.write(_chunk(b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0)))  # white, for ever
            place = (
                _uint24(0)
                + _uint24(0)
                + _uint24(width - 1)
                + _uint24(height - 1)
                + _uint24(times[k])
                + bytes([_NO_BLENDING])
            )
            file.write(_chunk(b"ANMF", place + _pixels(picture)))
        file.write(_chunk(WEBP_KEY, recipe_json.encode()))
        size = file.tell()
        if size > _MAX_BYTES:
            raise OptionError(
                "export.scale",
                "A WebP has at most 4 GB; this one has more. Choose fewer states or a smaller scale.",
            )
        file.seek(4)
        file.write(struct.pack("<I", size - 8))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _uint24(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def _pixels(picture: np.ndarray) -> bytes:
    """The chunk of pixels, cut out of a lossless still WebP that Pillow writes."""
    buffer = io.BytesIO()
    to_pil(picture).convert("RGB").save(buffer, "WEBP", lossless=True, quality=0, method=0)
    whole, at = buffer.getvalue(), 12
    while True:
        kind, length = struct.unpack_from("<4sI", whole, at)
        end = at + 8 + length + length % 2
        if kind == b"VP8L":
            return whole[at:end]
        at = end
