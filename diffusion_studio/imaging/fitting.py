"""Conversion of any Pillow image to 8-bit pixels, and fitting of pixels to a size."""

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
    "pad": "centred on the background; a larger picture is an error",
    "crop": "scaled until the shorter side fits; the middle is kept",
    "resize": "scaled until the longer side fits; the rest is filled with the background",
}


@dataclass(frozen=True)
class Pixels:
    """One picture's pixels, (H, W) grey or (H, W, 3) RGB uint8, and how they were read.

    `bits` is the width of the file's values. `transparent`: parts of the picture are transparent and show the
    background. `animated`: this is the first of several frames. `turned`: the picture was rotated or mirrored
    as its EXIF or XMP says. `unturned`: the EXIF or XMP could not be read, so the picture was left as it is.
    """

    array: np.ndarray
    bits: int = 8
    transparent: bool = False
    animated: bool = False
    turned: bool = False
    unturned: bool = False


class Wide(Exception):
    """A picture has more than 8 bits per pixel and `bits` was not given. `most` is its largest value."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


def bits_of(most: int, allowed: Sequence[int] = (8, 10, 12, 14, 16)) -> int:
    """The smallest of the allowed bit widths that can hold the value `most`."""
    return next(bits for bits in allowed if most < 2**bits)


def pixels(picture: Image.Image, background: Colour = (0, 0, 0), bits: int | None = None) -> Pixels:
    """The 8-bit pixels of an opened picture, turned as its EXIF says and composited onto the background.

    Of an animation the first frame is taken. Palettes and CMYK become RGB. Files of 16 and 32 bits do not say
    which value is white: `bits` is the number of bits in use, and `Wide` is raised if it is None. Raises
    `DataError` for pixels without a known scale: floating point, below 0, or beyond 16 bits.
    """
    seen = {"animated": picture.format != "MPO" and getattr(picture, "is_animated", False)}
    # Pillow scales these to 16 bits by the largest value that the file declares
    scaled = picture.format == "PPM"
    wide = picture.format == "PNG" and any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    picture, seen["turned"], seen["unturned"] = _upright(picture)
    if picture.mode == "F":
        raise DataError(
            "its pixels are floating-point numbers, whose value for white is unknown; save it with 8 or 16 "
            "bits"
        )
    if picture.mode.startswith("I"):  # Pillow's own conversion clips these values instead of scaling them
        array, bits = _upper_8_bits(np.asarray(picture), 16 if scaled else bits)
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


# The exceptions that Pillow raises for damaged EXIF and XMP
_METADATA_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    struct.error,
)


def _upright(picture: Image.Image) -> tuple[Image.Image, bool, bool]:
    """The upright picture, whether its EXIF or XMP turned it, and whether these could not be read.

    A picture with damaged metadata is used as it is, because its pixels may be intact.
    """
    from PIL import Image

    picture.load()  # errors of the pixels are raised here, outside the `try` for metadata
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except _METADATA_ERRORS:
        return picture, False, True
    if orientation not in _TRANSPOSES:
        return picture, False, False
    # ImageOps.exif_transpose also rewrites the other metadata, and fails if any of it is damaged
    return picture.transpose(Image.Transpose[_TRANSPOSES[orientation]]), True, False


# The Image.Transpose of Pillow that makes a picture of this EXIF orientation upright
_TRANSPOSES = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def _upper_8_bits(wide: np.ndarray, bits: int | None) -> tuple[np.ndarray, int]:
    """The upper 8 of the lowest `bits` bits of each value, and `bits`. Raises `DataError` or `Wide`."""
    most = int(wide.max(initial=0))
    if wide.min(initial=0) < 0 or most > 65_535:
        raise DataError("its pixels have values below 0 or above 65535; save it with 8 or 16 bits")
    if bits is None:
        raise Wide(most)
    return (wide >> (bits - 8)).astype(np.uint8), bits


def composited(
    rgb: np.ndarray, alpha: np.ndarray, background: Colour, premultiplied: bool = False
) -> np.ndarray:
    """Pixels (..., 3) with alpha (...), both uint8, composited onto a colour: (..., 3) uint8.

    `premultiplied` pixels were already multiplied by alpha.
    """
    share = alpha[..., None].astype(np.float32) / 255
    front = rgb.astype(np.float32) * (1 if premultiplied else share)
    return np.clip(front + (1 - share) * np.array(background, np.float32) + 0.5, 0, 255).astype(np.uint8)


def fitted(image: np.ndarray, size: int, fit: str, background: Colour = (0, 0, 0)) -> np.ndarray:
    """A picture (H, W) or (H, W, C), uint8, brought to size x size by the rule `fit`, see `FITS`.

    Raises `DataError` if the rule is "pad" and the picture is larger.
    """
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
