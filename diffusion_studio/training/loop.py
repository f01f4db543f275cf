"""The training loop: a generator, so that whoever drives it decides what to show and when to stop.

Every random number is a function of the seed and of the place in the run, so a resumed run goes on exactly as
if it had not stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoint import classifier, native
from ..data import KNOWN
from ..data.points import POINT_SETS, SHAPES
from ..data.summary import DataSummary
from ..device import pick_device
from ..errors import OptionError, Setting, StudioError
from .board import Board
from .config import TrainConfig
from .fingerprint import check_labels, check_same, fingerprint, in_kept_order
from .parallel import join, local_device
from .run import RunFolder
from .status import Reporter, Status
from .tasks import load_data, summary_of
from .trainer import Trainer

LOG_EVERY = 50  # steps; of a short run more often, as a curve wants points
ROWS = 50
SAMPLE_EVERY, SAVE_EVERY = 20_000, 10_000  # images


@dataclass(frozen=True)
class TrainStep:
    """One optimizer step. `rate` is images per second since the start of this session, `left` seconds to the
    end.

    `stop` tells that some process of the run was asked to stop: whoever drives the loop then closes it.
    """

    step: int
    seen: int
    total: int
    loss: float
    lr: float
    rate: float
    left: float
    stop: bool = False


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    device: str = "auto",
    compile: bool = False,
    resume: bool = False,
    sample_every: int | None = None,
    save_every: int | None = None,
    asked: Callable[[], bool] = lambda: False,
    on_data: Callable[[DataSummary], None] = lambda read: None,
) -> Generator[TrainStep, None, None]:
    """Train into the folder `out`, yielding after every step; `sample_every` and `save_every` count images, 0
    is never.

    With `resume` the run in `out` continues; `config` may then ask for more images or export another average,
    but for nothing else. However the loop ends (finished, closed, interrupted), the state is saved, and the
    model file holds the averaged weights. What is wrong with the configuration, the data, the folder or the
    device is raised here, before the first step; a loss that stops being finite is a `StudioError` later, and
    what was saved before it stays on disk.

    `on_data` is given what was read, before the network is made. A resumed run keeps its labels in their
    order; where the data is not what it was begun with, a `DataError` says what differs.

    Under torchrun every process calls this alike and gets the same steps; the first alone writes. `asked`
    says whether this process was asked to stop; all see it in the `stop` of the same step.
    """
    folder, device_here = RunFolder(out), pick_device(local_device(device))
    kept = folder.config() if resume else None
    if kept is not None:
        kept.check_resume(config)
        _check_place(folder, kept, config)
    world = join(device_here)
    status = Reporter(None, config.images)
    try:
        if not resume and world.first:
            folder.check_free()
        status = _reporter(folder, config) if world.first else status
        data = load_data(config)
        if world.first:
            on_data(summary_of(config, data))
        if kept is not None:
            data = _as_begun(folder, config.kind, data)
        trainer = Trainer(config, folder, device_here, compile, world, data)
        if world.first:
            if trainer.progress.seen < config.images:
                trainer.check_room()
                if kept is not None:
                    folder.trim_log(trainer.progress.step)
            if kept is not None:
                _adopt(trainer, kept)
            else:  # now that nothing is wrong with the data, the network and the device
                folder.create(config, fingerprint(data))
        world.wait()  # nobody reads what the first process goes on to write
    except BaseException as error:
        status.ended(*_ending(error))
        world.leave()
        raise
    # a point is seen in microseconds: a fifth of the run between two sheets, and between two states
    sheets, states = (config.images // 5,) * 2 if config.kind == "points" else (SAMPLE_EVERY, SAVE_EVERY)
    return _steps(
        trainer,
        sheets if sample_every is None else sample_every,
        states if save_every is None else save_every,
        asked,
        status,
    )


def _reporter(folder: RunFolder, config: TrainConfig) -> Reporter:
    """Says how the run stands. Before the first step a new run may have no folder yet, and then nothing is
    written.
    """
    before = Status.read(folder.path)
    if before is not None and before.state == "finished" and before.images >= config.images:
        return Reporter(None, config.images, before.images)  # it stays as it is
    seen = before.images if before else 0
    if folder.path.is_dir():
        Status("preparing", seen, config.images).write(folder.path)
    return Reporter(folder.path, config.images, seen)


def _ending(error: BaseException) -> tuple[str, str | None]:
    """State and sentence of a run that an error, or somebody, ended."""
    if isinstance(error, StudioError):
        return "failed", str(error)
    if isinstance(error, Exception):
        return "failed", f"{type(error).__name__}: {error}"
    return "stopped", None


def _check_place(folder: RunFolder, kept: TrainConfig, config: TrainConfig) -> None:
    """An `OptionError` where the data of a resumed run is not at its place, or cannot be known again."""
    named = config.data in (*KNOWN, *POINT_SETS, SHAPES)
    if not named and not Path(config.data).expanduser().exists():
        raise OptionError(
            "data",
            f"The run in {folder.path} is trained on {config.data!r}, and there is nothing of that name in "
            f"{Path.cwd()}. Resume it where it was begun, or say where the data lies now with ",
            Setting("data"),
            ".",
        )
    if config.data != kept.data and folder.data() is None:
        raise OptionError(
            "data",
            f"The run in {folder.path} has no marks of its data (data.json), so only {kept.data!r} can be "
            f"taken, got {config.data!r}. Start a new run for other data.",
        )


def _as_begun(folder: RunFolder, kind: str, data: Any) -> Any:
    """The data with its labels in the run's order. A `DataError` where it is not what the run was begun
    with."""
    begun, model = folder.data(), folder.export_path(kind)
    if begun is not None:
        data = in_kept_order(data, [*begun.labels])
        check_same(folder.path, begun, data)
    elif model.is_file():  # a run by an earlier version: its model has the labels
        labels = (classifier if kind == "classifier" else native).read_spec(model).labels
        data = in_kept_order(data, labels)
        check_labels(folder.path, labels, data)
    return data


def _adopt(trainer: Trainer, kept: TrainConfig) -> None:
    """Save what a resumed run's configuration changed; what the model file holds takes effect at once."""
    wanted = trainer.config
    if trainer.folder.data() != (now := fingerprint(trainer.data)):  # a run by an earlier version
        trainer.folder.save_data(now)
    if kept != wanted:
        trainer.folder.save_config(wanted)
    if replace(kept, images=wanted.images) != wanted and trainer.progress.step:
        trainer.export()
        _save_sheet(trainer, "final")


