"""Numpy archives of images and labels, under the names that are in use for them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError

_IMAGES = {"train": ("x_train", "train_images", "images", "image", "x", "arr_0"), "test": ("x_test", "test_images")}
_LABELS = {"train": ("y_train", "train_labels", "labels", "label", "y", "arr_1"), "test": ("y_test", "test_labels")}


def read(path: Path, split: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(N, H, W, C) uint8 and (N,) int64 labels, or None where the archive has none. No pickled arrays."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            name = next((n for n in _IMAGES[split] if n in archive), None)
            if name is None:
                raise DataError(f"{path} has no {split} images under any of the names {', '.join(_IMAGES[split])}; "
                                f"it holds {', '.join(archive.files) or 'nothing'}.")
            images = archive[name]
            labels = next((archive[n] for n in _LABELS[split] if n in archive), None)
    # TypeError: what numpy opened is a bare array, not an archive
    except (OSError, ValueError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a numpy archive: {error}") from error
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype != np.uint8 or not len(images):
        raise DataError(f"{name} in {path} is {images.dtype} {images.shape}; wanted uint8 (N, H, W) or (N, H, W, C) "
                        "with 1 or 3 channels and at least one image.")
    if labels is None:
        return images, None
    labels = labels.reshape(-1)
    if len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError(f"The labels in {path} are {labels.dtype} {labels.shape} for {len(images)} images; "
                        "wanted one whole number of at least 0 for each.")
    return images, labels.astype(np.int64)
