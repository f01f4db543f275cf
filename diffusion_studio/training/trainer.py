"""The state of a training run in memory: one optimizer step, saving and restoring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..device import describe, keep_freed_memory, pick_dtype
from ..errors import CheckpointError, StudioError
from ..networks.precision import channels_last
from .card import write_card
from .config import TrainConfig
from .config_file import command
from .draws import draw_batch, draw_part, mix
from .ema import EMA
from .lowres import LowRes, with_low_res
from .optimizer import Optimizer
from .parallel import World
from .power_ema import PowerEMA, combine_snapshots, fit, gamma_of
from .run import Progress, RunFolder
from .tasks import TASKS, load_data
from .timesteps import TIMESTEP_DRAWS
from .tuning import tune_only

RECENT = 200  # steps over which the logged loss is averaged


@dataclass(frozen=True)
class Outcome:
    """The result of one optimizer step: loss, learning rate, gradient norm before clipping, and whether
    any process was asked to stop.
    """

    loss: float
    lr: float
    norm: float
    stop: bool


class Trainer:
    """A run in memory. It starts from the state on disk, if there is one."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        device: torch.device,
        compile: bool = False,
        world: World = World(),
        data: Any = None,
    ) -> None:
        """`data` is the result of `load_data`, if the caller already has it."""
        if device.type == "cpu":
            keep_freed_memory()
        self.config, self.folder, self.device, self.world = config, folder, device, world
        self.data: Any = load_data(config) if data is None else data
        self.images = self.data.images
        torch.manual_seed(config.seed)
        self.task = TASKS[config.kind](config, self.data, device)
        layout = (
            torch.channels_last if config.channels_last and self.images.ndim == 4 else torch.contiguous_format
        )
        self.layout = layout
        self.network = self.task.network()
        if not folder.state_path.is_file():
            self.task.begin(self.network)
        self.network = self.network.to(device).train()
        if layout is torch.channels_last:
            channels_last(self.network)
        if config.tune:
            tune_only(self.network, config.tune)
        self.emas = [EMA(self.network, decay) for decay in config.decays]
        self.powers = [PowerEMA(self.network, length) for length in config.powers]
        self.optimizer = Optimizer(self.network, config.optimizer, config.lr, config.weight_decay)
        self.objective = self.task.objective
        self.low_res = LowRes(config) if config.low_res else None
        self.timesteps = TIMESTEP_DRAWS[config.draws](config.noise_schedule(), **config.draw_options)
        self.dtype = pick_dtype(config.precision, device)
        self.progress = Progress()
        self.whole = True  # False during an update: such a state must not be saved
        self._losses: list[float] = []
        self._average_cache: tuple[int, Mapping[str, torch.Tensor]] | None = None
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))
        self._restore()
        self._forward: Callable[..., torch.Tensor] = torch.compile(self.network) if compile else self.network
        # a compiled network takes one length of text: with dynamic lengths torch 2.13's backward pass fails
        if self.task.captions is not None:
            self.task.captions.one_length = compile

    def average(self) -> Mapping[str, torch.Tensor]:
        """The averaged weights that are exported and sampled from, by parameter name."""
        if not self.config.ema_length or not self.progress.step:
            return self.emas[self.config.export_index].state
        if self._average_cache is None or self._average_cache[0] != self.progress.step:
            self._average_cache = self.progress.step, self._power_average(self.config.ema_length)
        return self._average_cache[1]

    def _power_average(self, length: float) -> Mapping[str, torch.Tensor]:
        """The power-function average of any relative length, from the snapshots and the current averages."""
        now = self.progress.step
        for power in self.powers:
            if power.sigma_rel == length:
                return power.state
        kept = {step: path for step, path in self.folder.snapshot_paths(now).items() if step < now}
        times = [step for step in [*kept, now] for _ in self.powers]
        factors = fit(times, [power.gamma for power in self.powers] * (len(kept) + 1), now, gamma_of(length))
        before = (state for path in kept.values() for state in self._snapshot(path))
        return combine_snapshots(factors, chain(before, (power.state for power in self.powers)))

    def _snapshot(self, path: Path) -> Iterator[dict[str, torch.Tensor]]:
        tensors = self.folder.load_snapshot(path)
        for k in range(len(self.powers)):
            prefix = f"power{k}."
            yield {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

    def _keep_snapshot(self) -> None:
        """Save a snapshot if one is due, in half precision as in the paper.

        It is called before a step and not after the last one. So a full disk costs no step, and a resumed run
        saves what is missing.
        """
        seen, every = self.progress.seen, self.config.snapshot_every
        if self.powers and self.world.first and seen // every > (seen - self.config.batch) // every and seen:
            self.folder.save_snapshot(
                {
                    f"power{k}.{name}": p.to("cpu", torch.float16).contiguous()
                    for k, power in enumerate(self.powers)
                    for name, p in power.state.items()
                },
                self.progress.step,
            )

    def step(self, stop: bool = False) -> Outcome:
        """Make one optimizer step. `stop` asks all processes to stop after it."""
        config, at = self.config, self.progress
        self._keep_snapshot()
        drawn = draw_batch(
            config.seed, at.step, config.batch, self.timesteps, config.label_dropout, config.flips
        )
        losses = torch.cat(
            [self._backward_part(k, part, drawn) for k, part in enumerate(self._part_ranges())]
        )
        self.world.add_gradients([p for p in self.network.parameters() if p.requires_grad])
        mine = self.world.share(config.batch)
        weighted = (
            losses * drawn.weight[mine.start : mine.stop].to(losses.device)
        ).double().sum() / config.batch
        value, asked = self.world.add(torch.stack([weighted, weighted.new_tensor(float(stop))])).tolist()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm or math.inf).item()
        if not math.isfinite(value) or not math.isfinite(norm):
            self.whole = False
            what = f"loss became {value}" if not math.isfinite(value) else f"gradient's norm became {norm}"
            raise StudioError(
                f"The {what} at step {at.step}. What was saved before it is in {self.folder.path}; start a "
                f"new run with a lower learning rate than {config.lr:g}."
            )
        everyone = self.world.gather(losses, config.batch).cpu() if self.timesteps.learns else losses
        self.whole = False
        lr = config.learning_rate(at.seen)
        self.optimizer.step(lr)
        self.optimizer.zero_grad()
        for ema in (*self.emas, *self.powers):
            ema.update(self.network, at.step)
        if self.timesteps.learns:
            self.timesteps.update(drawn.t, everyone)
        self._losses = [*self._losses[1 - RECENT :], value]
        self.progress = replace(at, step=at.step + 1, seen=at.seen + config.batch)
        self.whole = True
        return Outcome(value, lr, norm, asked > 0)

    def _backward_part(self, number: int, part: range, drawn: Any) -> torch.Tensor:
        """Add the gradient of part of the batch. Returns its losses (n,), without the draw's weights."""
        config, at = self.config, self.progress
        if not part:
            return torch.zeros(0, device=self.device)
        if config.kind != "points":  # its network has no dropout, and seeding would take a tenth of a step
            torch.manual_seed(mix(config.seed, at.step) + self.world.rank * config.accumulate + number)
        x0, label = self._batch(at.seen, part, drawn.flip)
        forward, label = self._conditioned(label, at.seen, part)
        if self.low_res is not None:
            forward = with_low_res(forward, self.low_res(x0, at.seen + part.start))
        draw = draw_part(drawn, slice(part.start, part.stop), config.seed, at.seen, x0)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            losses = self.objective.losses(forward, x0, label, draw)
        weighted = losses if draw.weight is None else losses * draw.weight
        (weighted.sum() / config.batch).backward()
        return losses.detach()

    def _conditioned(
        self, label: torch.Tensor | None, seen: int, part: range
    ) -> tuple[Callable[..., torch.Tensor], torch.Tensor | None]:
        """The network bound to the texts of its pictures, and the labels (n,), some of which are dropped
        together with the text.
        """
        if self.task.captions is None:
            return self._forward, label
        text, both = self.task.captions(self._chosen(seen, part), seen + part.start)
        if label is not None and self.objective.null_class is not None:
            label = torch.where(both.to(self.device), self.objective.null_class, label)
        return partial(self._forward, text=text.to(self.device)), label

    def _part_ranges(self) -> list[range]:
        """This process's share of the batch, cut into the parts that are computed one after another."""
        mine = self.world.share(self.config.batch)
        cuts = [
            mine.start + len(mine) * k // self.config.accumulate for k in range(self.config.accumulate + 1)
        ]
        return [range(*pair) for pair in zip(cuts, cuts[1:])]

    def recent_loss(self) -> float:
        """The mean loss of the last 200 steps."""
        return sum(self._losses) / len(self._losses)

    def _batch(
        self, seen: int, part: range | None = None, flip: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """x0 and labels of `part` (by default all) of the batch that follows `seen` images.

        Every epoch visits each picture once, in an order of its own.
        """
        part = range(self.config.batch) if part is None else part
        chosen = self._chosen(seen, part)
        pictures = self.images[chosen]
        if flip is not None and self.config.flips:
            mirrored = flip[part.start : part.stop].numpy()
            pictures[mirrored] = pictures[mirrored][:, :, ::-1]
        x0 = self.task.x0(pictures).to(self.device, memory_format=self.layout)
        if self.data.labels is None:
            return x0, None
        return x0, torch.from_numpy(self.data.labels[chosen]).to(self.device)

    def _chosen(self, seen: int, part: range) -> np.ndarray:
        """The indices (n,) of the pictures in `part` of the batch that follows `seen` images."""
        count, at, found = len(self.images), seen + part.start, []
        while at < seen + part.stop:
            number, first = divmod(at, count)
            found.append(self._epoch(number)[first : first + seen + part.stop - at])
            at += len(found[-1])
        return np.concatenate(found)

    def _epoch(self, number: int) -> np.ndarray:
        """The order of the pictures in an epoch, (count,)."""
        if self._order[0] != number:
            random = np.random.Generator(
                np.random.Philox(key=[self.config.seed, 1], counter=[0, 0, 0, number])
            )
            self._order = number, random.permutation(len(self.images))
        return self._order[1]

    def spec(self) -> Any:
        """The spec of the model as it is now, with its provenance."""
        processes = f", {self.world.size} processes" if self.world.size > 1 else ""
        provenance = {
            "data": self.config.data,
            "licence": self.task.licence,
            "command": command(self.config, f"runs/{self.folder.name}"),
            "images_seen": self.progress.seen,
            "hours": round(self.progress.seconds / 3600, 2),
            "hardware": describe(self.device) + processes,
            "date": datetime.now(timezone.utc).date().isoformat(),
        }
        return self.task.spec(self.config.name or self.folder.name, provenance)

    def sheet(self) -> Image.Image | None:
        """A sample sheet of the exported average, or None for a classifier."""
        return self.task.sheet(self.spec(), self.average(), self.device)

    def check_room(self) -> None:
        """Raise `CheckpointError` if the disk has no room for the next checkpoint, before any work is
        done.
        """
        copies = 3 + sum(1 for _ in self._averages())  # the weights and the optimizer's two moments besides
        self.folder.need_room(4 * copies * sum(p.numel() for p in self.network.parameters()), "a checkpoint")

    def save(self) -> None:
        """Save the state to resume from, and export the model. Raises `StudioError` if a weight is not
        finite.
        """
        if not all(p.isfinite().all() for p in self.network.parameters()):
            self.whole = False
            raise StudioError(
                f"A weight is no finite number after {self.progress.step} steps, although the loss was "
                f"finite. What was saved before is in {self.folder.path}; start a new run with a lower "
                f"learning rate than {self.config.lr:g}."
            )
        tensors = {f"network.{name}": p.detach() for name, p in self.network.named_parameters()}
        for key, ema in self._averages():
            tensors |= {f"{key}.{name}": p for name, p in ema.state.items()}
        tensors |= self.optimizer.state()
        tensors |= {f"timesteps.{name}": value for name, value in self.timesteps.state().items()}
        tensors["recent_losses"] = torch.tensor(self._losses, dtype=torch.float64)
        self.folder.save_state({name: t.cpu().contiguous() for name, t in tensors.items()}, self.progress)
        self.export()

    def export(self) -> None:
        """Write the model file and its card."""
        spec = self.spec()
        self.task.write(self.folder.export_path(self.config.kind), spec, self.average())
        write_card(self.folder, spec, self.config, self._losses)

    def _restore(self) -> None:
        kept = self.folder.load_state()
        if kept is None:
            return
        tensors, self.progress = kept
        parameters = dict(self.network.named_parameters())

        def like(name: str, key: str) -> torch.Tensor:
            """A saved tensor in its parameter's memory layout."""
            return torch.empty_like(parameters[name]).copy_(tensors[f"{key}.{name}"])

        try:
            self.network.load_state_dict({name: tensors[f"network.{name}"] for name in parameters})
            with torch.no_grad():
                for key, ema in self._averages():
                    ema.state = {name: like(name, key) for name in parameters}
            self.optimizer.restore(tensors)
            prefix = "timesteps."
            self.timesteps.restore(
                {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            )
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.folder.state_path} does not fit the run's network ({error})."
            ) from error
        # missing in runs of older versions; they only smooth the log
        self._losses = tensors["recent_losses"].tolist() if "recent_losses" in tensors else []

    def _averages(self) -> Iterator[tuple[str, EMA | PowerEMA]]:
        """Every average with the prefix of its tensors' names in the state."""
        yield from ((f"ema{k + 1}" if k else "ema", ema) for k, ema in enumerate(self.emas))
        yield from ((f"power{k}", ema) for k, ema in enumerate(self.powers))
