"""A folder of image files: sub-folders, or a column of a table, are the labels, and texts beside them the
captions."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..imaging.arrays import Colour, colour_name
from ..imaging.fitting import Pixels, Wide, bits_of, fitted, pixels
from . import captions, splits
from .cache import cached
from .captions import order_of
from .files import digest, listed
from .imagedata import ImageData, Reading

_NAMED = 3
_EDM_FOLDER = re.compile(r"\d{5}")  # 00000/img00000000.png, 00001/img00001000.png, ...
_BLACKENING = 12  # bits of a scale from which 8-bit values come out below 16 of 255
# what Pillow's decoders raise for bytes that are not what their header says; our DataError is a ValueError
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
_DONE = {
    "transparent": "with transparency, laid on {background}",
    "animated": "with several frames, of which the first is taken",
    "turned": "turned as their EXIF says",
    "unturned": "with damaged EXIF, taken as they lie",
}


def read(
    folder: Path,
    split: str = "train",
    size: int | None = None,
    fit: str = "pad",
    background: Colour = (0, 0, 0),
    most: int | None = None,
) -> ImageData:
    """Every picture of the folder's split, or of the whole folder where it has none. Grey if every file is.
    Without a `size` all must have one already. What took long to decode is kept on disk (`cache`).

    With `most` that many of them are decoded, evenly chosen; `reading` counts all. A `DataError` counts and
    names the files that cannot be read, the sizes, and the pictures without captions.
    """
    listing = listed(folder)
    if not listing.pictures:
        here = f"; it holds {listing.left_out}" if listing.left_out.total else ""
        here += (
            ". Unpack archives first"
            if {".zip", ".tar", ".gz", ".7z", ".rar"} & set(listing.left_out.counts)
            else ""
        )
        raise DataError(
            f"{folder} holds no images (PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and what else Pillow reads), "
            f"nor gzipped idx files{here}."
        )
    chosen = splits.chosen(folder, listing.pictures, split)
    files = chosen.pictures
    texts = captions.read(listing, files)  # before the pictures: what is missing is said at once
    labels, notes = _labels(folder, chosen, texts, listing.tables)
    names = order_of(labels) if labels else ()
    taken = (
        range(len(files))
        if most is None or len(files) <= most
        else np.linspace(0, len(files) - 1, most).astype(int)
    )
    some = [files[k] for k in taken]
    images, about = cached(some, (size, fit, background), lambda: _decode(some, size, fit, background))
    index = {name: k for k, name in enumerate(names)}
    reading = Reading(
        left_out=str(listing.left_out),
        left_out_count=listing.left_out.total,
        split=chosen.name,
        others=chosen.others,
        notes=(*texts.notes, *notes, *_notes(about, len(some), colour_name(background))),
        sizes={(w, h): n for w, h, n in about["sizes"]},
        totals=_totals(labels, names, texts, len(files)) if len(some) < len(files) else None,
    )
    return ImageData(
        images,
        np.array([index[labels[k]] for k in taken]) if labels else None,
        names,
        tuple(texts.captions[k] for k in taken) if texts.captions else None,
        tuple(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in some),
        reading,
        tuple(digest(path) for path in some),
    )


def _totals(
    labels: Sequence[str] | None, names: Sequence[str], texts: captions.Texts, count: int
) -> dict[str, Any]:
    counts = Counter(labels or ())
    return {
        "pictures": count,
        "labels": {name: counts[name] for name in names},
        "captions": sum(map(len, texts.captions or ())),
    }


def _labels(
    folder: Path, chosen: splits.Split, texts: captions.Texts, tables: Sequence[Path]
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The label of each picture, from a table or from the folders; and what is to be said of it."""
    named = any(chosen.labels)
    if named and not all(chosen.labels) and texts.labels is None:
        raise DataError(
            f"{folder} holds images both in sub-folders, which name their labels, and beside them. "
            "Move all into sub-folders, or all out of them."
        )
    if texts.labels is None:
        if named and texts.unlabelled and all(_EDM_FOLDER.fullmatch(one or "") for one in chosen.labels):
            return None, [f"no labels by {captions.EDM}: the folders only part the files"]
        if named and _described(folder, chosen, tables):
            return None, []
        if named:
            return tuple(label or "" for label in chosen.labels), []
        return None, [] if texts.captions else _like_labels(chosen.pictures)
    folders = len({label for label in chosen.labels if label})
    instead = f", not the {f'{folders:,} folders' if folders > 1 else 'folder'}" if folders else ""
    return texts.labels, [f"labels are those of {texts.labels_from}{instead}"]


def _like_labels(pictures: Sequence[Path]) -> list[str]:
    """A note where all names begin with one of a few words and "_": OpenAI's programs read labels so."""
    words = Counter(path.name.partition("_")[0] for path in pictures if "_" in path.name)
    if sum(words.values()) < len(pictures) or len(words) < 2 or min(words.values()) < 2:
        return []
    if any(word.isdigit() for word in words):
        return []
    named = ", ".join(f"{word}_ {count:,}" for word, count in [*words.items()][:_NAMED])
    more = ", ..." if len(words) > _NAMED else ""
    return [
        f"their names begin like labels ({named}{more}), which are not read from names; for labels put each "
        "kind into a folder of its own"
    ]


