"""The training of a network on points that can be watched, stopped, and continued."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..data import points
from ..device import pick_device
from ..diffusion.noise import Noise
from ..diffusion.samplers import DDIM
from ..diffusion.sampling import sample
from ..diffusion.schedule import CLEAN
from ..diffusion.spacing import path
from ..imaging.arrays import to_float16
from ..imaging.frame import Frame
from ..models.model import Model, load
from .config_file import train_config
from .run import RunFolder
from .samples import model_of
from .status import Reporter
from .trainer import Trainer

FRAMES = 24  # looks at the network during one training
CLOUD = 1000  # points of a look
LOOK_STEPS = 12  # sampling steps of a look
BATCH = 256
MAX_SECONDS = 90.0


@dataclass(frozen=True)
class Look:
    """A state of the training. `frame.index` counts training steps, `frame.x` is a cloud sampled from the
    averaged weights, and `frame.x0` is the data. `loss` is the mean of the last steps, None before the
    first; `seconds` is the time that the steps took so far. The last look of a session has the `model`.
    """

    frame: Frame
    loss: float | None
    seconds: float
    model: Model | None = None


class LiveTraining:
    """A network for points in training. `looks` makes the steps; called again, it goes on where it stopped.

    `source` is what `data.points.load` takes; the model file and its card are written to `folder` whenever
    `looks` ends. `model` is the network as it was then, None before.
    """

    def __init__(self, source: str, folder: str | Path, steps: int, name: str, seed: int = 0) -> None:
        config = train_config(
            kind="points", data=str(source), name=name, images=steps * BATCH, batch=BATCH, seed=seed
        )
        self.steps, self.seconds = steps, 0.0
        self.model: Model | None = None
        self._run = RunFolder(folder)
        self._run.create(config)
        self._status = Reporter(self._run.path, config.images)
        self._trainer = Trainer(config, self._run, pick_device("cpu"))
        self._data = to_float16(torch.from_numpy(points.load(source, "test", CLOUD).points[:CLOUD])[None])

    @property
    def done(self) -> int:
        """Training steps made so far."""
        return self._trainer.progress.step

    @property
    def finished(self) -> bool:
        """Whether all steps are made."""
        return self.done >= self.steps

    def looks(self, max_seconds: float = MAX_SECONDS) -> Iterator[Look]:
        """Train until all steps are made, or until this session's steps took `max_seconds`: about 24 looks.

        Closing the iterator stops the training after the current step. At least one step is made.
        """
        every, until = max(1, self.steps // FRAMES), self.seconds + max_seconds
        try:
            yield self.look()
            while not self.finished:
                self._step()
                if self.finished or self.seconds >= until:
                    break
                if self.done % every == 0:
                    yield self.look()
        except GeneratorExit:
            self._keep()
            raise
        self._keep()
        yield self.look(self.model)

    def _step(self) -> None:
        began = time.monotonic()
        self._trainer.step()
        self.seconds += time.monotonic() - began
        images, rate = self.done * BATCH, self.done * BATCH / max(self.seconds, 1e-9)
        left = (self.steps - self.done) * BATCH / rate
        self._status.training(images, self._trainer.recent_loss(), rate, left)

    def _keep(self) -> None:
        """Write the network as it is now."""
        if self.done == 0:
            return
        self._trainer.export()
        self._status.ended("finished" if self.finished else "stopped")
        self.model = load(self._run.export_path("points"), "cpu", "fp32")

    def look(self, model: Model | None = None) -> Look:
        """What the network makes of noise after the steps so far."""
        trainer = self._trainer
        here = model_of(trainer.spec(), trainer.average(), trainer.device)
        noise = Noise((0,), (CLOUD, *here.shape))
        *_, last = sample(DDIM(), here.denoiser(), noise(0), path(here.schedule, LOOK_STEPS), noise)
        frame = Frame(self.done, self.steps, CLEAN, to_float16(last.x), self._data)
        return Look(frame, trainer.recent_loss() if self.done else None, self.seconds, model)


def watched(
    source: str, folder: str | Path, steps: int, name: str, seed: int = 0, max_seconds: float = MAX_SECONDS
) -> Generator[Look]:
    """The looks of one `LiveTraining` session, with its arguments."""
    yield from LiveTraining(source, folder, steps, name, seed).looks(max_seconds)


def new_folder() -> tempfile.TemporaryDirectory:
    """A folder for a watched training. It is deleted with the object."""
    return tempfile.TemporaryDirectory(prefix="diffusion-studio-points-")
