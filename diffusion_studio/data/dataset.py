"""Find a data set by name or path, and read it whole as uint8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import folder, idx, npz

MAX_CLASSES = 1_000_000


@dataclass(frozen=True)
class ImageData:
    """`images` (N, H, W, C) uint8 with 1 or 3 channels; `labels` (N,) int64 indices into `names`, or None."""

    images: np.ndarray
    labels: np.ndarray | None
    names: tuple[str, ...]

    def padded(self, size: int) -> ImageData:
        """Pictures of size x size: centred on black. Larger ones are an error, never cropped in silence."""
        height, width = self.images.shape[1:3]
        if height > size or width > size:
            raise DataError(f"The pictures are {width}x{height}, larger than the {size}x{size} asked for. "
                            f"Ask for size {max(height, width)} or more, or make them smaller first.")
        top, left = (size - height) // 2, (size - width) // 2
        margins = ((0, 0), (top, size - height - top), (left, size - width - left), (0, 0))
        return replace(self, images=np.pad(self.images, margins))


@dataclass(frozen=True)
class Known:
    """A data set that is known by name: where it usually lies, what its labels mean, which one shows it best."""

    places: tuple[str, ...]
    names: tuple[str, ...]
    licence: str
    show: str


KNOWN: dict[str, Known] = {
    "fashion-mnist": Known(
        ("data/fashion-mnist", "~/data/fashion-mnist", "~/.cache/fashion-mnist", "/usr/share/datasets/fashion-mnist"),
        ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        "Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), MIT licence, Copyright 2017 Zalando SE",
        show="Sneaker"),
    "mnist": Known(
        ("data/mnist", "data/mnist.npz", "~/data/mnist", "~/.keras/datasets/mnist.npz", "/usr/share/datasets/mnist"),
        tuple("0123456789"), "MNIST (LeCun, Cortes & Burges); cite LeCun et al. 1998", show="3"),
}


def load(source: str | Path, split: str = "train") -> ImageData:
    """The named data set or path. `split` is "train" or "test", where the source has both; a folder has one.

    Raises `DataError` where nothing is found or what is found cannot be read.
    """
    if split not in ("train", "test"):
        raise DataError(f"split must be 'train' or 'test', got {split!r}.")
    known = KNOWN.get(str(source))
    path = Path(source).expanduser()
    if known is not None and not path.exists():
        path = _find(str(source), known)
    if not path.exists():
        raise DataError(f"There is no data set {str(source)!r}: neither a path nor one of {', '.join(KNOWN)}.")
    images, labels, names = _read(path, split)
    if not len(images):
        raise DataError(f"{path} holds no images for the split {split!r}.")
    known = known or KNOWN.get(path.stem.casefold())
    if labels is not None and not names:
        count = int(labels.max()) + 1
        if count > MAX_CLASSES:
            raise DataError(f"The labels in {path} go up to {count - 1:,}; a network takes at most {MAX_CLASSES:,} classes. "
                            "Number the labels from 0 without gaps.")
        names = known.names if known and len(known.names) == count else tuple(str(k) for k in range(count))
    return ImageData(images, labels, names)


def _read(path: Path, split: str) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    if path.is_file() and path.suffix == ".npz":
        return *npz.read(path, split), ()
    if path.is_dir() and idx.found_in(path):
        return *idx.read(path, split), ()
    if path.is_dir():
        return folder.read(path)
    raise DataError(f"{path} is neither a folder nor an .npz file. Give a folder of images, a folder of gzipped idx "
                    "files (train-images-idx3-ubyte.gz, ...) or an .npz with images and labels.")


def _find(name: str, known: Known) -> Path:
    for place in known.places:
        if (path := Path(place).expanduser()).exists():
            return path
    raise DataError(f"{name} was not found in {', '.join(known.places)}. Put its files in one of these places, "
                    "or give the path of its folder instead of its name.")
