"""One run of a race or a grid: its states while it runs, and the record that is kept of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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
    """A state of a run: its frame, the sampler's own predicted x0, and the computing seconds that it took to
    reach it (see `Stopwatch`).
    """

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


def never_waits() -> float:
    """The seconds that an `ask` has waited which only calls."""
    return 0.0


@dataclass
class Stopwatch:
    """The computing seconds of a run: of its steps and network calls, without what it waited for others.

    The call that predicts x0 from a state comes before the state is shown and is not needed to reach it, so
    it counts for the next state, and the first state has 0 seconds. A network's first call may also prepare
    its weights, so it counts for no more than the longest later one.
    """

    spans: list[float] = field(default_factory=list)
    calls: int = 0

    def reached(self, seconds: float, calls: int) -> float:
        """The seconds at which a state was reached, `seconds` after the state before; `calls` so far."""
        again = calls > self.calls and bool(self.spans)  # a later network call, to hold the first against
        self.spans.append(seconds)
        self.calls, needed = calls, self.spans[:-1] if calls > self.calls else self.spans
        if not again and len(self.spans) < 3:
            return sum(needed)
        first, *later = self.spans
        return sum(needed) - max(first - max(later), 0.0) if needed else 0.0


def states(
    model: Model,
    recipe: Recipe,
    guides: GuidesOf,
    ask: Ask | None = None,
    waited: Callable[[], float] = never_waits,
) -> Iterator[State]:
    """The states of a recipe's run. A recipe that does not fit raises its error before the first one.
    `waited` says how many seconds `ask` has waited so far.
    """
    parts = segments(model, recipe, guides)
    return _states(model, recipe, parts if ask is None else watched(parts, ask), waited)


def _states(
    model: Model, recipe: Recipe, parts: Sequence[Segment], waited: Callable[[], float]
) -> Iterator[State]:
    shown = frame_converter(model, recipe)
    total = sum(segment.steps for segment in parts)
    # Any: these frames hold tensors, as `kept` makes them; a Frame is declared with the arrays of all others
    run: Iterator[tuple[Any, torch.Tensor]] = run_segments(parts, total, to_array=torch.Tensor.detach)
    watch = Stopwatch()
    while True:
        start, before = time.perf_counter(), waited()
        found = next(run, None)
        if found is None:
            return
        if found[0].x.is_cuda:
            torch.cuda.synchronize(found[0].x.device)
        raw, _ = found
        seconds = time.perf_counter() - start - (waited() - before)
        spent = watch.reached(max(seconds, 0.0), raw.calls)
        x = shown(raw.x)
        x0 = x if raw.x0 is raw.x else shown(raw.x0)
        yield State(replace(raw, x=x, x0=x0, layout=recipe.layout), raw.x0, spent)
