"""Animated GIF: one palette for all states, exact durations, every state a whole frame.

Pillow compresses the pixels. The container is assembled here, because Pillow merges equal neighbours into one
frame and stores only the changed part of each, and a state of a run must be found again as it was.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import OptionError
from ..imaging.frame import Frame
from .options import ExportOptions
from .render import WHITE, Scene
from .timing import durations

_TICKS = 100  # per second; browsers play frames of fewer than 2 ticks at 10, so 50 fps is the limit
_TEXT_GREYS = 8  # palette entries for the soft edges of a caption
_SAMPLE = 1 << 15  # pixels from which a palette is computed
_ROUNDS = 6  # of k-means; more make no visible difference
_MAX_SIDE = 65_535


def write(frames: Sequence[Frame], path: Path, recipe_json: str, options: ExportOptions) -> None:
    """Write the chosen states as a GIF that loops for ever. Grey is exact; colours share a palette of 256."""
    scene = Scene.of(frames, options)
    count = len(scene.frames)
    if scene.native(-1).shape[-1] == 1:
        colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        greys = np.arange(256, dtype=np.uint8)
        indices = (scene.native(k)[..., 0] for k in range(count))
    else:
        colours, greys = shared_palette(scene)
        indices = indexed(scene, colours)
    ticks = durations(count, options.fps, options.hold, _TICKS)
    with open(path, "wb") as file:
        for k, native in enumerate(indices):
            picture = scene.finish(native, k, greys)
            if k == 0:
                file.write(_header(picture.shape, colours, recipe_json))
            file.write(_frame(picture, ticks[k]))
        file.write(b";")


def shared_palette(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The palette for all canvases, (256, 3) uint8, and the index (256,) of each grey 0..255 for captions.

    Four fifths of the sampled pixels are from the last frame, which people look at longest and in which bands
    are visible; noise looks the same in coarser colours.
    """
    from PIL import Image

    sample = _sample(scene)
    ramp = np.repeat(
        np.linspace(0, WHITE, _TEXT_GREYS if scene.options.caption else 2).round()[:, None], 3, axis=1
    )
    free = 256 - len(ramp)
    start = Image.fromarray(sample[None]).quantize(free, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    centres = np.array(start.getpalette(), dtype=np.float32).reshape(-1, 3)[:free]
    points, weights = np.unique(sample, axis=0, return_counts=True)
    points = points.astype(np.float32)
    for _ in range(_ROUNDS):
        nearest = _nearest(points, centres)
        mass = np.bincount(nearest, weights, len(centres))
        sums = np.stack(
            [np.bincount(nearest, weights * points[:, c], len(centres)) for c in range(3)], axis=1
        )
        centres = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1)[:, None], centres).astype(np.float32)
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(ramp)] = ramp
    colours[len(ramp) : len(ramp) + len(centres)] = centres.round()
    greys = _nearest(np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1), ramp.astype(np.float32))
    return colours, greys.astype(np.uint8)


def _sample(scene: Scene) -> np.ndarray:
    """Pixels (n, 3) uint8: four fifths from the last frame, a tenth from the last quarter, a tenth from
    all.
    """
    random = np.random.default_rng(0)
    count = len(scene.frames)
    samples = []
    for group, share in ((1, 0.8), (count // 4 + 1, 0.1), (count, 0.1)):
        each = math.ceil(_SAMPLE * share / group)
        for k in range(count - group, count):
            pixels = scene.native(k).reshape(-1, 3)
            samples.append(pixels[random.integers(0, len(pixels), each)])
    return np.concatenate(samples)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The index (n,) of the nearest of the centres (k, 3) for each of the points (n, 3), both float32."""
    result = np.empty(len(points), np.intp)
    lengths = (centres**2).sum(axis=1) / 2
    for at in range(0, len(points), 4096):  # blocks that stay in the processor's cache
        result[at : at + 4096] = (lengths - points[at : at + 4096] @ centres.T).argmin(axis=1)
    return result


def indexed(scene: Scene, colours: np.ndarray) -> Iterator[np.ndarray]:
    """For each canvas (H, W, 3) the indices (H, W) of the nearest of the colours (256, 3), without dithering.

    Pillow decides once for each cell of 4 x 4 x 4 colours, which is fast and good enough for noise. The last
    canvas, which stays on the screen, is decided exactly.
    """
    from PIL import Image

    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.tobytes())
    last = scene.native(-1).astype(np.int32)
    codes, where, often = np.unique(
        last[..., 0] << 16 | last[..., 1] << 8 | last[..., 2], return_inverse=True, return_counts=True
    )
    points = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.float32)
    indices = _nearest(points, colours.astype(np.float32)).astype(np.uint8)
    # the background colours must get the same index in all canvases, or they flicker
    grounds = [(points[k].astype(np.uint8), indices[k]) for k in often.argsort()[-2:]]
    for k in range(len(scene.frames) - 1):
        native = scene.native(k)
        quick = np.array(Image.fromarray(native).quantize(palette=palette, dither=Image.Dither.NONE))
        for ground, index in grounds:
            same = [native[..., channel] == ground[channel] for channel in range(3)]
            quick[same[0] & same[1] & same[2]] = index  # ten times as fast as (native == ground).all(-1)
        yield quick
    yield indices[where].reshape(last.shape[:2])


def _header(shape: tuple[int, ...], colours: np.ndarray, recipe_json: str) -> bytes:
    """Signature, screen descriptor with 256 colours, endless loop, and the recipe as a comment."""
    height, width = shape
    if max(height, width) > _MAX_SIDE:
        raise OptionError(
            "export.scale",
            f"A GIF has at most {_MAX_SIDE} pixels a side; this one would have {width} x {height}. "
            "Choose a smaller scale.",
        )
    screen = struct.pack("<HHBBB", width, height, 0b1_111_0_111, 0, 0)
    loop = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    comment = b"!\xfe" + _sub_blocks(recipe_json.encode())
    return b"GIF89a" + screen + colours.tobytes() + loop + comment


def _sub_blocks(data: bytes) -> bytes:
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _frame(indices: np.ndarray, ticks: int) -> bytes:
    """Graphic control extension and image of palette indices (H, W)."""
    control = b"!\xf9" + struct.pack("<BBHBB", 4, 0b100, ticks, 0, 0)  # 0b100: keep the picture
    return control + _compressed(indices)


def _compressed(indices: np.ndarray) -> bytes:
    """Image descriptor and LZW data, cut out of a one-frame GIF that Pillow writes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(indices).save(buffer, "GIF", optimize=False, interlace=0)
    whole = buffer.getvalue()
    at = 13 + (3 << (whole[10] & 7) + 1 if whole[10] & 0x80 else 0)
    if whole[at : at + 1] != b"," or whole[at + 9] & 0x80:
        raise RuntimeError("Pillow wrote a GIF that is not one global palette and one image.")
    return whole[at:-1]
