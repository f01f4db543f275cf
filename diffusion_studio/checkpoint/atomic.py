"""Writing safetensors in one piece: readers see the old file or the whole new one, and a full disk leaves the old."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from ..errors import CheckpointError

if TYPE_CHECKING:
    import torch


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous CPU tensors; a `CheckpointError` where the folder is missing, read-only or full."""
    from safetensors.torch import save_file

    partial = path.with_name(path.name + ".partial")
    try:
        partial.touch()                                     # says what is wrong with the folder as an OSError
        readable = partial.stat().st_mode
        save_file(dict(tensors), partial, metadata=dict(metadata))
        partial.chmod(readable)                             # the library leaves its files to their owner alone
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be written ({reason}). {_advice(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def _advice(error: Exception) -> str:
    number = getattr(error, "errno", None)                  # the library says no number: its first fault is a full disk
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "Make the folder first, or choose another."
    if number in (None, errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)):
        return "Free space there, or choose another folder."
    return "Choose a folder that you may write to."
