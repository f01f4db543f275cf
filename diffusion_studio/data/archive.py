"""Take pictures from an untrusted source, in a zip or as files, and other known files from a zip: no paths
that lead out, no links, no zip bombs.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import DataError
from .files import EMPTY, SYSTEM, TABLES, TEXT_SUFFIXES, LeftOut, is_system, picture_suffixes

MAX_FILES = 200_000
MAX_ENTRY = 64 << 20  # bytes of one picture or text, unpacked
MAX_RATIO = 200  # of unpacked to packed bytes: pictures are near 1, texts stay below 100
_SMALL = 1 << 20  # bytes below which the ratio of an entry is not checked
_CHUNK = 1 << 18
_MAX_DEPTH = 8
_PICTURES = "PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and what else Pillow reads"


@dataclass(frozen=True)
class UnpackResult:
    """The result of `unpack` and `gather`: the number of pictures kept, and the files that were left out."""

    pictures: int
    left_out: LeftOut


def unpack(archive: str | Path, folder: str | Path, max_bytes: int) -> UnpackResult:
    """Write the pictures, caption texts and tables of a zip into a new folder, which `data.folder` can read.

    A folder around everything else is removed. Nothing is written outside `folder`, and no more than
    `max_bytes`, whatever the archive claims. On a `DataError` no folder is left behind.
    """
    folder = Path(folder)
    with _opened(archive) as opened:
        wanted, left = _entries_to_write(opened, max_bytes)
        _write_new(opened, wanted, folder, max_bytes)
    suffixes = picture_suffixes()
    return UnpackResult(sum(path.suffix.lower() in suffixes for path in wanted), left)


def gather(files: Sequence[str | Path], folder: str | Path, max_bytes: int) -> UnpackResult:
    """Move pictures, and the caption texts beside them, into a new folder, which `data.folder` can read.

    The rules are those of `unpack`: which files are left out, how large one of them and all together may be,
    and that no two have the same name. The sizes are checked before anything is moved. On a `DataError` no
    folder is left behind.
    """
    folder = Path(folder)
    if len(files) > MAX_FILES:
        raise DataError(f"These are {len(files):,} files, and at most {MAX_FILES:,} are taken.")
    wanted, left = _files_to_move([Path(one) for one in files], max_bytes)
    folder.mkdir(parents=True)
    try:
        for name, file in wanted.items():
            shutil.move(file, folder / name)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(
            f"{name} could not be kept ({error.strerror or error}). The disk may be full."
        ) from error
    suffixes = picture_suffixes()
    return UnpackResult(sum(Path(name).suffix.lower() in suffixes for name in wanted), left)


def _files_to_move(files: Sequence[Path], max_bytes: int) -> tuple[dict[str, Path], LeftOut]:
    """The files to move by their names, and those that are left out."""
    suffixes, left = picture_suffixes(), LeftOut()
    wanted: list[Path] = []
    for file in files:
        name = PurePosixPath(file.name)
        suffix = name.suffix.lower()
        if is_system(name):
            left.add(SYSTEM, name)
        elif suffix not in suffixes and suffix not in TEXT_SUFFIXES:
            left.add(suffix, name)
        else:
            wanted.append(file)
    if not any(one.suffix.lower() in suffixes for one in wanted):
        for one in wanted:  # texts
            left.add(one.suffix.lower(), PurePosixPath(one.name))
        raise DataError(
            f"There is no picture among these files: {left}. Drop {_PICTURES}, or a .zip of them."
        )
    sizes = {one: one.stat().st_size for one in wanted}
    for one, size in sizes.items():
        if size > MAX_ENTRY:
            raise DataError(
                f"{one.name[:80]} has {size / 1e6:,.0f} MB, and a picture may have {MAX_ENTRY >> 20} MB at "
                "most. Make it smaller: pictures are scaled down for training anyway."
            )
    if sum(sizes.values()) > max_bytes:
        raise DataError(
            f"These files have {sum(sizes.values()) / 1e6:,.0f} MB together, and at most "
            f"{max_bytes / 1e6:,.0f} MB are taken here. Make the pictures smaller first: they are "
            "scaled down for training anyway."
        )
    counts = Counter(one.name.casefold() for one in wanted)
    if same := next((one.name for one in wanted if counts[one.name.casefold()] > 1), None):
        raise DataError(f"{same[:80]} is there twice. Give each picture a name of its own.")
    return {one.name: one for one in wanted}, left


def unpack_known(
    archive: str | Path, folder: str | Path, known: Callable[[PurePosixPath], bool], max_bytes: int
) -> list[Path]:
    """Write the files of a zip that are `known` by their paths into a new folder; all others are left out.

    Returns what was written. As in `unpack` a folder around everything is removed, nothing is written outside
    `folder` and no more than `max_bytes`. On a `DataError` no folder is left behind.
    """
    folder = Path(folder)
    with _opened(archive) as opened:
        entries = opened.infolist()
        if len(entries) > MAX_FILES:
            raise DataError(f"The archive holds {len(entries):,} files, and at most {MAX_FILES:,} are taken.")
        found = {_safe_path(entry): entry for entry in entries if not entry.is_dir()}
        found = _without_outer_folder({path: entry for path, entry in found.items() if known(path)})
        _check_total(found, max_bytes, "Drop its weight file alone, or run the app on your own machine.")
        _write_new(opened, found, folder, max_bytes, max_bytes)
    return [folder / path for path in found]


@contextmanager
def _opened(archive: str | Path) -> Iterator[zipfile.ZipFile]:
    """The zip, without a password. What is wrong with it, then or while it is read, is a `DataError`."""
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_password(opened)
            yield opened
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        UnicodeError,
    ) as error:
        raise DataError(
            f"{Path(archive).name} cannot be unpacked ({str(error)[:200]}). Make it again as a plain zip, "
            "without a password."
        ) from error
    except OSError as error:
        raise DataError(
            f"{Path(archive).name} cannot be unpacked ({error.strerror or error}). The disk may be full."
        ) from error


def _entries_to_write(
    opened: zipfile.ZipFile, max_bytes: int
) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], LeftOut]:
    """The entries to write by their path, and the files that are left out. Raises `DataError` for a
    hostile archive.
    """
    suffixes = picture_suffixes()
    entries = opened.infolist()
    if len(entries) > MAX_FILES:
        raise DataError(f"The archive holds {len(entries):,} files, and at most {MAX_FILES:,} are taken.")
    found: dict[PurePosixPath, zipfile.ZipInfo] = {}
    left = LeftOut()
    for path in _empty_folders(entries):
        left.add(EMPTY, path)
    for entry in entries:
        if entry.is_dir():
            continue
        path = _safe_path(entry)
        suffix = path.suffix.lower()
        if is_system(path):
            left.add(SYSTEM, path)
            continue
        if suffix not in suffixes and suffix not in TEXT_SUFFIXES and path.name not in TABLES:
            left.add(suffix, path)
            continue
        if entry.file_size > MAX_ENTRY or (
            entry.file_size > _SMALL and entry.file_size > MAX_RATIO * entry.compress_size
        ):
            raise DataError(
                f"{str(path)[:80]} in the archive is {entry.file_size / 1e6:,.0f} MB unpacked from "
                f"{entry.compress_size / 1e6:,.2f} MB, which no picture is. Nothing was unpacked."
            )
        found[path] = entry
    if not any(path.suffix.lower() in suffixes for path in found):
        here = f": {left}" if left.total else ""
        raise DataError(
            f"The archive holds no pictures ({_PICTURES}) among its {len(entries):,} files{here}."
        )
    _check_total(
        found, max_bytes, "Make the pictures smaller first: they are scaled down for training anyway."
    )
    found = _without_outer_folder(found)
    same = [name for name, count in Counter(str(path).casefold() for path in found).items() if count > 1]
    if same:
        raise DataError(f"The archive holds {same[0][:80]} twice. Give each picture a name of its own.")
    return found, left


def _check_total(found: Mapping[PurePosixPath, zipfile.ZipInfo], max_bytes: int, advice: str) -> None:
    total = sum(entry.file_size for entry in found.values())
    if total > max_bytes:
        raise DataError(
            f"The archive is {total / 1e6:,.0f} MB unpacked, and at most {max_bytes / 1e6:,.0f} MB are taken "
            f"here. {advice}"
        )


def _without_outer_folder(
    found: dict[PurePosixPath, zipfile.ZipInfo],
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The entries by their paths below the folders that are around all of them."""
    while len({path.parts[0] for path in found}) == 1 and all(len(path.parts) > 1 for path in found):
        found = {PurePosixPath(*path.parts[1:]): entry for path, entry in found.items()}
    return found


