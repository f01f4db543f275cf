"""Checkpoints that visitors upload: one for each, kept until the visitor leaves or uploads another."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .. import checkpoint
from ..checkpoint.container import INDEX, PICKLES, SHARD, resolve_link, shard_files
from ..data.archive import unpack_known
from ..errors import CheckpointError, StudioError
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

        One weight file, or an index and all its parts, and the configurations that belong to it; or a zip of
        a model's folder.
        """
        files = [Path(one) for one in paths]
        if zips := [one for one in files if one.suffix.lower() == ".zip"]:
            return self._take_zip(visitor, files, zips[0])
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
        folder = self._new_folder(visitor)
        try:
            for one in files:
                shutil.move(one, folder / safe_name(one.name))
        except OSError as error:
            self.forget(visitor)
            raise CheckpointError(
                f"{one.name} could not be kept ({error.strerror}). Drop it again."
            ) from error
        return Chosen(folder / safe_name(weights[0].name), own=True)

    def _new_folder(self, visitor: str) -> Path:
        """The visitor's own folder, in place of the one before."""
        self.forget(visitor)
        folder = Path(tempfile.mkdtemp(prefix="diffusion-studio-model-"))
        with self._lock:
            self._of[visitor] = folder, []
        return folder

    def _take_zip(self, visitor: str, files: Sequence[Path], archive: Path) -> Chosen:
        """The model in a zip of its folder, as of a pipeline of diffusers. Other files in it are left out."""
        if len(files) > 1:
            raise CheckpointError(
                f"Drop the zip alone: {archive.name} came with {len(files) - 1} other "
                f"file{'s' * (len(files) > 2)}."
            )
        folder = self._new_folder(visitor) / safe_name(archive.stem)
        try:
            written = unpack_known(archive, folder, _of_model, self.max_bytes)
            large = [one for one in written if one.suffix == ".json" and one.stat().st_size > MAX_BESIDE]
            if large:
                raise CheckpointError(
                    f"{large[0].name} in the zip has {large[0].stat().st_size / 1e6:,.0f} MB, and at most "
                    f"{MAX_BESIDE / 1e6:,.0f} MB of a configuration are read."
                )
            if not any(one.suffix == ".safetensors" for one in written):
                raise CheckpointError(
                    f"{archive.name} holds no .safetensors file. Zip the folder of one model, with its "
                    f"weights as safetensors and its {', '.join(BESIDE[:2])}."
                )
            return Chosen(checkpoint.weight_file(folder), own=True)
        except StudioError as error:
            self.forget(visitor)
            raise error if isinstance(error, CheckpointError) else CheckpointError(str(error)) from error
        finally:
            archive.unlink(missing_ok=True)

    def open(self, visitor: str, chosen: Chosen, secret: bool) -> str:
        """Add the visitor's checkpoint to the Studio, unlisted; `secret` names cannot be guessed by other
        visitors.
        """
        index = INDEX.fullmatch(chosen.path.name)
        stem = index[1] if index else chosen.path.stem
        if self._unpacked(visitor, chosen.path):  # whose files may have the names that all programs give
            stem = checkpoint.name_of(chosen.path)
        name = stem + (f"-{secrets.token_hex(6)}" if secret else "")
        name += "-dropped" if name in {card.name for card in self.studio.models()} else ""
        name = self.studio.open(chosen.path, chosen.flags, name=chosen.name or name, listed=False)
        with self._lock:
            kept = self._of.get(visitor)
            if kept is None:
                self.studio.forget(name)
                raise CheckpointError("This file is no longer kept. Drop it again.")
            kept[1].append(name)
        return name

    def _unpacked(self, visitor: str, path: Path) -> bool:
        """Whether a file of a visitor came in a zip."""
        with self._lock:
            folder, _ = self._of.get(visitor, (None, []))
        return folder is not None and folder != path.parent and path.is_relative_to(folder)

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


def _of_model(path: PurePosixPath) -> bool:
    """Whether a file of a zip belongs to a model: weights as safetensors, their index, or a configuration."""
    known = path.suffix == ".safetensors" or path.name in BESIDE or bool(INDEX.fullmatch(path.name))
    return known and not path.name.startswith(".") and "__MACOSX" not in path.parts


def safe_name(name: str) -> str:
    """A file's name without separators, leading dots or other characters of a path."""
    kept = "".join(c if c in _ALLOWED else "_" for c in os.path.basename(name.replace("\\", "/"))).lstrip(".")
    return kept[-120:] or "model.safetensors"


def upload_suffixes() -> list[str]:
    """Suffixes that may be uploaded. Pickles are among them: their error says how to convert them."""
    return [".safetensors", ".json", ".zip", *PICKLES]


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
