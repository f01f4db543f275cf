"""One picture of whatever kind to 8-bit pixels, and to the size that is asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .arrays import Colour

if TYPE_CHECKING:
    from PIL import Image

FITS = {
    "pad": "centred on the background; larger ones are an error",
    "crop": "scaled until the shorter side fits, and the middle kept",
    "resize": "scaled until the longer side fits, and the rest filled with the background",
}


@dataclass(frozen=True)
class Pixels:
    """(H, W) grey or (H, W, 3) uint8 of one picture, and what was done to them.

    `bits` of the file's values where these are more than 8 wide; whether something shows through
    `transparent` parts, the first of several frames was taken (`animated`), the picture was `turned` as its
    EXIF says, or that could not be read (`unturned`).
    """

    array: np.ndarray
    bits: int = 8
    transparent: bool = False
    animated: bool = False
    turned: bool = False
    unturned: bool = False


class Wide(Exception):
    """A picture of more than 8 bits a pixel whose scale was not given; `most` is its largest value."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


def bits_of(most: int, allowed: Sequence[int] = (8, 10, 12, 14, 16)) -> int:
    """The fewest of these bits in which a largest value fits."""
    return next(bits for bits in allowed if most < 2**bits)


def pixels(picture: Image.Image, background: Colour = (0, 0, 0), bits: int | None = None) -> Pixels:
    """The pixels of an opened picture, turned as its EXIF says, alpha laid on the background.

    Of an animation the first frame; palettes and CMYK become RGB. Files of 16 and 32 bits do not say which
    value is white: `bits` says how many count, and `Wide` is raised where it is None. A `DataError` for
    pixels that have no scale (floating point, below 0, beyond 16 bits).
    """
    seen = {"animated": picture.format != "MPO" and getattr(picture, "is_animated", False)}
    # Pillow brings those to 16 bits by the file's own largest value
    scaled = picture.format == "PPM"
    wide = picture.format == "PNG" and any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    picture, seen["turned"], seen["unturned"] = _upright(picture)
    if picture.mode == "F":
        raise DataError(
            "its pixels are floating-point numbers, which have no known white; save it with 8 or 16 bits"
        )
    if picture.mode.startswith("I"):  # which Pillow would clip and not scale
        array, bits = _narrowed(np.asarray(picture), 16 if scaled else bits)
        return Pixels(array, bits, **seen)
    grey = picture.mode in ("1", "L", "LA", "La") and len(set(background)) == 1
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        laid = composited(rgba[..., :3], rgba[..., 3], background)
        return Pixels(
            laid[..., 0] if grey else laid, 16 if wide else 8, bool((rgba[..., 3] < 255).any()), **seen
        )
    array = np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
    return Pixels(array, 16 if wide else 8, **seen)


# What Pillow's readers of EXIF and XMP raise for damaged ones
_DAMAGED = (OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, EOFError, struct.error)


def _upright(picture: Image.Image) -> tuple[Image.Image, bool, bool]:
    """The picture turned as its EXIF or XMP says, whether that turned it, and whether it could not be told:
    damaged notes about a picture are no reason to refuse its pixels."""
    from PIL import Image

    picture.load()  # a fault of the pixels is no fault of the notes
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except _DAMAGED:
        return picture, False, True
    if orientation not in _TURNS:
        return picture, False, False
    # not ImageOps.exif_transpose, which also writes the other notes anew and fails where one of them is
    # damaged
    return picture.transpose(Image.Transpose[_TURNS[orientation]]), True, False


# What brings a picture of this EXIF orientation upright, by the names of Pillow's Image.Transpose
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def _narrowed(wide: np.ndarray, bits: int | None) -> tuple[np.ndarray, int]:
    """The upper 8 of the `bits` lowest bits."""
    most = int(wide.max(initial=0))
    if wide.min(initial=0) < 0 or most > 65_535:
        raise DataError("its pixels have more than 16 bits or a sign; save it with 8 or 16 bits")
    if bits is None:
        raise Wide(most)
    return (wide >> (bits - 8)).astype(np.uint8), bits


def composited(
    rgb: np.ndarray, alpha: np.ndarray, background: Colour, premultiplied: bool = False
) -> np.ndarray:
    """(..., 3) and (...) uint8 on a colour, as (..., 3) uint8. Premultiplied ones lie on black already."""
    share = alpha[..., None].astype(np.float32) / 255
    front = rgb.astype(np.float32) * (1 if premultiplied else share)
    return np.clip(front + (1 - share) * np.array(background, np.float32) + 0.5, 0, 255).astype(np.uint8)


def fitted(image: np.ndarray, size: int, fit: str, background: Colour = (0, 0, 0)) -> np.ndarray:
    """One (H, W) or (H, W, C) uint8 picture brought to size x size; see FITS."""
    height, width = image.shape[:2]
    if fit != "pad":
        scale = size / (min if fit == "crop" else max)(height, width)
        image = _scaled(image, max(1, round(width * scale)), max(1, round(height * scale)))
        height, width = image.shape[:2]
    elif max(height, width) > size:
        raise DataError(
            f"it is {width}x{height}, larger than {size}x{size}; ask for the fit 'crop' or 'resize'"
        )
    top, left = max(height - size, 0) // 2, max(width - size, 0) // 2
    image = image[top : top + size, left : left + size]
    height, width = image.shape[:2]
    whole = np.empty((size, size, *image.shape[2:]), np.uint8)
    whole[:] = background if image.shape[2:] == (3,) else round(sum(background) / 3)
    top, left = (size - height) // 2, (size - width) // 2
    whole[top : top + height, left : left + width] = image
    return whole


def _scaled(image: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    if (width, height) == image.shape[1::-1]:
        return image
    flat = image[..., 0] if image.shape[2:] == (1,) else image
    shape = (height, width, *image.shape[2:])
    return np.asarray(Image.fromarray(flat).resize((width, height), Image.Resampling.LANCZOS)).reshape(shape)
