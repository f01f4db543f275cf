"""Atomic writing of files: a reader sees the old file or the complete new one, never a part.

`replacing` provides a temporary file in the target's folder and renames it to the target at the end. If
writing ends early (an error, Ctrl-C, SIGTERM), the old file stays and the temporary one is removed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY_NAME = ".diffusion-studio-{}.partial"
_STALE_SECONDS = 86_400  # a temporary file of this age was left by a killed process
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None))
_OPEN_FILE_FOLDERS = re.compile(r"/dev|/proc/.*|/dev/fd")  # their entries stand for open files
# Device names of Windows, which are reserved with any file extension
_RESERVED = re.compile(r"CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]", re.I)
_MAX_NAME_BYTES = 120  # of a name from `safe_name`; file systems allow 255


@contextmanager
def replacing(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """Provide the path of an empty temporary file. At the end its content becomes that of `path`.

    A symbolic link stays, and its target gets the content. An existing file keeps its mode, and its owner if
    this process may set it; a new file gets the mode of the umask. The complete content is written into a
    pipe or a character device. `suffix` is appended to the temporary file's name, for writers that choose a
    format by it. Raises `OSError` for folders, sockets, block devices and write-protected files, and if the
    folder is missing or not writable.
    """
    path = os.path.abspath(path)
    if _writes_through(path):
        with tempfile.TemporaryDirectory(prefix="diffusion-studio-") as folder:
            draft = Path(folder, "file" + suffix)
            draft.touch()
            yield draft
            _copy_through(draft, path)
        return
    target = Path(os.path.realpath(path))
    _remove_stale(target.parent)
    draft = target.with_name(_TEMPORARY_NAME.format(uuid.uuid4().hex) + suffix)
    try:
        draft.touch(exist_ok=False)
        mode = stat.S_IMODE(draft.stat().st_mode)
        yield draft
        _copy_mode_and_owner(draft, target, mode)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def check(path: str | Path) -> None:
    """Raise the `OSError` that `replacing` would raise before writing. The file at `path` is not changed."""
    path = os.path.abspath(path)
    if not _writes_through(path):
        draft = Path(os.path.realpath(path)).with_name(_TEMPORARY_NAME.format(uuid.uuid4().hex))
        try:
            draft.touch(exist_ok=False)
        finally:
            draft.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically, see `replacing`. Raises `OSError`."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file atomically, in UTF-8 with line feeds. Raises `OSError`.

    Characters that are not valid Unicode, such as bytes of a file name in another encoding, are escaped.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def streamed(path: str | Path) -> bool:
    """Whether `path` is a pipe or a device. Content is written into it instead of replacing it."""
    try:
        return _writes_through(os.path.abspath(path))
    except OSError:
        return False


def missing(path: str | Path, kind: str = "file") -> str:
    """A sentence that says why there is no file, or with `kind` "folder" no folder, at `path`.

    It tells apart a path where nothing is, a link whose target does not exist, and an entry of another kind.
    """
    name = repr(str(path))
    if os.path.islink(path) and not os.path.exists(path):
        return f"{name} is a link to {os.readlink(path)!r}, which does not exist."
    if os.path.exists(path):
        return f"{name} is a {'folder' if os.path.isdir(path) else 'file'}, not a {kind}."
    return f"There is no {kind} {name}."


def advice(error: OSError) -> str:
    """A sentence that says what to do about a file that could not be written."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "Make the folder first, or choose another."
    if error.errno == errno.EISDIR:
        return "Add a file name."
    if error.errno == errno.ENAMETOOLONG:
        return "Choose a shorter name."
    if error.errno in FULL:
        return "Free space there, or choose another folder."
    if error.errno in (errno.ENOTSUP, errno.EILSEQ):
        return "Name another file."
    return "Choose a folder that you may write to."


def why(error: OSError) -> str:
    """The system's message for an error, without the name of the temporary file."""
    return error.strerror or str(error) or type(error).__name__


