"""The status of a training run, in `status.json` in its folder, for programs that watch it. No torch."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .. import files

STATES = ("preparing", "training", "stopped", "finished", "failed")
EVERY = 1.0  # least seconds between two writes during training
MOST_LOSSES = 240  # in `Status.losses`; the oldest are dropped


@dataclass(frozen=True)
class Status:
    """The fields of `status.json`.

    `state` is one of `STATES`: "preparing" while the data is read, "training", "stopped" (on request, and
    saved), "finished" (all images seen), or "failed", with the reason in `error`. `images` were seen out of
    `target`. `loss` is the mean over the last steps, `rate` images per second in this session, `eta_s`
    seconds to the end; None if unknown. `time` is when this was written, in seconds since 1970. `losses` are
    pairs of images and loss, about one a second, of this session.
    """

    state: str
    images: int = 0
    target: int = 0
    loss: float | None = None
    rate: float | None = None
    eta_s: float | None = None
    error: str | None = None
    time: float = field(default_factory=time.time)
    losses: tuple[tuple[int, float], ...] = ()

    def write(self, folder: Path) -> None:
        """Replace the file atomically. Errors are ignored, because no run should end because of them."""
        try:
            files.write_text(_path(folder), json.dumps(asdict(self)))
        except OSError:
            pass

    @classmethod
    def read(cls, folder: Path) -> Status | None:
        """The status in a folder; None if there is no valid file."""
        try:
            given = json.loads(_path(folder).read_text("utf-8"))
            known = {one.name: given[one.name] for one in fields(cls) if one.name in given}
            losses = tuple((int(images), float(loss)) for images, loss in known.pop("losses", ()))
            found = cls(**known, losses=losses)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found if _is_valid(found) else None


class Reporter:
    """Writes the status of a run into its folder; nothing if `folder` is None."""

    def __init__(self, folder: Path | None, target: int, images: int = 0) -> None:
        self.folder, self.target, self.images = folder, target, images
        self._losses: list[tuple[int, float]] = []
        self._written = -math.inf

    def training(self, images: int, loss: float, rate: float, left: float) -> None:
        """Report the progress, at most once every `EVERY` seconds."""
        self.images = images
        if time.monotonic() - self._written >= EVERY:
            self._losses = [*self._losses, (images, round(loss, 6))][-MOST_LOSSES:]
            self._write("training", loss=round(loss, 6), rate=round(rate, 2), eta_s=round(left, 1))
            self._written = time.monotonic()

    def ended(self, state: str, error: str | None = None) -> None:
        """Report the final state."""
        self._write(state, loss=self._losses[-1][1] if self._losses else None, error=error)

    def _write(self, state: str, **more: Any) -> None:
        if self.folder is not None:
            Status(state, self.images, self.target, losses=tuple(self._losses), **more).write(self.folder)


def _path(folder: Path) -> Path:
    return folder / "status.json"


def _is_valid(found: Status) -> bool:
    """Whether the fields have the right types: anybody can write the file."""
    numbers = (found.loss, found.rate, found.eta_s)
    return (
        found.state in STATES
        and type(found.images) is int
        and type(found.target) is int
        and all(one is None or isinstance(one, (int, float)) and math.isfinite(one) for one in numbers)
        and (found.error is None or isinstance(found.error, str))
    )
