"""The training loop: a generator, so that whoever drives it decides what to show and when to stop.

Every random number is a function of the seed and of the place in the run, so a resumed run goes on exactly as
if it had not stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoint import classifier, native
from ..data.summary import DataSummary
from ..device import pick_device
from .board import Board
from .config import TrainConfig
from .fingerprint import check_labels, check_same, fingerprint, in_kept_order
from .parallel import join, local_device
from .run import RunFolder
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
) -> Iterator[TrainStep]:
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
    world = join(device_here)
    try:
        if not resume and world.first:
            folder.check_free()
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
    except BaseException:
        world.leave()
        raise
    # a point is seen in microseconds: a fifth of the run between two sheets, and between two states
    sheets, states = (config.images // 5,) * 2 if config.kind == "points" else (SAMPLE_EVERY, SAVE_EVERY)
    return _steps(
        trainer,
        sheets if sample_every is None else sample_every,
        states if save_every is None else save_every,
        asked,
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
    trainer: Trainer, sample_every: int, save_every: int, asked: Callable[[], bool]
) -> Iterator[TrainStep]:
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
