"""The folder of a training run.

config.json is the configuration, data.json a fingerprint of the data, state.safetensors the state to resume
from, model.safetensors the model with its card.md, log.csv the losses, and status.json the progress (see
`Status`). samples/ has sample sheets, snapshots/ averages whose length is chosen later.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..checkpoint.atomic import write_tensors
from ..errors import CheckpointError, DataError, OptionError
from .config import TrainConfig
from .fingerprint import Fingerprint

if TYPE_CHECKING:
    import torch
    from PIL import Image

MODEL_FILES = {
    "denoiser": "model.safetensors",
    "classifier": "classifier.safetensors",
    "points": "model.safetensors",
}
_SPARE = 1 << 20  # bytes that must stay free after writing


@dataclass(frozen=True)
class Progress:
    """The progress of a run: optimizer steps, images seen, seconds of training."""

    step: int = 0
    seen: int = 0
    seconds: float = 0.0


class RunFolder:
    """A training run on disk. Every write replaces a whole file atomically."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.data_path = self.path / "data.json"
        self.state_path = self.path / "state.safetensors"
        self.model_path = self.path / MODEL_FILES["denoiser"]
        self.card_path = self.path / "card.md"
        self.curve_path = self.path / "loss.png"
        self.log_path = self.path / "log.csv"
        self.samples = self.path / "samples"
        self.snapshots = self.path / "snapshots"

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def export_path(self, kind: str) -> Path:
        """The model file of a run of this kind."""
        return self.path / MODEL_FILES[kind]

    def check_free(self) -> None:
        """Raise `OptionError` if the folder already holds a run."""
        if self.config_path.exists():
            raise OptionError(
                "out",
                f"{self.path} already holds a training run. Continue it with --resume {self.path}, "
                "or give another folder.",
            )

    def create(self, config: TrainConfig, data: Fingerprint | None = None) -> None:
        """Create a new run on this data. Raises `OptionError` or `DataError` if the folder cannot be used."""
        self.check_free()
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            self.data_path.unlink(missing_ok=True)
            if data is not None:  # before the configuration, which makes the folder a run
                self.save_data(data)
            self.save_config(config)
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror}). Choose another folder."
            ) from error

    def config(self) -> TrainConfig:
        """The configuration of the run in this folder. Raises `OptionError` if there is none."""
        if not self.config_path.is_file():
            raise OptionError(
                "resume",
                f"{self.path} holds no training run (no config.json). Start one with --out {self.path}.",
            )
        return TrainConfig.from_json(self.config_path.read_text("utf-8"))

    def save_config(self, config: TrainConfig) -> None:
        files.write_text(self.config_path, config.to_json())

    def save_data(self, data: Fingerprint) -> None:
        files.write_text(self.data_path, data.to_json())

    def data(self) -> Fingerprint | None:
        """The fingerprint of the run's data; None for a run of an earlier version."""
        return (
            Fingerprint.from_json(self.data_path.read_text("utf-8"), self.data_path)
            if self.data_path.is_file()
            else None
        )

    def save_text(self, path: Path, text: str) -> None:
        """Write a text file of the run. Raises `DataError` if that fails."""
        with self._writing(path):
            files.write_text(path, text)

    def save_picture(self, picture: Image.Image, path: Path) -> None:
        """Write a PNG of the run. Raises `DataError` if that fails."""
        with self._writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(path) as draft:
                picture.save(draft, format="png")

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{path} cannot be written ({error.strerror or error}). The last checkpoint is in "
                f"{self.path}; free space there and go on with --resume {self.path}."
            ) from error

    def save_state(self, tensors: dict[str, torch.Tensor], progress: Progress) -> None:
        """Save the state to resume from, as safetensors, which cannot run code when opened.

        Raises `CheckpointError` if the disk is too full; the previous state then stays.
        """
        self.need_room(_size(tensors), "a checkpoint")
        write_tensors(self.state_path, tensors, {"progress": json.dumps(vars(progress))})

    def save_snapshot(self, tensors: dict[str, torch.Tensor], step: int) -> None:
        """Save averages of the weights after `step`. Errors as for `save_state`."""
        self.need_room(_size(tensors), "a snapshot of the averages")
        with self._writing(self.snapshots):
            self.snapshots.mkdir(exist_ok=True)
        write_tensors(self.snapshots / f"{step:09d}.safetensors", tensors, {"step": str(step)})

    def snapshot_paths(self, last: int) -> dict[int, Path]:
        """The snapshots up to step `last` by step, ascending. A killed run may have later ones, from after
        its last save.
        """
        found = {
            int(path.stem): path
            for path in sorted(self.snapshots.glob("*.safetensors"))
            if path.stem.isdecimal()
        }
        return {step: path for step, path in found.items() if step <= last}

    def need_room(self, needed: int, what: str) -> None:
        """Raise `CheckpointError` unless the disk has room for this many bytes and `_SPARE`. `what` names
        what is written.
        """
        needed += _SPARE
        free = shutil.disk_usage(
            next(one for one in (self.path, *self.path.resolve().parents) if one.exists())
        ).free
        if free < needed:
            kept = (
                "The checkpoint before it is whole" if self.state_path.exists() else "Nothing was saved yet"
            )
            then = (
                f"go on with --resume {self.path}"
                if self.config_path.exists()
                else "start again, or give another folder"
            )
            raise CheckpointError(
                f"{self.path} has {free / 1e6:.1f} MB free, and {what} of this run takes "
                f"{needed / 1e6:.1f} MB. {kept}; free space and {then}."
            )

    def load_state(self) -> tuple[dict[str, torch.Tensor], Progress] | None:
        """What `save_state` saved, or None if there is no state yet. Raises `CheckpointError` if it is
        damaged.
        """
        if not self.state_path.is_file():
            return None
        tensors, known = self._load(self.state_path, "the run cannot be resumed from it")
        try:
            return tensors, Progress(**json.loads(known["progress"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.state_path} is damaged ({error}); the run cannot be resumed from it."
            ) from error

    def load_snapshot(self, path: Path) -> dict[str, torch.Tensor]:
        """What `save_snapshot` saved at a path. Raises `CheckpointError` if it is damaged."""
        return self._load(path, "delete it to make averages without it, which are then less exact")[0]

    def _load(self, path: Path, else_do: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); {else_do}.") from error

    def log(self, **row: float) -> None:
        """Append a row to log.csv."""
        new = (
            not self.log_path.exists() or not self.log_path.stat().st_size
        )  # empty if killed before the first line
        with self._writing(self.log_path), self.log_path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)

    def trim_log(self, step: int) -> None:
        """Remove the rows after `step`, which a killed run logged after its last save."""
        if self.log_path.exists():
            head, *rows = self.log_path.read_text("utf-8").splitlines(keepends=True) or [""]
            kept = [row for row in rows if row.endswith("\n") and int(row.partition(",")[0]) <= step]
            with self._writing(self.log_path):
                files.write_text(self.log_path, "".join([head, *kept]) if head.endswith("\n") else "")


def _size(tensors: dict[str, torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors.values())
