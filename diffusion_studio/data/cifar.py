"""CIFAR-10: the binary files of its authors (Krizhevsky 2009), or lossless sheets of pictures in a zip."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError
from .imagedata import ImageData

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
_RECORD = 1 + 3 * SIDE * SIDE  # a label, then the red, the green and the blue plane
_SHEET = 10  # a sheet has 10 x 10 pictures
_FILES = {"train": "data_batch_*.bin", "test": "test_batch.bin"}


def found_in(folder: Path) -> bool:
    """Whether the folder, or the folder in it that the authors' archive unpacks to, holds the binary
    files.
    """
    return any(folder.glob("data_batch_*.bin")) or any(folder.glob("cifar-10-batches-bin/data_batch_*.bin"))


def read(folder: Path, split: str) -> ImageData:
    """The pictures (N, 32, 32, 3) and labels of data_batch_*.bin ("train") or test_batch.bin ("test").

    Raises `DataError` if they are missing or damaged.
    """
    at = folder if any(folder.glob("*.bin")) else folder / "cifar-10-batches-bin"
    files = sorted(at.glob(_FILES[split]))
    if not files:
        raise DataError(f"{at} has no file {_FILES[split]}.")
    records = np.concatenate([_records(path) for path in files])
    images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    return ImageData(images, records[:, 0].astype(np.int64), NAMES)


def _records(path: Path) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not len(data) or len(data) % _RECORD:
        raise DataError(
            f"{path} has {len(data):,} bytes, no multiple of {_RECORD} (a label and {SIDE}x{SIDE} RGB "
            "pixels). Download it again."
        )
    records = data.reshape(-1, _RECORD)
    if (most := records[:, 0].max()) >= len(NAMES):
        raise DataError(
            f"{path} has a label {most}; CIFAR-10's go up to {len(NAMES) - 1}. Is it another data set?"
        )
    return records


def read_sheets(path: Path, split: str) -> ImageData:
    """The pictures of a zip with SPLIT_*.webp or .png (each 10 x 10 pictures), SPLIT_labels.npy and
    classes.txt.

    Raises `DataError` if they are missing or damaged.
    """
    from PIL import Image

    try:
        with zipfile.ZipFile(path) as archive:
            sheets = sorted(
                n for n in archive.namelist() if n.startswith(f"{split}_") and n.endswith((".webp", ".png"))
            )
            if not sheets or f"{split}_labels.npy" not in archive.namelist():
                raise DataError(
                    f"{path} has no sheets {split}_*.webp with {split}_labels.npy. "
                    "Unpack it, and give the folder."
                )
            sheet_images = ((n, Image.open(io.BytesIO(archive.read(n)))) for n in sheets)
            images = np.concatenate(
                [_tiles(np.asarray(sheet.convert("RGB")), f"{n} in {path}") for n, sheet in sheet_images]
            )
            labels = np.load(io.BytesIO(archive.read(f"{split}_labels.npy")), allow_pickle=False)
            names = (
                tuple(archive.read("classes.txt").decode().split())
                if "classes.txt" in archive.namelist()
                else ()
            )
    except (
        OSError,
        ValueError,
        EOFError,
        SyntaxError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {error}. Download it again.") from error
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError(
            f"{split}_labels.npy in {path} is {labels.dtype} {labels.shape} for {len(images)} images."
        )
    if names and labels.max() >= len(names):
        raise DataError(f"{path} has the label {labels.max()}, and classes.txt only {len(names)} names.")
    return ImageData(images, labels.astype(np.int64), names)


def _tiles(sheet: np.ndarray, what: str) -> np.ndarray:
    height, width = (side // _SHEET for side in sheet.shape[:2])
    if not height or sheet.shape[:2] != (_SHEET * height, _SHEET * width):
        raise DataError(
            f"{what} is {sheet.shape[1]}x{sheet.shape[0]}; a sheet has {_SHEET} x {_SHEET} pictures."
        )
    return sheet.reshape(_SHEET, height, _SHEET, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)