def _check_password(opened: zipfile.ZipFile) -> None:
    if any(entry.flag_bits & 1 for entry in opened.infolist()):
        raise DataError("The archive is locked with a password. Make it again as a plain zip, without one.")


def _empty_folders(entries: Sequence[zipfile.ZipInfo]) -> list[PurePosixPath]:
    """The folders of an archive that hold nothing."""
    paths = [PurePosixPath(entry.filename.replace("\\", "/")) for entry in entries]
    full = {path.parent for path in paths}
    folders = [path for path, entry in zip(paths, entries) if entry.is_dir() and path not in full]
    return [path for path in folders if str(path).isprintable() and not is_system(path)]


def _safe_path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """The path of an entry below the folder. Raises `DataError` if it would lead out of it."""
    name = entry.filename.replace("\\", "/")
    path = PurePosixPath(name)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(
            f"{name[:80]} in the archive is a link or a device, not a picture. Make the zip again without it."
        )
    if (
        path.is_absolute()
        or ".." in path.parts
        or ":" in name
        or len(path.parts) > _MAX_DEPTH
        or not path.parts
        or any(len(os.fsencode(part)) > 200 or not part.isprintable() for part in path.parts)
    ):
        raise DataError(
            f"{name[:80]!r} in the archive is a path that leads elsewhere, or no name for a file. Make the "
            "zip again from the folder with the pictures."
        )
    return path


def _write_new(
    opened: zipfile.ZipFile,
    wanted: dict[PurePosixPath, zipfile.ZipInfo],
    folder: Path,
    max_bytes: int,
    max_entry: int = MAX_ENTRY,
) -> None:
    """Write entries into a folder that is made for them; a failure leaves none behind."""
    folder.mkdir(parents=True)
    try:
        _write(opened, wanted, folder, max_bytes, max_entry)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(
    opened: zipfile.ZipFile,
    wanted: dict[PurePosixPath, zipfile.ZipInfo],
    folder: Path,
    max_bytes: int,
    max_entry: int,
) -> None:
    written = 0
    for path, entry in wanted.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as source, target.open("xb") as out:
            entry_bytes = 0
            while chunk := source.read(_CHUNK):
                entry_bytes += len(chunk)
                written += len(chunk)
                # checked here too, because the sizes that the archive states may be false
                if entry_bytes > max_entry or written > max_bytes:
                    raise DataError(
                        f"{str(path)[:80]} in the archive is larger than it states. Nothing was unpacked."
                    )
                out.write(chunk)