def _described(folder: Path, chosen: splits.Split, tables: Sequence[Path]) -> bool:
    """Whether all pictures lie in one folder, beside a table that describes them."""
    around = set(chosen.pictures[0].parents)
    return len(set(chosen.labels)) == 1 and any(
        table.parent in around and chosen.labels[0] not in table.parent.relative_to(folder).parts
        for table in tables
    )


def _notes(about: dict[str, Any], count: int, background: str) -> list[str]:
    notes = [
        f"{about[name]:,} {words.format(background=background)}"
        for name, words in _DONE.items()
        if about.get(name)
    ]
    if bits := about.get("bits"):
        what = "all" if about["wide"] == count else f"{about['wide']:,}"
        notes.append(
            f"{what} of 16 or 32 bits a pixel, read as {bits} bits (their largest value is {about['most']:,})"
        )
    if narrow := about.get("narrow"):
        notes.append(
            f"{narrow:,} of them use{'s' * (narrow == 1)} 8 bits at most and come{'s' * (narrow == 1)} out "
            "black or nearly so; where that is not meant, save with 8 bits"
        )
    if black := about.get("black"):
        notes.append(
            f"{black:,} of {about['deep']:,} with 16 bits a channel come{'s' * (black == 1)} out black all "
            "over, as 8-bit values in 16 bits do; where that is not meant, save with 8 bits"
        )
    return notes


@dataclass
class _Decoded:
    """Pictures under way, by number; and what is told of them."""

    pictures: dict[int, np.ndarray] = field(default_factory=dict)
    # largest values of those that wait for their scale
    wide: dict[int, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    # of 16 bits a channel, of which Pillow keeps the upper 8
    deep: int = 0
    black: int = 0  # of `deep`, those of which nothing is left


def _decode(
    files: Sequence[Path], size: int | None, fit: str, background: Colour
) -> tuple[np.ndarray, dict[str, Any]]:
    """The pixels (N, H, W, C), and what was done to them as JSON holds it."""
    from PIL import Image

    found = _Decoded()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's, of damaged notes
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of what is refused
        for k, path in enumerate(files):
            _decode_one(found, k, path, size, fit, background, None)
        # one scale for the folder, by its largest value: a dark picture of 16 bits stays dark
        wide, most = [*found.wide], max(found.wide.values(), default=0)
        bits = bits_of(most) if wide else None
        for k in wide:
            _decode_one(found, k, files[k], size, fit, background, bits)
    if found.broken:
        more = f" and {len(found.broken) - _NAMED} more" if len(found.broken) > _NAMED else ""
        raise DataError(
            f"{len(found.broken)} of {len(files)} images cannot be used: "
            f"{'; '.join(found.broken[:_NAMED])}{more}."
        )
    pictures = [found.pictures[k] for k in range(len(files))]
    sizes = Counter(p.shape[:2] for p in pictures)
    if len(sizes) > 1:
        listing = ", ".join(f"{count:,} of {w}x{h}" for (h, w), count in sizes.most_common(_NAMED))
        more = ", ..." if len(sizes) > _NAMED else ""
        raise DataError(
            f"The images have {len(sizes)} different sizes ({listing}{more}). Bring them to one size first, "
            "or ask for a size and the fit 'crop' or 'resize'."
        )
    if found.deep and found.deep == found.black:
        raise DataError(
            f"{found.deep:,} images of 16 bits a channel are black all over, as 8-bit values in 16 bits are. "
            "Save them with 8 bits."
        )
    about = {"sizes": [(w, h, n) for (h, w), n in found.sizes.most_common()], **found.done}
    if bits is not None:
        narrow = sum(0 < value < 256 for value in found.wide.values()) if bits >= _BLACKENING else 0
        about |= {"bits": bits, "wide": len(wide), "most": most, "narrow": narrow}
    if found.black:
        about |= {"black": found.black, "deep": found.deep}
    if all(p.ndim == 2 for p in pictures):
        return np.stack(pictures)[..., None], about
    return np.stack([p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]), about


def _decode_one(
    found: _Decoded, k: int, path: Path, size: int | None, fit: str, background: Colour, bits: int | None
) -> None:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            made = pixels(picture, background, bits)
            found.pictures[k] = made.array if size is None else fitted(made.array, size, fit, background)
    except Wide as wide:
        found.wide[k] = wide.most
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        found.broken.append(
            f"{path}: it has more than {most:,} pixels, the most that are read; make it smaller"
        )
    except _BROKEN as error:
        found.broken.append(f"{path}: {error}")
    else:
        found.sizes[made.array.shape[:2]] += 1
        found.done.update(_what(made))
        if made.bits == 16 and bits is None:
            found.deep += 1
            found.black += not made.array.any()


def _what(made: Pixels) -> list[str]:
    return [name for name in _DONE if getattr(made, name)]