def _steps(
    trainer: Trainer, sample_every: int, save_every: int, asked: Callable[[], bool], status: Reporter
) -> Generator[TrainStep, None, None]:
    """The steps, and how the run stands beside them."""
    try:
        yield from _trained(trainer, sample_every, save_every, asked, status)
    except BaseException as error:
        status.images = trainer.progress.seen
        status.ended(*_ending(error))
        raise
    status.images = trainer.progress.seen
    status.ended("finished")


def _trained(
    trainer: Trainer, sample_every: int, save_every: int, asked: Callable[[], bool], status: Reporter
) -> Generator[TrainStep, None, None]:
    config, folder, first = trainer.config, trainer.folder, trainer.world.first
    started, before = time.monotonic(), trainer.progress
    log_every = max(1, min(LOG_EVERY, config.images // config.batch // ROWS))
    board = Board(folder.path, before.step) if first else Board()
    try:
        while trainer.progress.seen < config.images:
            done = trainer.step(asked())
            at = trainer.progress
            spent = time.monotonic() - started
            trainer.progress = at = replace(at, seconds=before.seconds + spent)
            rate = (at.seen - before.seen) / spent
            left = max(config.images - at.seen, 0) / rate
            status.training(at.seen, trainer.recent_loss(), rate, left)
            yield TrainStep(at.step, at.seen, config.images, done.loss, done.lr, rate, left, done.stop)
            if first and (at.step % log_every == 0 or at.seen >= config.images):
                folder.log(
                    step=at.step,
                    seen=at.seen,
                    loss=round(trainer.recent_loss(), 5),
                    lr=done.lr,
                    rate=round(rate, 1),
                )
                board.scalars(at.step, loss=done.loss, lr=done.lr, gradient_norm=done.norm, rate=rate)
            if first and _passed(sample_every, at.seen, config.batch):
                board.picture(at.step, _save_sheet(trainer, f"{at.seen:09d}"))
            if first and _passed(save_every, at.seen, config.batch):
                trainer.save()
    finally:
        board.close()
        trainer.world.leave()
        if trainer.progress != before and trainer.whole and first:
            trainer.save()
    if trainer.progress != before and first:
        _save_sheet(trainer, "final")
        trainer.export()  # the card shows the sheet


def _save_sheet(trainer: Trainer, name: str):
    if (sheet := trainer.sheet()) is not None:
        trainer.folder.save_picture(sheet, trainer.folder.samples / f"{name}.png")
    return sheet


def _passed(every: int, seen: int, batch: int) -> bool:
    return bool(every) and seen // every > (seen - batch) // every
