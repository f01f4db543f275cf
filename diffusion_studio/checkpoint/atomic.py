"""Atomic writing of safetensors files: readers see the old file or the complete new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from .. import files
from ..errors import CheckpointError

if TYPE_CHECKING:
    import torch


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous CPU tensors. Raises `CheckpointError` if the folder is missing, read-only or full."""
    from safetensors.torch import save_file

    try:
        with files.replacing(path) as draft:
            save_file(dict(tensors), draft, metadata=dict(metadata))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({files.why(error)}). {files.advice(error)}"
        ) from error
    except SafetensorError as error:  # it has no error number; the usual cause is a full disk
        raise CheckpointError(
            f"{path} cannot be written ({error}). Free space there, or choose another folder."
        ) from error
