"""A folder of image files. Labels are its sub-folders or a column of a table, captions are texts beside
the files.
"""

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
from .files import digest, list_files
from .imagedata import ImageData, ReadReport

_NAMED = 3
_EDM_FOLDER = re.compile(r"\d{5}")  # 00000/img00000000.png, 00001/img00001000.png, ...
_BLACKENING = 12  # read at this many bits or more, 8-bit values come out below 16 of 255
# what Pillow's decoders raise for damaged files; our DataError is a ValueError
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
_CHANGES = {
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
    """Every picture of the folder's split, or of the whole folder if it has no splits. Grey if every file is
    grey.

    Without `size` all pictures must have the same size already. With `most` only that many, evenly chosen,
    are decoded; `reading` counts all. Slow decoding is cached on disk (`cache`). Raises `DataError` that
    counts and names files that cannot be read, different sizes, and pictures without captions.
    """
    listing = list_files(folder)
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
    texts = captions.read(listing, files)  # before decoding, so that errors come at once
    labels, notes = _labels(folder, chosen, texts, listing.tables)
    names = order_of(labels) if labels else ()
    numbers = (
        range(len(files))
        if most is None or len(files) <= most
        else np.linspace(0, len(files) - 1, most).astype(int)
    )
    decoded_files = [files[k] for k in numbers]
    images, about = cached(
        decoded_files, (size, fit, background), lambda: _decode(decoded_files, size, fit, background)
    )
    index = {name: k for k, name in enumerate(names)}
    reading = ReadReport(
        left_out=str(listing.left_out),
        left_out_count=listing.left_out.total,
        split=chosen.name,
        others=chosen.others,
        notes=(*texts.notes, *notes, *_notes(about, len(decoded_files), colour_name(background))),
        sizes={(w, h): n for w, h, n in about["sizes"]},
        totals=_totals(labels, names, texts, len(files)) if len(decoded_files) < len(files) else None,
    )
    return ImageData(
        images,
        np.array([index[labels[k]] for k in numbers]) if labels else None,
        names,
        tuple(texts.captions[k] for k in numbers) if texts.captions else None,
        tuple(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in decoded_files),
        reading,
        tuple(digest(path) for path in decoded_files),
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
    """The label of each picture, from a table or from the folders, and notes about them."""
    named = any(chosen.labels)
    if named and not all(chosen.labels) and texts.labels is None:
        raise DataError(
            f"{folder} holds images both in sub-folders, which name their labels, and beside them. "
            "Move all into sub-folders, or all out of them."
        )
    if texts.labels is None:
        if named and texts.unlabelled and all(_EDM_FOLDER.fullmatch(one or "") for one in chosen.labels):
            return None, [f"no labels by {captions.EDM}: the folders only part the files"]
        if named and _is_described_folder(folder, chosen, tables):
            return None, []
        if named:
            return tuple(label or "" for label in chosen.labels), []
        return None, [] if texts.captions else _label_like_names(chosen.pictures)
    folders = len({label for label in chosen.labels if label})
    instead = f", not the {f'{folders:,} folders' if folders > 1 else 'folder'}" if folders else ""
    return texts.labels, [f"labels are those of {texts.labels_from}{instead}"]


def _label_like_names(pictures: Sequence[Path]) -> list[str]:
    """A note if all file names begin with one of a few words and "_", which OpenAI's programs read as
    labels.
    """
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


def _is_described_folder(folder: Path, chosen: splits.Split, tables: Sequence[Path]) -> bool:
    """Whether all pictures are in one folder beside a table that describes them, so that its name is no
    label.
    """
    around = set(chosen.pictures[0].parents)
    return len(set(chosen.labels)) == 1 and any(
        table.parent in around and chosen.labels[0] not in table.parent.relative_to(folder).parts
        for table in tables
    )


def _notes(about: dict[str, Any], count: int, background: str) -> list[str]:
    notes = [
        f"{about[name]:,} {words.format(background=background)}"
        for name, words in _CHANGES.items()
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
    """Pictures being decoded, by number, and the facts about them."""

    pictures: dict[int, np.ndarray] = field(default_factory=dict)
    # largest value of each picture of 16 or 32 bits a pixel, whose scale is still to be found
    wide: dict[int, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    # pictures with 16 bits a channel, of which Pillow keeps the upper 8
    deep: int = 0
    black: int = 0  # those of `deep` that are all black then


def _decode(
    files: Sequence[Path], size: int | None, fit: str, background: Colour
) -> tuple[np.ndarray, dict[str, Any]]:
    """The pixels (N, H, W, C), and the facts about the decoding as a JSON object."""
    from PIL import Image

    found = _Decoded()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's about damaged metadata
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # comes at half of the limit
        for k, path in enumerate(files):
            _decode_one(found, k, path, size, fit, background, None)
        # one scale for all, by the largest value: a dark picture of 16 bits stays dark
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
            decoded = pixels(picture, background, bits)
            found.pictures[k] = (
                decoded.array if size is None else fitted(decoded.array, size, fit, background)
            )
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
        found.sizes[decoded.array.shape[:2]] += 1
        found.done.update(_changes(decoded))
        if decoded.bits == 16 and bits is None:
            found.deep += 1
            found.black += not decoded.array.any()


def _changes(decoded: Pixels) -> list[str]:
    return [name for name in _CHANGES if getattr(decoded, name)]
