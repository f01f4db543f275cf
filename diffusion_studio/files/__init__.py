"""Writing files, for everybody who writes one: a reader sees the old file or the whole new one, never a part.

`replacing` gives a temporary file in the target's own folder, which takes the target's place at the end.
Whatever ends the writing early (an error, Ctrl-C, SIGTERM) leaves the old file as it was and removes the
temporary one.
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

_NAME = ".diffusion-studio-{}.partial"  # of temporary files
_LEFT = 86_400  # seconds after which its writer must have been killed
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None))
_HANDLES = re.compile(r"/dev|/proc/.*|/dev/fd")  # folders whose entries are open files, not files
# Windows' devices, whatever follows a dot
_RESERVED = re.compile(r"CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]", re.I)
_LONGEST = 120  # bytes of a name made here; file systems allow 255


@contextmanager
def replacing(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """Give the path of an empty temporary file; what is written there becomes `path`'s content at the end.

    A symbolic link stays, and its target gets the content. A file that is there keeps its mode (and its
    owner, where this process may set it); a new one has the mode of the umask. A pipe or a character device
    is written through once the content is complete. `suffix` is the temporary file's, for writers that look
    at it. Raises `OSError`: for folders, sockets and block devices, for a file that is write-protected, and
    where the folder takes no file.
    """
    path = os.path.abspath(path)
    if _check(path):
        with tempfile.TemporaryDirectory(prefix="diffusion-studio-") as folder:
            draft = Path(folder, "file" + suffix)
            draft.touch()
            yield draft
            _pour(draft, path)
        return
    target = Path(os.path.realpath(path))
    _sweep(target.parent)
    draft = target.with_name(_NAME.format(uuid.uuid4().hex) + suffix)
    try:
        draft.touch(exist_ok=False)
        mode = stat.S_IMODE(draft.stat().st_mode)
        yield draft
        _dress(draft, target, mode)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def check(path: str | Path) -> None:
    """Raise now the `OSError` that `replacing` would raise before it writes; nothing is changed."""
    path = os.path.abspath(path)
    if not _check(path):
        draft = Path(os.path.realpath(path)).with_name(_NAME.format(uuid.uuid4().hex))
        try:
            draft.touch(exist_ok=False)
        finally:
            draft.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """The whole file at once. Raises `OSError`."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """The whole file at once, in UTF-8 with line feeds. Raises `OSError`.

    What is no valid Unicode (a file's name from another encoding) is written as its escape.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def streamed(path: str | Path) -> bool:
    """Whether there is a pipe or a device at `path`, which is written through and not replaced."""
    try:
        return _check(os.path.abspath(path))
    except OSError:
        return False


def advice(error: OSError) -> str:
    """What to do about a file that could not be written."""
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
    """The system's words for an error, without the name of a temporary file."""
    return error.strerror or str(error) or type(error).__name__


def safe_name(*parts: str | None, suffix: str = "") -> str:
    """A file name of these parts, with "-" between them, that every system allows and no shell misreads.

    Letters and digits of any script stay; everything else but . and - becomes "_". The name is at most 120
    bytes long: the longest part loses its end first. Empty parts are left out.
    """
    kept = [text for part in parts if (text := _clean(part or ""))]
    while len("-".join(kept).encode()) > _LONGEST - len(suffix.encode()):
        longest = max(range(len(kept)), key=lambda k: len(kept[k].encode()))
        kept[longest] = kept[longest][:-1].rstrip("_.")
        kept = [part for part in kept if part]
    name = "-".join(kept).strip("-.") or "file"
    return ("_" if _RESERVED.fullmatch(name.partition(".")[0]) else "") + name + suffix


def _clean(text: str) -> str:
    encoding = sys.getfilesystemencoding()  # seldom another than UTF-8; then it lacks letters
    text = unicodedata.normalize("NFC", text).encode(encoding, "replace").decode(encoding)
    text = "".join(c if unicodedata.category(c)[0] in "LNM" or c in "-." else "_" for c in text)
    return re.sub("[_.]*_[_.]*", "_", text).strip("_.")


def _check(path: str) -> bool:
    """Whether to write through to what is at `path`; False where it is a file or nothing.

    Raises `OSError` for the rest.
    """
    try:
        mode = os.stat(path).st_mode
    except UnicodeEncodeError as error:
        why = f"no file can have this name in the encoding {error.encoding}"
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
    # what /dev/stdout leads to is open already: a new file in its place is not the one that somebody reads
    return not stat.S_ISREG(mode) or _HANDLES.fullmatch(os.path.realpath(os.path.dirname(path))) is not None


def _pour(draft: Path, path: str) -> None:
    """Write a finished file into a pipe or a device that is there."""
    with draft.open("rb") as source, open(_sink(path), "wb") as sink:
        shutil.copyfileobj(source, sink)


def _sink(path: str) -> int:
    """What is open at `path` as it stands: an output that is appended to goes on where it is. Else opened."""
    for one in (path, *([os.readlink(path)] if os.path.islink(path) else [])):
        folder, name = os.path.split(one)
        if os.path.realpath(folder) == f"/proc/{os.getpid()}/fd" and name.isdecimal():
            return os.dup(int(name))
    return os.open(path, os.O_WRONLY)


def _dress(draft: Path, target: Path, mode: int) -> None:
    """Give the draft the mode and the owner of the file whose place it takes.

    Without one it has the mode that it was made with: some libraries leave their files to their owner alone.
    """
    with suppress(FileNotFoundError):
        there = target.stat()
        mode = stat.S_IMODE(there.st_mode)
        made = draft.stat()
        if hasattr(os, "chown") and (there.st_uid, there.st_gid) != (made.st_uid, made.st_gid):
            with suppress(OSError):  # only root may give files away
                os.chown(draft, there.st_uid, there.st_gid)
    with suppress(OSError):  # file systems without modes
        draft.chmod(mode)


def _sweep(folder: Path) -> None:
    """Remove temporary files here whose writers were killed, a day ago or longer."""
    with suppress(OSError):
        for one in folder.glob(_NAME.format("*") + "*"):
            if time.time() - one.lstat().st_mtime > _LEFT:
                one.unlink()
