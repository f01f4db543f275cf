"""The training loop: a generator, so that whoever drives it decides what to show and when to stop.

Every random number is a function of (seed, step), so a resumed run goes on exactly as if it had not stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import checkpoint, data
from ..device import describe, keep_freed_memory, pick_device, pick_dtype
from ..errors import CheckpointError, OptionError, StudioError
from ..images import from_uint8
from ..nets.unet import UNet
from ..spec import ModelSpec
from .captions import Captions
from .config import TrainConfig
from .ema import EMA
from .objective import SimpleObjective
from .run import Progress, RunFolder
from .samples import sample_sheet

LOG_EVERY = 50                  # steps


@dataclass(frozen=True)
class TrainStep:
    """One optimizer step. `rate` is images per second since the start of this session, `left` seconds to the end."""

    step: int
    seen: int
    total: int
    loss: float
    lr: float
    rate: float
    left: float


def train(config: TrainConfig, out: str | Path, *, device: str = "auto", compile: bool = False,
          resume: bool = False, sample_every: int = 20_000, save_every: int = 10_000) -> Iterator[TrainStep]:
    """Train into the folder `out`, yielding after every step; `sample_every` and `save_every` count images.

    With `resume` the run in `out` continues; `config` may then ask for more images, but for nothing else. However the
    loop ends (finished, closed, interrupted), the state is saved, and `model.safetensors` holds the averaged weights.
    What is wrong with the configuration, the data, the folder or the device is raised here, before the first step;
    a loss that stops being finite is a `StudioError` later, and what was saved before it stays on disk.
    """
    folder = RunFolder(out)
    if not resume:
        folder.check_free()
    elif (kept := folder.config()) != config:
        if replace(kept, images=config.images) != config:
            raise OptionError("A resumed run keeps its configuration; only the number of images may change.")
        folder.save_config(config)
    trainer = _Trainer(config, folder, pick_device(device), compile)
    if resume:
        folder.trim_log(trainer.progress.step)
    else:                                       # now that nothing is wrong with the data, the network and the device
        folder.create(config)
    return _steps(trainer, sample_every, save_every)


def _steps(trainer: _Trainer, sample_every: int, save_every: int) -> Iterator[TrainStep]:
    config, folder = trainer.config, trainer.folder
    started, before = time.monotonic(), trainer.progress
    try:
        while trainer.progress.seen < config.images:
            loss, lr = trainer.step()
            at = trainer.progress
            spent = time.monotonic() - started
            trainer.progress = at = replace(at, seconds=before.seconds + spent)
            rate = (at.seen - before.seen) / spent
            yield TrainStep(at.step, at.seen, config.images, loss, lr, rate, (config.images - at.seen) / rate)
            if at.step % LOG_EVERY == 0:
                folder.log(step=at.step, seen=at.seen, loss=round(trainer.recent_loss(), 5), lr=lr, rate=round(rate, 1))
            if _passed(sample_every, at.seen, config.batch):
                sample_sheet(trainer.spec(), trainer.ema.state, trainer.device).save(folder.samples / f"{at.seen:09d}.png")
            if _passed(save_every, at.seen, config.batch):
                trainer.save()
    finally:
        if trainer.progress != before and trainer.whole:
            trainer.save()
    if trainer.progress != before:
        sample_sheet(trainer.spec(), trainer.ema.state, trainer.device).save(folder.samples / "final.png")


def _passed(every: int, seen: int, batch: int) -> bool:
    return bool(every) and seen // every > (seen - batch) // every


class _Trainer:
    """Everything that changes while training, and its way to disk and back."""

    def __init__(self, config: TrainConfig, folder: RunFolder, device: torch.device, compile: bool) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self.config, self.folder, self.device = config, folder, device
        self.data = data.load(config.data, size=config.size, fit=config.fit, background=config.background)
        if config.only:
            self.data = self.data.only([name.strip() for name in config.only.split(",")])
        labelled = self.data.labels is not None
        self.captions = Captions(config, self.data.captions, labelled) if config.text and self.data.captions else None
        self.images = self.data.images
        channels, classes = self.images.shape[-1], len(self.data.names) or None
        torch.manual_seed(config.seed)
        text = self.captions.config if self.captions else None
        self.network = UNet(config.network(channels, classes, text)).to(device, memory_format=torch.channels_last).train()
        if self.captions and self.captions.vectors is not None:
            self.network.text.set_vectors(self.captions.vectors)
        self.ema = EMA(self.network, config.ema)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=config.lr, weight_decay=config.weight_decay,
                                           betas=(0.9, 0.99), fused=device.type in ("cpu", "cuda"))
        null = classes if self.network.config.null_class else None
        self.objective = SimpleObjective(config.noise_schedule(), config.parametrization, null, config.label_dropout, device)
        self.dtype = pick_dtype(config.precision, device)
        self.progress = Progress()
        self.whole = True                       # False inside an update: such a state must not be saved
        self._losses: list[float] = []
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))
        self._restore()
        self._forward: nn.Module = torch.compile(self.network) if compile else self.network

    def step(self) -> tuple[float, float]:
        """One optimizer step; returns (loss, learning rate)."""
        step = self.progress.step
        torch.manual_seed(_mix(self.config.seed, step))                  # dropout
        x0, label = self._batch(self.progress.seen)
        forward = self._forward
        if self.captions is not None:
            text, both = self.captions(self._chosen(self.progress.seen), self.progress.seen)
            forward = partial(self._forward, text=text.to(self.device))
            if label is not None and self.network.config.null_class:
                label = torch.where(both.to(self.device), self.network.config.classes, label)
        draw = self.objective.draw(x0, torch.Generator().manual_seed(_mix(self.config.seed + 1, step)))
        lr = self.config.learning_rate(self.progress.seen)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            loss = self.objective(forward, x0, label, draw)
        value = loss.item()
        if not math.isfinite(value):
            self.whole = False
            raise StudioError(f"The loss became {value} at step {step}. What was saved before it is in "
                              f"{self.folder.path}; start a new run with a lower learning rate than {self.config.lr:g}.")
        loss.backward()
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.whole = False
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.network, step)
        self.progress = replace(self.progress, step=step + 1, seen=self.progress.seen + len(x0))
        self.whole = True
        self._losses = [*self._losses[-199:], value]
        return value, lr

    def recent_loss(self) -> float:
        """Mean loss of the last 200 steps."""
        return sum(self._losses) / len(self._losses)

    def _batch(self, seen: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The pictures after `seen` others: every epoch visits each once, in an order of its own."""
        chosen = self._chosen(seen)
        x0 = from_uint8(self.images[chosen]).to(self.device, memory_format=torch.channels_last)
        if self.data.labels is None:
            return x0, None
        return x0, torch.from_numpy(self.data.labels[chosen]).to(self.device)

    def _chosen(self, seen: int) -> np.ndarray:
        count = len(self.images)
        return np.array([self._epoch(k // count)[k % count] for k in range(seen, seen + self.config.batch)])

    def _epoch(self, number: int) -> np.ndarray:
        if self._order[0] != number:
            random = np.random.Generator(np.random.Philox(key=[self.config.seed, 1], counter=[0, 0, 0, number]))
            self._order = number, random.permutation(len(self.images))
        return self._order[1]

    def spec(self) -> ModelSpec:
        """The model as it is now, with where it came from."""
        known = data.KNOWN.get(self.config.data)
        provenance = {
            "data": self.config.data, "licence": known.licence if known else "that of the data",
            "command": self.config.command(f"runs/{self.folder.name}"), "images_seen": self.progress.seen,
            "hours": round(self.progress.seconds / 3600, 2), "hardware": describe(self.device),
            "date": datetime.now(timezone.utc).date().isoformat(),
        }
        return self.config.spec(self.config.name or self.folder.name, self.images.shape[-1], self.data.names, provenance,
                                show=known.show if known else None, **self.captions.of_spec(known) if self.captions else {})

    def save(self) -> None:
        """Write the state to resume from and the model to use."""
        names = [name for name, _ in self.network.named_parameters()]
        moments = self.optimizer.state_dict()["state"]
        tensors = {f"network.{name}": p.detach() for name, p in self.network.named_parameters()}
        tensors |= {f"ema.{name}": p for name, p in self.ema.state.items()}
        tensors |= {f"{key}.{names[k]}": value for k, values in moments.items() for key, value in values.items()}
        self.folder.save_state({name: t.cpu().contiguous() for name, t in tensors.items()}, self.progress)
        checkpoint.write(self.folder.model_path, self.spec(), self.ema.state, torch.float16)

    def _restore(self) -> None:
        kept = self.folder.load_state()
        if kept is None:
            return
        tensors, self.progress = kept
        parameters = dict(self.network.named_parameters())

        def like(name: str, key: str) -> torch.Tensor:
            """A kept tensor in its parameter's memory layout, on which the fused optimizer relies."""
            return torch.empty_like(parameters[name]).copy_(tensors[f"{key}.{name}"])

        try:
            self.network.load_state_dict({name: tensors[f"network.{name}"] for name in parameters})
            with torch.no_grad():
                self.ema.state = {name: like(name, "ema") for name in parameters}
                moments = {k: {"step": tensors[f"step.{name}"], "exp_avg": like(name, "exp_avg"),
                               "exp_avg_sq": like(name, "exp_avg_sq")}
                           for k, name in enumerate(parameters) if parameters[name].requires_grad}
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{self.folder.state_path} does not fit the run's network ({error}).") from error
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _mix(seed: int, step: int) -> int:
    """One 63-bit seed from two numbers; nearby ones give unrelated streams."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))
