"""Numpy archives of images, labels and captions, under the names in common use."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..imaging.arrays import Colour
from ..imaging.fitting import composited
from .imagedata import ImageData, ReadReport

_IMAGES = {
    "train": ("x_train", "train_images", "images", "image", "x", "arr_0"),
    "test": ("x_test", "test_images"),
}
_LABELS = {
    "train": ("y_train", "train_labels", "labels", "label", "y", "arr_1", "style"),
    "test": ("y_test", "test_labels"),
}
_NAMES = ("classes", "label_names", "style_names")
_CAPTIONS = {"train": ("captions", "caption", "text"), "test": ("test_captions",)}
_LISTED = "|"  # between the keywords of one picture


def read(path: Path, split: str, background: Colour = (0, 0, 0)) -> ImageData:
    """Read uint8 images (N, H, W, C) and what belongs to them. Pickled arrays are refused.

    - labels: whole numbers. Their names, if any, are in `classes`, `label_names` or `style_names`.
    - captions: texts (N,) or (N, k); or `emoji_id` (N,) that numbers rows of `name` and `keywords`, from
      which several captions are made.
    - `alpha` (N, H, W): opacity of images that are premultiplied on black. RGBA images are composited.
    - `is_dup` (N,): true for pictures to leave out.

    Raises `DataError` if the archive cannot be read or its arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            name = next((n for n in _IMAGES[split] if n in archive), None)
            if name is None:
                raise DataError(
                    f"{path} has no {split} images under any of the names {', '.join(_IMAGES[split])}; "
                    f"it holds {', '.join(archive.files) or 'nothing'}."
                )
            images = archive[name]
            labels = next((archive[n] for n in _LABELS[split] if n in archive), None)
            extra = {
                n: archive[n]
                for n in (*_NAMES, *_CAPTIONS[split], "emoji_id", "name", "keywords", "alpha", "is_dup")
                if n in archive
            }
    # TypeError: the file holds a bare array and is no archive
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a numpy archive: {error}") from error
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or images.dtype != np.uint8 or not len(images):
        raise DataError(
            f"{name} in {path} is {images.dtype} {images.shape}; wanted uint8 (N, H, W) or (N, H, W, C) "
            "with 1 or 3 channels, or 4 with alpha, and at least one image."
        )
    images = _on_background(images, extra.get("alpha"), background)
    labels, names = _labels(path, images, labels, extra)
    captions = _captions(path, images, split, extra)
    notes = [] if captions else _unread_captions(split, extra)
    found = ImageData(images, labels, names, captions)
    if extra.get("is_dup", images).shape == (len(images),):
        kept = np.flatnonzero(~extra["is_dup"].astype(bool))
        if left := len(images) - len(kept):
            notes.append(f"{left:,} left out as duplicates (is_dup)")
        found = found.chosen(kept)
    return replace(found, reading=ReadReport(notes=tuple(notes)))


def _on_background(images: np.ndarray, alpha: np.ndarray | None, background: Colour) -> np.ndarray:
    if images.shape[-1] == 4:
        return composited(images[..., :3], images[..., 3], background)
    if alpha is not None and alpha.shape == images.shape[:3] and any(background) and images.shape[-1] == 3:
        return composited(images, alpha, background, premultiplied=True)
    return images


def _labels(
    path: Path, images: np.ndarray, labels: np.ndarray | None, extra: Mapping[str, np.ndarray]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if labels is None:
        return None, ()
    labels = labels.reshape(-1)
    if len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError(
            f"The labels in {path} are {labels.dtype} {labels.shape} for {len(images)} images; "
            "wanted one whole number of at least 0 for each."
        )
    names = next((tuple(map(str, extra[n])) for n in _NAMES if n in extra and extra[n].ndim == 1), ())
    if names and labels.max() >= len(names):
        raise DataError(
            f"The labels in {path} go up to {labels.max()}, and there are only {len(names)} names for them."
        )
    return labels.astype(np.int64), names


def _captions(path: Path, images: np.ndarray, split: str, extra: Mapping[str, np.ndarray]) -> tuple | None:
    if "emoji_id" in extra and "name" in extra and split == "train":
        rows, keywords = extra["emoji_id"], extra.get("keywords", np.full(len(extra["name"]), ""))
        count = len(extra["name"])
        if rows.shape != (len(images),) or rows.min() < 0 or rows.max() >= count or len(keywords) != count:
            raise DataError(
                f"emoji_id in {path} does not number rows of name and keywords, one for each image."
            )
        made = {
            row: combined_captions(str(extra["name"][row]), str(keywords[row]).split(_LISTED))
            for row in np.unique(rows)
        }
        return tuple(made[row] for row in rows)
    for name in _CAPTIONS[split]:
        texts = extra.get(name)
        if texts is not None and texts.dtype.kind == "U" and len(texts) == len(images):
            return tuple(tuple(str(t) for t in np.atleast_1d(row) if str(t).strip()) for row in texts)
    return None


def _unread_captions(split: str, extra: Mapping[str, np.ndarray]) -> list[str]:
    """Notes about arrays that have the name of captions and hold something else."""
    return [
        f"{name} is {extra[name].dtype} {extra[name].shape}, not a text for each picture, so it is not read"
        for name in _CAPTIONS[split]
        if name in extra
    ]


def combined_captions(name: str, keywords: list[str]) -> tuple[str, ...]:
    """Captions from a name and keywords: the name twice, the name with two keywords each, and keywords in
    threes.
    """
    rest = [word for word in dict.fromkeys(keywords) if word.strip() and word != name]
    pairs = [", ".join([name, *rest[k : k + 2]]) for k in range(0, len(rest), 2)]
    triples = [", ".join(rest[k : k + 3]) for k in range(0, len(rest) - 2, 3)]
    return (name, name, *pairs, *triples)
