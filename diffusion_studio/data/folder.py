"""A folder of image files; sub-folders, where there are any, are the labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_NAMED = 3


def read(folder: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """((N, H, W, C) uint8, labels or None, label names). Grey if every file is; all must have one size."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}), nor gzipped idx files.")
    names = tuple(sorted({p.relative_to(folder).parts[0] for p in files if p.parent != folder}))
    if names and any(p.parent == folder for p in files):
        raise DataError(f"{folder} holds images both in sub-folders, which name their labels, and beside them. "
                        "Move all into sub-folders, or all out of them.")
    images = _decode(files)
    labels = np.array([names.index(p.relative_to(folder).parts[0]) for p in files]) if names else None
    return images, labels, names


def _pixels(picture: Image.Image) -> np.ndarray:
    """(H, W) grey or (H, W, 3) uint8."""
    if picture.mode.startswith("I"):                # 16 bits a pixel, which Pillow would clip and not scale
        return (np.asarray(picture) >> 8).astype(np.uint8)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB"))


def _decode(files: list[Path]) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    pictures, broken = [], []
    for path in files:
        try:
            with Image.open(path) as picture:
                pictures.append(_pixels(picture))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            broken.append(f"{path}: {error}")
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise DataError(f"{len(broken)} of {len(files)} images cannot be read: {'; '.join(broken[:_NAMED])}{more}.")
    sizes = {p.shape[:2] for p in pictures}
    if len(sizes) > 1:
        listed = ", ".join(f"{w}x{h}" for h, w in sorted(sizes)[:_NAMED])
        raise DataError(f"The images have {len(sizes)} different sizes ({listed}, ...). Bring them to one size first.")
    if all(p.ndim == 2 for p in pictures):
        return np.stack(pictures)[..., None]
    return np.stack([p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures])
