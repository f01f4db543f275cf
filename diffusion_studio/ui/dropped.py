"""Checkpoints that visitors upload: one for each, kept until the visitor leaves or uploads another."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoint.container import INDEX, PICKLES, SHARD, resolve_link, shard_files
from ..errors import CheckpointError
from ..studio import Studio
from .closing import at_end

BESIDE = ("config.json", "scheduler_config.json", "args.json")
MAX_BESIDE = 4_000_000  # bytes
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@dataclass
class Chosen:
    """The checkpoint that a visitor looks at: its file, whether the visitor uploaded it (`own`), the name
    under which the Studio has it, the visitor's flags, and the names of the files as the visitor chose them.
    """

    path: Path
    own: bool
    name: str = ""
    flags: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


class UploadedCheckpoints:
    """The folder of uploaded files of each visitor, and their models in the Studio. All are deleted when the
    program ends.
    """

    def __init__(self, studio: Studio, max_bytes: int) -> None:
        self.studio = studio
        self.max_bytes = max_bytes
        self._of: dict[str, tuple[Path, list[str]]] = {}  # folder, and names in the Studio
        self._lock = threading.Lock()
        at_end(self.close)

    def take(self, visitor: str, paths: Sequence[str | Path]) -> Chosen:
        """Move uploaded files into the visitor's own folder, which replaces the one before. Raises
        `CheckpointError`.

        One weight file, or an index and all its parts, and the configurations that belong to it.
        """
        files = [Path(one) for one in paths]
        weights = [one for one in files if one.name not in BESIDE]
        indices = [one for one in weights if INDEX.fullmatch(one.name)]
        if len(indices) == 1 and all(SHARD.fullmatch(one.name) for one in weights if one not in indices):
            weights = indices
        if len(weights) != 1:
            names = ", ".join(one.name for one in weights[:5]) or "none"
            raise CheckpointError(
                f"Drop one weight file at a time, with its {', '.join(BESIDE)} where it has them, or the "
                f"index and all parts of one model; the weight files that came are: {names}."
            )
        for one in files:
            limit = MAX_BESIDE if one.name in BESIDE else self.max_bytes
            if one.stat().st_size > limit:
                raise CheckpointError(
                    f"{one.name} has {one.stat().st_size / 1e6:,.0f} MB, and at most {limit / 1e6:,.0f} MB "
                    "may be dropped here. Run the app on your own machine for it: diffusion-studio serve."
                )
        self.forget(visitor)
        folder = Path(tempfile.mkdtemp(prefix="diffusion-studio-model-"))
        with self._lock:
            self._of[visitor] = folder, []
        try:
            for one in files:
                shutil.move(one, folder / safe_name(one.name))
        except OSError as error:
            self.forget(visitor)
            raise CheckpointError(
                f"{one.name} could not be kept ({error.strerror}). Drop it again."
            ) from error
        return Chosen(folder / safe_name(weights[0].name), own=True)

    def open(self, visitor: str, chosen: Chosen, secret: bool) -> str:
        """Add the visitor's checkpoint to the Studio, unlisted; `secret` names cannot be guessed by other
        visitors.
        """
        index = INDEX.fullmatch(chosen.path.name)
        name = (index[1] if index else chosen.path.stem) + (f"-{secrets.token_hex(6)}" if secret else "")
        name += "-dropped" if name in {card.name for card in self.studio.models()} else ""
        name = self.studio.open(chosen.path, chosen.flags, name=chosen.name or name, listed=False)
        with self._lock:
            kept = self._of.get(visitor)
            if kept is None:
                self.studio.forget(name)
                raise CheckpointError("This file is no longer kept. Drop it again.")
            kept[1].append(name)
        return name

    def forget(self, visitor: str) -> None:
        """Remove what a visitor dropped, from the Studio and from the disk."""
        with self._lock:
            folder, names = self._of.pop(visitor, (None, []))
        for name in names:
            self.studio.forget(name)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        for visitor in list(self._of):
            self.forget(visitor)


def safe_name(name: str) -> str:
    """A file's name without separators, leading dots or other characters of a path."""
    kept = "".join(c if c in _ALLOWED else "_" for c in os.path.basename(name.replace("\\", "/"))).lstrip(".")
    return kept[-120:] or "model.safetensors"


def upload_suffixes() -> list[str]:
    """Suffixes that may be uploaded. Pickles are among them: their error says how to convert them."""
    return [".safetensors", ".json", *PICKLES]


def weight_files(folders: Sequence[Path], most: int = 500) -> dict[str, Path]:
    """Weight files and indices in these folders, at most five levels deep, by 'FOLDER/path/in/it'."""
    found: dict[str, Path] = {}
    for folder in folders:
        root = folder.resolve()
        for depth in range(5):  # a cache has models--.../snapshots/.../unet/FILE
            for path in sorted(root.glob("*/" * depth + "*.*")):
                weights = (
                    path.suffix == ".safetensors"
                    and not SHARD.fullmatch(path.name)
                    or INDEX.fullmatch(path.name)
                )
                if weights and path.is_file() and len(found) < most and _inside(path, root):
                    found[f"{root.name}/{path.relative_to(root).as_posix()}"] = path
    return found


def _inside(path: Path, root: Path) -> bool:
    """Whether a file, with all parts of an index, lies below a folder after links are followed."""
    try:
        return all(resolve_link(one).resolve().is_relative_to(root) for one in {path, *shard_files(path)})
    except CheckpointError:
        return False
