"""The state of a training run, read from its folder. This also works for runs of other processes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..errors import OptionError
from ..training.config import TrainConfig
from ..training.run import RunFolder
from ..training.status import Status

CONSOLE = "console.txt"  # in the run's folder: what its process said


@dataclass(frozen=True)
class RunState:
    """How a run stands. `rows` are those of its log; `samples` its sheets, the newest last; `error` the
    one it ended with; `status` what it last wrote of itself.
    """

    name: str
    config: TrainConfig
    running: bool
    rows: tuple[dict[str, float], ...]
    samples: tuple[Path, ...]
    model: Path | None
    error: str
    status: Status | None = None
    has_config: bool = True  # whether `config` is the run's own, and not the default
    stopping: bool = False  # whether it was asked to stop and still runs

    @property
    def seen(self) -> int:
        """Number of training images so far, as far as it is known."""
        return max(
            int(self.rows[-1]["seen"]) if self.rows else 0,
            self.status.images if self.status else 0,
            self.config.images if self.finished else 0,
        )

    @property
    def finished(self) -> bool:
        """Whether the run has reached its last step."""
        return not self.running and self.status is not None and self.status.state == "finished"

    @property
    def paused(self) -> bool:
        """Whether the run can be resumed."""
        return not self.running and not self.finished and self.model is not None


def read_state(folder: Path, running: bool) -> RunState:
    """The state of the run in a folder."""
    run = RunFolder(folder)
    try:
        config, has_config = run.config(), True
    except (OptionError, OSError):  # before its first step: the data is still being read
        config, has_config = TrainConfig(), False
    model = run.export_path(config.kind)
    samples = (
        sorted(run.samples.glob("*.png"), key=lambda path: path.stat().st_mtime)
        if run.samples.is_dir()
        else []
    )
    status = Status.read(folder)
    return RunState(
        folder.name,
        config,
        running,
        tuple(_rows(run.log_path)),
        tuple(samples),
        model if model.is_file() else None,
        "" if running else _error(folder, status, has_config),
        status,
        has_config,
    )


def _rows(log: Path) -> list[dict[str, float]]:
    try:
        text = log.read_text("utf-8")
    except OSError:
        return []
    whole = text[: text.rfind("\n") + 1].splitlines()  # the last line may be under way
    found = []
    for row in csv.DictReader(whole):
        try:
            found.append({name: float(value) for name, value in row.items()})
        except (TypeError, ValueError):
            continue
    return found


def _error(folder: Path, status: Status | None, has_config: bool) -> str:
    """The message with which a run ended, or a sentence about a run that ended without one."""
    if status is not None and status.error:
        return status.error
    silent = status is not None and status.state in ("preparing", "training")
    if silent or (status is None and not has_config and (folder / CONSOLE).exists()):
        return f"The run ended without an error message, or was killed. {CONSOLE} in its folder may say more."
    return ""
