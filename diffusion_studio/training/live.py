"""Training on points while somebody watches: what the network makes, again and again, until it makes the
shape.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
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

FRAMES = 24  # looks at the network in training
CLOUD = 1000  # points of a look
LOOK_STEPS = 12
BATCH = 256
MAX_SECONDS = 90.0


@dataclass(frozen=True)
class Look:
    """A Frame whose x is what the averaged weights make after `frame.index` steps, and whose x0 is the
    data; the loss, and the seconds so far. The last one has the `model`.
    """

    frame: Frame
    loss: float | None
    seconds: float
    model: Model | None = None


def watched(
    source: str, folder: str | Path, steps: int, name: str, seed: int = 0, max_seconds: float = MAX_SECONDS
) -> Iterator[Look]:
    """Train a network on a set of points (as `data.points.load` takes it) for `steps` steps, or until the
    time is up.

    Yields about 24 Looks. The finished model, its card beside it, lies in `folder`.
    """
    config = train_config(
        kind="points", data=str(source), name=name, images=steps * BATCH, batch=BATCH, seed=seed
    )
    run = RunFolder(folder)
    run.create(config)
    status = Reporter(run.path, config.images)
    trainer = Trainer(config, run, pick_device("cpu"))
    data = to_float16(torch.from_numpy(points.load(source, "test", CLOUD).points[:CLOUD])[None])
    started, every = time.monotonic(), max(1, steps // FRAMES)
    yield _look(trainer, data, 0, steps, None, 0.0)
    for done in range(1, steps + 1):
        trainer.step()
        seconds = time.monotonic() - started
        images, rate = done * BATCH, done * BATCH / max(seconds, 1e-9)
        status.training(images, trainer.recent_loss(), rate, (config.images - images) / rate)
        late = seconds > max_seconds
        if done % every == 0 and done < steps and not late:
            yield _look(trainer, data, done, steps, trainer.recent_loss(), seconds)
        if late:
            break
    trainer.export()
    status.ended("finished")
    yield _look(
        trainer,
        data,
        done,
        done,
        trainer.recent_loss(),
        time.monotonic() - started,
        load(run.export_path(config.kind), "cpu", "fp32"),
    )


def _look(
    trainer: Trainer,
    data,
    done: int,
    total: int,
    loss: float | None,
    seconds: float,
    model: Model | None = None,
) -> Look:
    here = model_of(trainer.spec(), trainer.average(), trainer.device)
    noise = Noise((0,), (CLOUD, *here.shape))
    *_, last = sample(DDIM(), here.denoiser(), noise(0), path(here.schedule, LOOK_STEPS), noise)
    return Look(Frame(done, total, CLEAN, to_float16(last.x), data), loss, seconds, model)


def new_folder() -> tempfile.TemporaryDirectory:
    """A folder for a watched run; it goes when the object does."""
    return tempfile.TemporaryDirectory(prefix="diffusion-studio-points-")
