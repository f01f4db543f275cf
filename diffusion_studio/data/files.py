"""Which files of a folder or an archive belong to a data set. One rule for both."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ..errors import DataError

TEXT_SUFFIXES = (".txt", ".caption")  # a text beside a picture, with the same name, is its caption
TABLES = ("captions.csv", "metadata.csv", "captions.jsonl", "metadata.jsonl", "dataset.json")
SYSTEM = "system"  # kind of files that operating systems and editors leave behind
MAX_FOLDERS = 1_000_000  # a stop for links that lead in circles in many ways
_SYSTEM_NAMES = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "lost+found",
    "$recycle.bin",
}
# Formats that Pillow registers but that hold no pixels, need another program (EPS starts Ghostscript), or are
# stubs.
_NO_PICTURES = {"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR", "FITS", "PDF"}
_NAMED = 3
EMPTY = "empty folders"
# kinds that are no suffixes, and their singular
_SINGULAR = {
    "links in a circle": "link in a circle",
    "links to nothing, or no files": "link to nothing, or no file",
    EMPTY: "empty folder",
}
_PIECE = 4096  # bytes; up to three of them are read for a digest


def picture_suffixes() -> frozenset[str]:
    """Lower-case suffixes of the picture formats that the installed Pillow, with its plugins, can open."""
    from PIL import Image

    known = Image.registered_extensions()
    return frozenset(
        suffix for suffix, kind in known.items() if kind in Image.OPEN and kind not in _NO_PICTURES
    )


def is_system(path: PurePath) -> bool:
    """Whether part of a relative path is hidden or made by a system or editor: .ipynb_checkpoints, ._x,
    __MACOSX, Thumbs.db and the like.
    """
    return any(part.startswith(".") or part.casefold() in _SYSTEM_NAMES for part in path.parts)


@dataclass
class LeftOut:
    """Files that are not read, and empty folders: counted by kind, with the first names of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, path: PurePath) -> None:
        self.counts[kind] += 1
        named = self.names.setdefault(kind, [])
        if len(named) < _NAMED:
            named.append(path.as_posix())

    @property
    def total(self) -> int:
        return self.counts.total()

    def __str__(self) -> str:
        """ "10 .heic files (a.heic, b.heic, c.heic, ...), 2 hidden or system files (.DS_Store, ._a)"."""
        parts = []
        for kind, count in sorted(self.counts.items(), key=lambda one: (-one[1], one[0])):
            what = f"{count:,} {_kind_words(kind, count)}"
            more = ", ..." if count > len(self.names[kind]) else ""
            parts.append(f"{what} ({', '.join(self.names[kind])}{more})")
        return ", ".join(parts)


def _kind_words(kind: str, count: int) -> str:
    if kind in _SINGULAR:
        return _SINGULAR[kind] if count == 1 else kind
    what = "hidden or system " if kind == SYSTEM else f"{kind} " if kind else ""
    return f"{what}file{'s' * (count != 1)}{'' if kind else ' without a suffix'}"


@dataclass(frozen=True)
class Listing:
    """The files of a folder sorted by path: pictures, texts beside them, tables; and what is left out."""

    root: Path
    pictures: tuple[Path, ...]
    texts: Mapping[Path, Path]  # picture -> its text
    tables: tuple[Path, ...]
    left_out: LeftOut


def list_files(root: Path) -> Listing:
    """List the files in a folder and below it. Links to folders are followed, except back to a folder
    around them.
    """
    suffixes = picture_suffixes()
    pictures: list[Path] = []
    beside: dict[Path, Path] = {}  # path without suffix -> text file
    tables: list[Path] = []
    left = LeftOut()
    for path in walk_files(root, left):
        relative = path.relative_to(root)
        suffix = path.suffix.lower()
        if suffix in suffixes:
            pictures.append(path)
        elif path.name in TABLES:
            tables.append(path)
        elif suffix in TEXT_SUFFIXES:
            beside[path] = path.with_suffix("")
        else:
            left.add(suffix, relative)
    pictures.sort()
    texts = _texts_beside(root, pictures, beside, left)
    return Listing(root, tuple(pictures), texts, tuple(sorted(tables)), left)


def _texts_beside(
    root: Path, pictures: Sequence[Path], beside: Mapping[Path, Path], left: LeftOut
) -> dict[Path, Path]:
    by_stem = {stem: text for text, stem in sorted(beside.items(), reverse=True)}  # .caption before .txt
    found = {path: by_stem[stem] for path in pictures if (stem := path.with_suffix("")) in by_stem}
    used = set(found.values())
    for text in sorted(beside):
        if text not in used:
            left.add(text.suffix.lower(), text.relative_to(root))
    return found


def walk_files(root: Path, left: LeftOut) -> Iterable[Path]:
    """Every file below a folder.

    Left out and counted in `left`: system files, links that lead back to a folder around them or to nothing,
    and folders with nothing to read.
    """
    stack: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset([_identity(root)]))]
    folders = 0
    while stack:
        folder, around = stack.pop()
        folders += 1
        if folders > MAX_FOLDERS:
            raise DataError(
                f"{root} has more than {MAX_FOLDERS:,} folders, as links make them that lead in circles. "
                "Remove the links, or give a folder with fewer."
            )
        try:
            entries = sorted(os.scandir(folder), key=lambda one: one.name)
        except OSError as error:
            raise DataError(
                f"The folder {folder} cannot be read ({error.strerror or error}). Allow it, or move it away."
            ) from error
        empty = True
        for entry in entries:
            path = Path(entry.path)
            relative = path.relative_to(root)
            if is_system(relative):  # such a folder counts once and is not entered
                left.add(SYSTEM, relative)
            elif _entry_is(entry.is_dir):
                if (identity := _identity(path)) in around:
                    left.add("links in a circle", relative)
                else:
                    stack.append((path, around | {identity}))
                    empty = False
            elif _entry_is(entry.is_file):
                yield path
                empty = False
            else:
                left.add("links to nothing, or no files", relative)
        if empty and folder != root:
            left.add(EMPTY, folder.relative_to(root))


def digest(path: Path) -> str:
    """A hash of a file's first, middle and last 4 KB (all of a small file). It distinguishes files of
    equal name and size without reading all of them.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= 3 * _PIECE:
                read = file.read(size)
            else:
                read = b""
                for start in (0, size // 2, size - _PIECE):
                    file.seek(start)
                    read += file.read(_PIECE)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    return hashlib.blake2b(read, digest_size=12).hexdigest()


def _entry_is(kind: Callable[[], bool]) -> bool:
    """Call an entry's `is_dir` or `is_file`; False for a link that leads to itself."""
    try:
        return kind()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    about = folder.stat()
    return about.st_dev, about.st_ino
