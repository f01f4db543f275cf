"""A folder of image files; sub-folders, where there are any, are the labels, and texts beside them the captions."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import captions
from .cache import cached
from .imagedata import ImageData
from .pictures import Colour, fitted, pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_NAMED = 3
# what Pillow's decoders raise for bytes that are not what their header says; our DataError is a ValueError
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error)


def read(folder: Path, size: int | None = None, fit: str = "pad", background: Colour = (0, 0, 0)) -> ImageData:
    """Every picture of the folder. Grey if every file is. Without a `size` all must have one already. What took long to
    decode is kept on disk (`cache`).

    A `DataError` counts and names the files that cannot be read, the sizes, and the pictures without captions.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}), nor gzipped idx files.")
    names = tuple(sorted({p.relative_to(folder).parts[0] for p in files if p.parent != folder}))
    if names and any(p.parent == folder for p in files):
        raise DataError(f"{folder} holds images both in sub-folders, which name their labels, and beside them. "
                        "Move all into sub-folders, or all out of them.")
    texts = captions.read(folder, files)            # before the pictures: what is missing is said at once
    images = cached(files, (size, fit, background), lambda: _decode(files, size, fit, background))
    labels = np.array([names.index(p.relative_to(folder).parts[0]) for p in files]) if names else None
    return ImageData(images, labels, names, texts)


def _decode(files: list[Path], size: int | None, fit: str, background: Colour) -> np.ndarray:
    from PIL import Image

    pictures, broken = [], []
    for path in files:
        try:
            with Image.open(path) as picture:
                made = pixels(picture, background)
                pictures.append(made if size is None else fitted(made, size, fit, background))
        except (*_BROKEN, Image.DecompressionBombError) as error:
            broken.append(f"{path}: {error}")
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise DataError(f"{len(broken)} of {len(files)} images cannot be used: {'; '.join(broken[:_NAMED])}{more}.")
    sizes = Counter(p.shape[:2] for p in pictures)
    if len(sizes) > 1:
        listed = ", ".join(f"{count:,} of {w}x{h}" for (h, w), count in sizes.most_common(_NAMED))
        more = ", ..." if len(sizes) > _NAMED else ""
        raise DataError(f"The images have {len(sizes)} different sizes ({listed}{more}). Bring them to one size first, or "
                        "ask for a size and the fit 'crop' or 'resize'.")
    if all(p.ndim == 2 for p in pictures):
        return np.stack(pictures)[..., None]
    return np.stack([p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures])
