"""One run of a race or a grid: its states while it runs, and the record that is kept of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..diffusion.denoiser import Ask
from ..imaging.frame import Frame
from ..models.model import Model
from ..runs.generate import GuidesOf, frame_converter, segments, watched
from ..runs.recipe import Recipe
from ..runs.segments import Segment, run_segments
from .clocks import places
from .divergence import Curve

MAX_BYTES = 384 << 20  # of all frames of a race or grid; where more come, every k-th of a run is kept


@dataclass(frozen=True)
class State:
    """A state of a run: its frame, the sampler's own predicted x0, and the computing seconds so far."""

    frame: Frame
    x0: torch.Tensor
    seconds: float


@dataclass(frozen=True)
class Lane:
    """A finished run: the kept frames and the seconds at which each came, and the network calls of the run.

    `every` is k where only every k-th state is kept; the first and the finished one always are. `curve` is
    the distance of x0 to the first lane's. `distance` is the RMS difference between the finished pictures and
    those of the reference run, if there is one.
    """

    recipe: Recipe
    frames: tuple[Frame, ...]
    seconds: tuple[float, ...]
    calls: int
    every: int = 1
    curve: Curve | None = None
    distance: float | None = None

    @property
    def took(self) -> float:
        """Seconds of the whole run."""
        return self.seconds[-1]

    @property
    def finished(self) -> np.ndarray:
        """(N, H, W, C) uint8: the finished pictures; of points (N, P, 2) float16."""
        return self.frames[-1].x0

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell its finished pictures from others."""
        return hashlib.sha256(self.finished.tobytes()).hexdigest()[:16]

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return self.frames[-1].index == self.frames[-1].total

    @property
    def inherited(self) -> int:
        """The steps that a branch has of the run before."""
        return 0 if self.recipe.branch is None else self.recipe.branch.at

    def step_text(self, place: int, own: bool = True) -> str:
        """The step of a kept frame, and how many of a branch's steps are those of the run before. `own` adds
        how many it makes: those of its path that have less noise than the branch.
        """
        frame = self.frames[place]
        text = f"step {frame.index} of {frame.total}"
        if not self.inherited:
            return text
        made = frame.total - self.inherited
        of = f" of its {self.recipe.steps}" if made <= self.recipe.steps else " of its own"
        return f"{text} ({self.inherited} inherited{f', {made}{of}' if own else ''})"

    def places(self, clock: str) -> np.ndarray:
        """Where each frame stands on a clock."""
        return places(clock, self.frames, self.seconds)


@dataclass
class Record:
    """Keeps of a run as many states as fit `max_bytes`."""

    recipe: Recipe
    max_bytes: int = MAX_BYTES
    frames: list[Frame] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    every: int = 1

    def add(self, state: State) -> None:
        frame = state.frame
        if not self.frames:
            self.every = max(1, -(-frame.nbytes * (frame.total + 1) // self.max_bytes))
        if frame.index % self.every == 0 or frame.index == frame.total:
            self.frames.append(frame)
            self.seconds.append(state.seconds)

    def lane(self, curve: Curve | None = None, distance: float | None = None) -> Lane:
        last = self.frames[-1]
        return Lane(
            self.recipe, tuple(self.frames), tuple(self.seconds), last.calls, self.every, curve, distance
        )


def states(model: Model, recipe: Recipe, guides: GuidesOf, ask: Ask | None = None) -> Iterator[State]:
    """The states of a recipe's run. A recipe that does not fit raises its error before the first one."""
    legs = segments(model, recipe, guides)
    return _states(model, recipe, legs if ask is None else watched(legs, ask))


def _states(model: Model, recipe: Recipe, legs: Sequence[Segment]) -> Iterator[State]:
    shown = frame_converter(model, recipe)
    total = sum(leg.steps for leg in legs)
    # Any: these frames hold tensors, as `kept` makes them; a Frame is declared with the arrays of all others
    run: Iterator[tuple[Any, torch.Tensor]] = run_segments(legs, total, to_array=torch.Tensor.detach)
    spent = 0.0
    while True:
        start = time.perf_counter()
        found = next(run, None)
        if found is None:
            return
        if found[0].x.is_cuda:
            torch.cuda.synchronize(found[0].x.device)
        spent += time.perf_counter() - start
        raw, _ = found
        x = shown(raw.x)
        x0 = x if raw.x0 is raw.x else shown(raw.x0)
        yield State(replace(raw, x=x, x0=x0, layout=recipe.layout), raw.x0, spent)
