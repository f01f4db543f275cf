"""Find a data set by name or path, and read all of it as uint8."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, unknown
from ..imaging.arrays import Colour, colour
from ..imaging.fitting import FITS
from . import cifar, folder, idx, npz
from .imagedata import ImageData

MAX_CLASSES = 1_000_000
FOLDER = "DIFFUSION_STUDIO_DATA"  # environment variable with a folder of known data sets


@dataclass(frozen=True)
class KnownDataset:
    """A data set known by name: the usual places of its files, names of its labels, and its licence.

    `show` is the label shown in examples. `only` are the labels that are used if the data has more. `prompts`
    are example prompts for a model trained on its captions.
    """

    places: tuple[str, ...]
    names: tuple[str, ...]
    licence: str
    show: str = ""
    only: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


KNOWN: dict[str, KnownDataset] = {
    "fashion-mnist": KnownDataset(
        (
            "data/fashion-mnist",
            "~/data/fashion-mnist",
            "~/.cache/fashion-mnist",
            "/usr/share/datasets/fashion-mnist",
        ),
        (
            "T-shirt",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        "Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), MIT licence, Copyright 2017 Zalando SE",
        show="Sneaker",
    ),
    "mnist": KnownDataset(
        (
            "data/mnist",
            "data/mnist.npz",
            "~/data/mnist",
            "~/.keras/datasets/mnist.npz",
            "/usr/share/datasets/mnist",
        ),
        tuple("0123456789"),
        "MNIST (LeCun, Cortes & Burges); cite LeCun et al. 1998",
        show="3",
    ),
    "cifar10": KnownDataset(
        (
            "data/cifar10",
            "data/cifar10.zip",
            "data/cifar10.npz",
            "data/cifar-10-batches-bin",
            "~/data/cifar10",
        ),
        cifar.NAMES,
        "CIFAR-10 (Krizhevsky 2009), no formal licence",
        show="horse",
    ),
    "emoji": KnownDataset(
        ("data/emoji", "data/emoji64.npz", "~/data/emoji64.npz"),
        (),
        "Noto Emoji (Apache-2.0), Twemoji (CC BY 4.0), Fluent Emoji (MIT)",
        show="google",
        only=(
            "google",
            "twitter",
            "fluent3d",
            "fluentflat",
        ),  # OpenMoji's share-alike licence would apply to the weights
        prompts=(
            "grinning face",
            "cat face",
            "red apple",
            "rocket",
            "sunflower",
            "pizza",
            "blue heart",
            "owl",
        ),
    ),
    "heroes": KnownDataset(
        ("data/heroes", "data/heroes32.npz", "~/data/heroes32.npz"),
        (),
        "Dungeon Crawl Stone Soup tiles, CC0",
        prompts=(
            "orc, half plate, metal gray, green boots, wizard white, long sword slant",
            "dwarf, coat red, garter, white cloak, hood gray, staff ruby",
            "spriggan, karate, pants red, staff fork, large shield gold",
            "demigod, jacket, skirt white, black horn, dart",
        ),
    ),
}


def load(
    source: str | Path,
    split: str = "train",
    *,
    size: int | None = None,
    fit: str = "pad",
    background: str = "black",
    colours: str = "auto",
    most: int | None = None,
) -> ImageData:
    """Read a data set by name or path. `split` is "train" or "test".

    With `size` the pictures are brought to size x size by `fit` ("pad", "crop", "resize"; see
    `imaging.fitting.FITS`). Transparent parts show the `background` (black, grey, white, #rrggbb). `colours`
    is "grey", "rgb", or "auto" as in the files. With `most` only that many evenly chosen pictures are
    decoded. Raises `DataError` if nothing is found or it cannot be read. `summary.summary` tells what was
    read.
    """
    if split not in ("train", "test"):
        raise DataError(f"split must be 'train' or 'test', got {split!r}.")
    if fit not in FITS:
        raise unknown("fit", fit, FITS)
    background_colour = colour(background)
    known = KNOWN.get(str(source))
    path = Path(source).expanduser()
    only: tuple[str, ...] = ()
    if known is not None and not path.exists():
        path, only = _find(str(source), known), known.only
    if not path.exists():
        raise DataError(
            f"There is no data set {str(source)!r}: neither a path nor one of {', '.join(KNOWN)}."
        )
    found = _read(path, split, size, fit, background_colour, most)
    if not len(found.images):
        raise DataError(f"{path} holds no images for the split {split!r}.")
    known = known or KNOWN.get(path.stem.casefold())
    if found.labels is not None and not found.names:
        count = int(found.labels.max()) + 1
        if count > MAX_CLASSES:
            raise DataError(
                f"The labels in {path} go up to {count - 1:,}; a network takes at most {MAX_CLASSES:,} "
                "classes. Number the labels from 0 without gaps."
            )
        names = known.names if known and len(known.names) == count else tuple(str(k) for k in range(count))
        found = replace(found, names=names)
    if only and set(only) < set(found.names):
        found = found.only(only)
    if not found.reading.sizes:
        height, width = found.images.shape[1:3]
        found = replace(found, reading=replace(found.reading, sizes={(width, height): len(found.images)}))
    if most is not None:
        found = found.sampled(most)
    elif found.marks is None:
        found = replace(
            found, marks=tuple(f"{zlib.crc32(np.ascontiguousarray(one).data):08x}" for one in found.images)
        )
    return (found if size is None else found.fitted(size, fit, background_colour)).coloured(colours)


def _read(
    path: Path, split: str, size: int | None, fit: str, background: Colour, most: int | None
) -> ImageData:
    if path.is_file() and path.suffix == ".npz":
        return npz.read(path, split, background)
    if path.is_file() and path.suffix == ".zip":
        return cifar.read_sheets(path, split)
    if path.is_dir() and idx.found_in(path):
        return ImageData(*idx.read(path, split), ())
    if path.is_dir() and cifar.found_in(path):
        return cifar.read(path, split)
    if path.is_dir():
        return folder.read(path, split, size, fit, background, most)
    raise DataError(
        f"{path} is neither a folder nor an .npz file. Give a folder of images, a folder of gzipped idx "
        "files (train-images-idx3-ubyte.gz, ...) or an .npz with images and labels."
    )


def present() -> list[str]:
    """The names of the known data sets whose files are in one of their usual places."""
    found = []
    for name, known in KNOWN.items():
        try:
            _find(name, known)
        except DataError:
            continue
        found.append(name)
    return found


def _find(name: str, known: KnownDataset) -> Path:
    """The first existing place of a data set: in the folder that the environment variable names, then the
    usual ones.
    """
    places = list(known.places)
    if data_folder := os.environ.get(FOLDER):
        names = dict.fromkeys(Path(place).name for place in known.places)
        places = [*(os.path.join(data_folder, one) for one in (name, *names)), *places]
    for place in places:
        if (path := Path(place).expanduser()).exists():
            return path
    raise DataError(
        f"{name} was not found in {', '.join(places)}. Put its files in one of these places, or in the "
        "folder "
        f"that the environment variable {FOLDER} names, or give the path of its folder instead of its name."
    )
