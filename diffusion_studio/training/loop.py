"""The training loop: a generator, so that its caller decides what to show and when to stop.

Every random number is a function of the seed and of the place in the run, so a resumed run continues exactly
as if it had not stopped.
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
from .config import MAY_CHANGE, TrainConfig
from .fingerprint import check_labels, check_same, fingerprint, with_label_order
from .parallel import join, local_device
from .run import RunFolder
from .status import Reporter, Status
from .tasks import load_data, summary_of
from .trainer import Trainer

LOG_EVERY = 50  # steps between rows of log.csv
ROWS = 50  # least number of rows: a short run logs more often
SAMPLE_EVERY, SAVE_EVERY = 20_000, 10_000  # images


@dataclass(frozen=True)
class TrainStep:
    """One optimizer step. `rate` is images per second since the start of this session, `left` seconds to the
    end.

    `stop` is true if a process of the run was asked to stop; the caller of the loop then closes it.
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
    """Train into the folder `out`; yields after every step. `sample_every` and `save_every` count images, 0
    is never.

    With `resume` the run in `out` continues; `config` may then differ only in the fields of
    `config.MAY_CHANGE`. However the loop ends (finished, closed, interrupted), the state is saved, and the
    model file holds the averaged weights. Errors in the configuration, the data, the folder or the device are
    raised by this call, before the first step. A loss that is not finite raises `StudioError` later; what was
    saved before stays on disk.

    `on_data` is called with a summary of the data before the network is made. A resumed run keeps the order
    of its labels, and raises `DataError` with the differences if the data has changed.

    Under torchrun every process calls this with the same arguments and gets the same steps; only the first
    writes files. `asked` returns whether this process was asked to stop; all processes see it in the `stop`
    of the same step.
    """
    folder, device_here = RunFolder(out), pick_device(local_device(device))
    saved = folder.config() if resume else None
    if saved is not None:
        saved.check_resume(config)
        _check_inputs(folder, saved, config)
    world = join(device_here)
    status = Reporter(None, config.images)
    try:
        if not resume and world.first:
            folder.check_free()
        status = _reporter(folder, config) if world.first else status
        data = load_data(config)
        if world.first:
            on_data(summary_of(config, data))
        if saved is not None:
            data = _with_saved_labels(folder, config.kind, data)
        trainer = Trainer(config, folder, device_here, compile, world, data)
        if world.first:
            if trainer.progress.seen < config.images:
                trainer.check_room()
                if saved is not None:
                    folder.trim_log(trainer.progress.step)
            if saved is not None:
                _save_changes(trainer, saved)
            else:  # data, network and device are fine by now
                folder.create(config, fingerprint(data))
        world.wait()  # the other processes must not read before the first has written
    except BaseException as error:
        status.ended(*_ending(error))
        world.leave()
        raise
    # training on points is so fast that sheets and states come by fifths of the run
    sheets, states = (config.images // 5,) * 2 if config.kind == "points" else (SAMPLE_EVERY, SAVE_EVERY)
    return _steps(
        trainer,
        sheets if sample_every is None else sample_every,
        states if save_every is None else save_every,
        asked,
        status,
    )


def _reporter(folder: RunFolder, config: TrainConfig) -> Reporter:
    """The reporter of the run's status. It writes nothing if the run is already finished."""
    before = Status.read(folder.path)
    if before is not None and before.state == "finished" and before.images >= config.images:
        return Reporter(None, config.images, before.images)
    seen = before.images if before else 0
    if folder.path.is_dir():
        Status("preparing", seen, config.images).write(folder.path)
    return Reporter(folder.path, config.images, seen)


def _ending(error: BaseException) -> tuple[str, str | None]:
    """The final state of a run, and the error's message, for the exception that ended it."""
    if isinstance(error, StudioError):
        return "failed", str(error)
    if isinstance(error, Exception):
        return "failed", f"{type(error).__name__}: {error}"
    return "stopped", None


def _check_inputs(folder: RunFolder, saved: TrainConfig, config: TrainConfig) -> None:
    """Raise `OptionError` if an input file of a resumed run is missing, or its data cannot be compared."""
    named = config.data in (*KNOWN, *POINT_SETS, SHAPES)
    if not named and not Path(config.data).expanduser().exists():
        raise OptionError(
            "data",
            f"The run in {folder.path} is trained on {config.data!r}, and there is nothing of that name in "
            f"{Path.cwd()}. Resume it where it was started, or name the data's new place with ",
            Setting("data"),
            ".",
        )
    for field, use in (
        ("hold_out", "holds out the captions in"),
        ("text_vectors", "has the word vectors of"),
    ):
        given = getattr(config, field)
        if given and not Path(given).expanduser().is_file():
            raise OptionError(
                field,
                f"The run in {folder.path} {use} {given!r}, and there is no such file in {Path.cwd()}. "
                "Resume it where it was started",
                *((", or name the file's new place with ", Setting(field)) if field in MAY_CHANGE else ()),
                ".",
            )
    for field in ("data", "hold_out"):
        before, now = getattr(saved, field), getattr(config, field)
        if before != now and folder.data() is None:
            raise OptionError(
                field,
                f"The run in {folder.path} has no marks of its data (data.json), so only {before!r} can be "
                f"taken, got {now!r}. Start a new run for other data.",
            )


def _with_saved_labels(folder: RunFolder, kind: str, data: Any) -> Any:
    """The data with its labels in the run's order. Raises `DataError` if the data is not that of the run."""
    marks, model = folder.data(), folder.export_path(kind)
    if marks is not None:
        data = with_label_order(data, [*marks.labels])
        check_same(folder.path, marks, data)
    elif model.is_file():  # a run by an earlier version: its model has the labels
        labels = (classifier if kind == "classifier" else native).read_spec(model).labels
        data = with_label_order(data, labels)
        check_labels(folder.path, labels, data)
    return data


def _save_changes(trainer: Trainer, saved: TrainConfig) -> None:
    """Save the changed configuration of a resumed run, and export the model again if it is concerned."""
    wanted = trainer.config
    if trainer.folder.data() != (now := fingerprint(trainer.data)):  # a run by an earlier version
        trainer.folder.save_data(now)
    if saved != wanted:
        trainer.folder.save_config(wanted)
    if replace(saved, images=wanted.images) != wanted and trainer.progress.step:
        trainer.export()
        _save_sheet(trainer, "final")


def _steps(
    trainer: Trainer, sample_every: int, save_every: int, asked: Callable[[], bool], status: Reporter
) -> Generator[TrainStep, None, None]:
    """The steps of the loop. Reports the end of the run in its status."""
    try:
        yield from _training_steps(trainer, sample_every, save_every, asked, status)
    except BaseException as error:
        status.images = trainer.progress.seen
        status.ended(*_ending(error))
        raise
    status.images = trainer.progress.seen
    status.ended("finished")


def _training_steps(
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
            if first and _is_due(sample_every, at.seen, config.batch):
                board.picture(at.step, _save_sheet(trainer, f"{at.seen:09d}"))
            if first and _is_due(save_every, at.seen, config.batch):
                trainer.save()
    finally:
        board.close()
        trainer.world.leave()
        if trainer.progress != before and trainer.whole and first:
            trainer.save()
    if trainer.progress != before and first:
        _save_sheet(trainer, "final")
        trainer.export()  # after the sheet, which the card shows


def _save_sheet(trainer: Trainer, name: str):
    if (sheet := trainer.sheet()) is not None:
        trainer.folder.save_picture(sheet, trainer.folder.samples / f"{name}.png")
    return sheet


def _is_due(every: int, seen: int, batch: int) -> bool:
    """Whether the last batch passed a multiple of `every` images; False for 0."""
    return bool(every) and seen // every > (seen - batch) // every
