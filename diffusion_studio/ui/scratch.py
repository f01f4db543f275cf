"""The app's folder for temporary files, its own: no other user and no other instance has a say in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ExportError, OptionError
from ..files import why
from .closing import at_end

NAMED = "GRADIO_TEMP_DIR"
_PREFIX = "diffusion-studio-app-"


def own_folder() -> Path:
    """Make the folder for all temporary files of this process, Gradio's too; it goes when the program ends.

    It lies in the folder that GRADIO_TEMP_DIR names, else where temporary files usually are. Call it before
    gradio is imported. Raises `OptionError` where it cannot be made.
    """
    named = os.environ.get(NAMED)
    try:
        if named:
            os.makedirs(named, exist_ok=True)
        usual = os.path.abspath(named or tempfile.gettempdir())
        _remove_orphans(Path(usual))
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=usual)).resolve()
    except OSError as error:
        where = f"The folder {named!r} that {NAMED} names" if named else "The folder for temporary files"
        raise OptionError(
            "folder",
            f"{where} cannot be used ({why(error)}). Name one in {NAMED} that you may write to"
            f"{', or unset it' if named else ''}.",
        ) from error
    lock = _locked(folder)  # open until the process ends
    cache = folder / "gradio"
    cache.mkdir()
    os.environ[NAMED] = str(cache)
    tempfile.tempdir = str(folder)

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)

    at_end(remove)
    return folder


def served_folder() -> Path:
    """A new folder in Gradio's cache: files in it are served from there, without a copy, and go with it.

    Raises `ExportError` where it cannot be made.
    """
    from gradio.utils import get_upload_folder

    cache = get_upload_folder()
    try:
        os.makedirs(cache, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="run-", dir=cache))
    except OSError as error:
        raise ExportError(
            f"No temporary folder can be made ({why(error)}). The server's disk may be full; "
            "the run is kept, so try again later."
        ) from error


def served_file(name: str, write: Callable[[Path], Any]) -> str:
    """The path of a new file of this name that Gradio serves without a copy. A failure leaves nothing."""
    folder = served_folder()
    try:
        write(folder / name)
        return str(folder / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _locked(folder: Path) -> int | None:
    """The open folder, locked for this process; None where another has the lock, or there are no locks.

    systemd's cleaning of old temporary files leaves a locked folder alone.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return opened
        except OSError:
            os.close(opened)
    return None


def _remove_orphans(usual: Path) -> None:
    """Remove the folders of apps that were killed. No process holds their lock."""
    for folder in usual.glob(_PREFIX + "*"):
        if (lock := _locked(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
