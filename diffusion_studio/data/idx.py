"""The idx files of MNIST and data sets like it, gzipped or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError

_PREFIX = {"train": "train", "test": "t10k"}
_MAX_BYTES = 8 << 30


def found_in(folder: Path) -> bool:
    """Whether the folder holds idx files."""
    return any(folder.glob("*-idx3-ubyte*"))


def read(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The images (N, H, W, 1) uint8 and labels (N,) int64 of a split. Labels are None if their file is
    missing.

    Raises `DataError` if the files are missing or damaged.
    """
    images = _array(_existing_file(folder, f"{_PREFIX[split]}-images-idx3-ubyte"), dimensions=3)
    try:
        at = _existing_file(folder, f"{_PREFIX[split]}-labels-idx1-ubyte")
    except DataError:
        return images[..., None], None
    labels = _array(at, dimensions=1)
    if len(labels) != len(images):
        raise DataError(f"{at} has {len(labels)} labels for {len(images)} images.")
    return images[..., None], labels.astype(np.int64)


def _existing_file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(f"{folder} has no file {name}.gz.")


def _array(path: Path, dimensions: int) -> np.ndarray:
    """Read one uint8 array: two zero bytes, the type 8, the number of dimensions, the big-endian sizes,
    the data.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            zeros, kind, count = struct.unpack(">HBB", file.read(4))
            if (zeros, kind, count) != (0, 8, dimensions):
                raise DataError(f"{path} is not an idx file of unsigned bytes with {dimensions} dimensions.")
            shape = struct.unpack(f">{count}I", file.read(4 * count))
            size = int(np.prod(shape, dtype=object))
            if size > _MAX_BYTES:
                raise DataError(f"{path} claims {size:,} bytes; the most is {_MAX_BYTES:,}.")
            data = file.read(size)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Download it again.") from error
    if len(data) != size:
        raise DataError(f"{path} is cut short: {len(data):,} of {size:,} bytes. Download it again.")
    return np.frombuffer(data, np.uint8).reshape(shape)
