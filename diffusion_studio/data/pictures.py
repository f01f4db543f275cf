"""One picture of whatever kind to 8-bit pixels, and to the size that is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, OptionError

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
FITS = {
    "pad": "centred on the background; larger ones are an error",
    "crop": "scaled until the shorter side fits, and the middle kept",
    "resize": "scaled until the longer side fits, and the rest filled with the background",
}
_COLOURS = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255)}


def colour(text: str) -> Colour:
    """black, grey, white or #rrggbb as three bytes."""
    if text in _COLOURS:
        return _COLOURS[text]
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise OptionError(f"A background is {', '.join(_COLOURS)} or #rrggbb, got {text!r}.")
    return tuple(bytes.fromhex(text[1:]))


def pixels(picture: Image.Image, background: Colour = (0, 0, 0)) -> np.ndarray:
    """(H, W) grey or (H, W, 3) uint8 of an opened picture, turned as its EXIF says, alpha laid on the background.

    Of an animation the first frame; 16 bits lose their lower half; palettes and CMYK become RGB. A `DataError` for
    pixels that have no scale (floating point, beyond 16 bits).
    """
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise DataError("its pixels are floating-point numbers, which have no known white; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):                # 16 bits a pixel, which Pillow would clip and not scale
        wide = np.asarray(picture)
        if wide.min(initial=0) < 0 or wide.max(initial=0) > 65_535:
            raise DataError("its pixels have more than 16 bits; save it with 8 or 16 bits")
        return (wide >> 8).astype(np.uint8)
    grey = picture.mode in ("1", "L", "LA", "La") and len(set(background)) == 1
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        laid = composited(rgba[..., :3], rgba[..., 3], background)
        return laid[..., 0] if grey else laid
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def composited(rgb: np.ndarray, alpha: np.ndarray, background: Colour, premultiplied: bool = False) -> np.ndarray:
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
        raise DataError(f"it is {width}x{height}, larger than {size}x{size}; ask for the fit 'crop' or 'resize'")
    top, left = max(height - size, 0) // 2, max(width - size, 0) // 2
    image = image[top:top + size, left:left + size]
    height, width = image.shape[:2]
    whole = np.empty((size, size, *image.shape[2:]), np.uint8)
    whole[:] = background if image.shape[2:] == (3,) else round(sum(background) / 3)
    top, left = (size - height) // 2, (size - width) // 2
    whole[top:top + height, left:left + width] = image
    return whole


def _scaled(image: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    if (width, height) == image.shape[1::-1]:
        return image
    flat = image[..., 0] if image.shape[2:] == (1,) else image
    shape = (height, width, *image.shape[2:])
    return np.asarray(Image.fromarray(flat).resize((width, height), Image.Resampling.LANCZOS)).reshape(shape)
