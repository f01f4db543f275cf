"""MP4: H.264 that every browser, phone and slide program plays, through imageio and its bundled ffmpeg."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import ExportError
from ..imaging.frame import Frame
from .metadata import MP4_ID, mp4_is_whole
from .options import ExportOptions
from .render import Scene

# 4:2:0 is the only subsampling that QuickTime and phones play. The tags name the colour matrix: without them
# players guess it from the picture's height, and colours shift.
_COLOURS = [
    "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_inp",
    "format=yuv420p",
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv",
]
_MAX_COMMENT = 16_000  # bytes: it is passed on ffmpeg's command line, which Windows cuts at 32,767 letters
_QUALITY = ["-crf", "16", "-preset", "veryfast"]


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen states as a video; the last one is repeated for `hold` seconds.

    An odd width or height is padded by repeating the last pixels, never resized. Raises `ExportError` if
    ffmpeg is missing or fails.
    """
    import imageio.v2 as imageio

    scene = Scene.of(frames, options)
    large = len(recipe_json.encode()) > _MAX_COMMENT
    repeats = max(1, round(options.hold * options.fps)) - 1
    filters = [f"tpad=stop={repeats}:stop_mode=clone"] if repeats else []
    try:
        with imageio.get_writer(
            path,
            format="FFMPEG",  # pyright: ignore[reportArgumentType]  imageio takes names, its types do not
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=1,
            quality=None,
            fps=Fraction(options.fps).limit_denominator(1000),
            ffmpeg_log_level="error",
            output_params=[
                "-vf",
                ",".join([*filters, *_COLOURS]),
                *_QUALITY,
                "-movflags",
                "+faststart",
                *([] if large else ["-metadata", f"comment={recipe_json}"]),
                "-f",
                "mp4",
            ],
        ) as writer:
            for picture in scene.pictures():
                writer.append_data(_even(picture))  # pyright: ignore[reportAttributeAccessIssue]
    except (OSError, RuntimeError) as error:
        raise ExportError(
            "ffmpeg could not make the video. If the disk has room, reinstall imageio-ffmpeg, or export "
            f"a GIF. It said: {str(error).strip().partition(chr(10))[0]}"
        ) from error
    if not mp4_is_whole(path):  # imageio ignores ffmpeg's exit status
        raise ExportError(
            "ffmpeg did not finish the video, most likely because the disk is full. Make room, choose "
            "another folder or a smaller scale."
        )
    if large:
        text = MP4_ID + recipe_json.encode()
        with open(path, "ab") as file:
            file.write(struct.pack(">I4s", len(text) + 8, b"uuid") + text)


def _even(picture: np.ndarray) -> np.ndarray:
    """The (H, W, C) picture with its last row and column repeated if needed: 4:2:0 requires even sizes."""
    height, width, _ = picture.shape
    return np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