def safe_name(*parts: str | None, suffix: str = "") -> str:
    """A file name made of the given parts, joined by "-". Every system and shell accepts it unquoted.

    Letters and digits of any script stay; other characters except "." and "-" become "_". Empty parts are
    left out. The name, with `suffix`, has at most 120 bytes in UTF-8: the longest part is shortened first.
    """
    kept = [text for part in parts if (text := _clean(part or ""))]
    while len("-".join(kept).encode()) > _MAX_NAME_BYTES - len(suffix.encode()):
        longest = max(range(len(kept)), key=lambda k: len(kept[k].encode()))
        kept[longest] = kept[longest][:-1].rstrip("_.")
        kept = [part for part in kept if part]
    name = "-".join(kept).strip("-.") or "file"
    return ("_" if _RESERVED.fullmatch(name.partition(".")[0]) else "") + name + suffix


def _clean(text: str) -> str:
    """The text with every character replaced by "_" that `safe_name` does not allow."""
    encoding = sys.getfilesystemencoding()  # an encoding other than UTF-8 lacks letters
    text = unicodedata.normalize("NFC", text).encode(encoding, "replace").decode(encoding)
    text = "".join(c if unicodedata.category(c)[0] in "LNM" or c in "-." else "_" for c in text)
    return re.sub("[_.]*_[_.]*", "_", text).strip("_.")


def _writes_through(path: str) -> bool:
    """True if `path` is to be written into (a pipe, a device, an open file), False if it is to be replaced.

    Raises `OSError` if it cannot be written.
    """
    try:
        mode = os.stat(path).st_mode
    except UnicodeEncodeError as error:
        why = f"the encoding of file names, {error.encoding}, cannot express this name"
        raise OSError(errno.EILSEQ, why, path) from error
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
            raise
        return False
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder", path)
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        what = "a socket" if stat.S_ISSOCK(mode) else "a block device, whose content would be lost"
        raise OSError(errno.ENOTSUP, f"it is {what}", path)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it may not be written to", path)
    # /dev/stdout may be a file that somebody reads: a new file in its place would not reach the reader
    return (
        not stat.S_ISREG(mode)
        or _OPEN_FILE_FOLDERS.fullmatch(os.path.realpath(os.path.dirname(path))) is not None
    )


def _copy_through(draft: Path, path: str) -> None:
    """Write a complete file into an existing pipe or device."""
    with draft.open("rb") as source, open(_open_sink(path), "wb") as sink:
        shutil.copyfileobj(source, sink)


def _open_sink(path: str) -> int:
    """A descriptor to write to `path`.

    If `path` stands for an open file of this process, that descriptor is duplicated, so that writing goes on
    at its position. Otherwise `path` is opened.
    """
    for one in (path, *([os.readlink(path)] if os.path.islink(path) else [])):
        folder, name = os.path.split(one)
        if os.path.realpath(folder) == f"/proc/{os.getpid()}/fd" and name.isdecimal():
            return os.dup(int(name))
    return os.open(path, os.O_WRONLY)


def _copy_mode_and_owner(draft: Path, target: Path, mode: int) -> None:
    """Give the draft the mode and the owner of the file that it replaces.

    If there is none, it gets `mode`, which it had when it was created: some libraries make their files
    readable by the owner only.
    """
    with suppress(FileNotFoundError):
        there = target.stat()
        mode = stat.S_IMODE(there.st_mode)
        made = draft.stat()
        if hasattr(os, "chown") and (there.st_uid, there.st_gid) != (made.st_uid, made.st_gid):
            with suppress(OSError):  # only root may change the owner
                os.chown(draft, there.st_uid, there.st_gid)
    with suppress(OSError):  # some file systems have no modes
        draft.chmod(mode)


def _remove_stale(folder: Path) -> None:
    """Remove temporary files in the folder that are older than a day: their writers were killed."""
    with suppress(OSError):
        for one in folder.glob(_TEMPORARY_NAME.format("*") + "*"):
            if time.time() - one.lstat().st_mtime > _STALE_SECONDS:
                one.unlink()
