"""How a training run stands, read from its folder: nobody has to be asked, and nothing has to have been
started here.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import OptionError
from ..training.config import TrainConfig
from ..training.run import RunFolder

CONSOLE = "console.txt"  # in the run's folder: what its process said
_SAID = "diffusion-studio: "
_BAR = re.compile(
    r"(?P<seen>[\d.]+[kMG]?)/[\d.]+[kMG]? \[[\d:]+<(?P<left>[\d:?]+), +(?P<rate>[\d.?]+[kMG]?)img/s"
    r"(?:, loss=(?P<loss>[\d.]+))?"
)


@dataclass(frozen=True)
class Bar:
    """What a run's progress bar last said: images seen, time left and images per second as it writes them;
    and the losses (images seen, loss) of this session.
    """

    seen: int
    left: str
    rate: str
    losses: tuple[tuple[int, float], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class RunState:
    """How a run stands. `rows` are those of its log; `samples` its sheets, the newest last; `said` the
    error it ended with.
    """

    name: str
    config: TrainConfig
    running: bool
    rows: tuple[dict[str, float], ...]
    samples: tuple[Path, ...]
    model: Path | None
    said: str
    bar: Bar | None = None
    known: bool = True  # whether `config` is the run's own

    @property
    def seen(self) -> int:
        """Images seen, as far as is known."""
        return max(
            int(self.rows[-1]["seen"]) if self.rows else 0,
            self.bar.seen if self.bar else 0,
            self.config.images if self.finished else 0,
        )

    @property
    def finished(self) -> bool:
        """Whether it came to its end: the sheet of the end is its newest."""
        return not self.running and not self.said and bool(self.samples) and self.samples[-1].stem == "final"

    @property
    def paused(self) -> bool:
        """Whether there is something to go on with."""
        return not self.running and not self.finished and self.model is not None


def read_state(folder: Path, running: bool) -> RunState:
    """How the run in a folder stands."""
    run = RunFolder(folder)
    try:
        config, known = run.config(), True
    except (OptionError, OSError):  # before its first step: the data is still being read
        config, known = TrainConfig(), False
    model = run.export_path(config.kind)
    samples = (
        sorted(run.samples.glob("*.png"), key=lambda path: path.stat().st_mtime)
        if run.samples.is_dir()
        else []
    )
    console = _tail(folder / CONSOLE)
    return RunState(
        folder.name,
        config,
        running,
        tuple(_rows(run.log_path)),
        tuple(samples),
        model if model.is_file() else None,
        "" if running else _error(console),
        _bar(console),
        known,
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


def _tail(console: Path, most: int = 1 << 17) -> list[str]:
    """The last lines of what a run said; a progress bar's states are lines too."""
    try:
        with console.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.replace("\r", "\n").splitlines() if line.strip()]


def _error(lines: list[str]) -> str:
    """The sentence in which a run said why it ended, if it did."""
    sentences = [line.removeprefix(_SAID) for line in lines if line.startswith(_SAID)]
    if sentences and sentences[-1] != "interrupted":
        return sentences[-1]
    return lines[-1] if any(line.startswith("Traceback") for line in lines) else ""


def _bar(lines: list[str]) -> Bar | None:
    found = [match for match in map(_BAR.search, lines) if match]
    if not found:
        return None
    losses = tuple((_number(one["seen"]), float(one["loss"])) for one in found if one["loss"])
    return Bar(_number(found[-1]["seen"]), found[-1]["left"], found[-1]["rate"], losses)


def _number(text: str) -> int:
    """1.23k -> 1230."""
    scale = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
    return round(float(text.rstrip("kMG")) * scale)
