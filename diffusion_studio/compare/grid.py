"""A recipe with one or two settings varied: all cells denoise in sync, and share their network calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..diffusion.denoiser import Ask
from ..diffusion.prediction import Prediction
from ..errors import OptionError
from ..imaging.frame import Frame
from ..runs.guidance_builder import Guides
from ..runs.recipe import Recipe
from ..studio import Studio
from .clocks import reached, ticks
from .lanes import MAX_BYTES, Lane, Record, State, states
from .lockstep import Call, SharedModel, in_lockstep
from .recipes import Axis, GridRecipe

OnState = Callable[[int, Frame], None]
AxisLike = Axis | tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class Grid:
    """A grid that was run: `cells` row by row, on the clock of its recipe. The cells share network calls, so
    they have no seconds of their own.
    """

    recipe: GridRecipe
    cells: tuple[Lane, ...]
    network_calls: int = 0  # of all cells, a shared one counted once

    @cached_property
    def places(self) -> tuple[np.ndarray, ...]:
        """Of each cell the places of its frames on the clock."""
        return tuple(cell.places(self.recipe.clock) for cell in self.cells)

    @cached_property
    def ticks(self) -> np.ndarray:
        return ticks(self.recipe.clock, self.places)

    def numbers(self, tick: int) -> tuple[int, ...]:
        """For each cell the number of its frame at a tick: the latest that it has reached."""
        return tuple(reached(own, self.ticks[tick]) for own in self.places)

    def shown(self, tick: int) -> tuple[Frame, ...]:
        """The frame of each cell at a tick."""
        return tuple(cell.frames[k] for cell, k in zip(self.cells, self.numbers(tick)))

    def on(self, clock: str) -> Grid:
        """The same runs on another clock."""
        return Grid(replace(self.recipe, clock=clock), self.cells, self.network_calls)

    def save(self, path: str | Path, format: str | None = None, **options: Any) -> Path:
        """Export the grid as one animation, or as one labelled sheet, see `compare.files.save`."""
        from .files import save

        return save(self, path, format, **options)


def grid(
    recipe: Recipe | GridRecipe,
    x: AxisLike | None = None,
    y: AxisLike | None = None,
    clock: str | None = None,
    *,
    studio: Studio | None = None,
    on_state: OnState | None = None,
    ask: Ask | None = None,
) -> Grid:
    """Run a recipe with every value of one setting along x and of another along y, at most 64 cells.

    An axis is ("guidance", [1, 2, 4, 8]): a setting by its name on the command line, and its values. Cells
    that ask the same network at the same noise level are one network call; their pictures are those of the
    single runs but for the rounding of a larger batch. `ask` makes every network call, see `Studio.stream`.

    Raises `OptionError` for a setting, value or recipe that does not fit, before anything runs.
    """
    asked = recipe if isinstance(recipe, GridRecipe) else GridRecipe(recipe, _axis(x), Axis.of(y))
    asked = asked if clock is None else replace(asked, clock=clock)
    studio = Studio() if studio is None else studio
    cells = asked.cells
    records = [Record(cell, MAX_BYTES // len(cells)) for cell in cells]
    calls = 0

    def counted(call: Callable[[], Prediction]) -> Prediction:
        nonlocal calls
        calls += 1
        return call() if ask is None else ask(call)

    for number, state in in_lockstep([_run_of(studio, cell) for cell in cells], counted):
        records[number].add(state)
        if on_state is not None:
            on_state(number, state.frame)
    return Grid(asked, tuple(record.lane() for record in records), calls)


def _axis(given: AxisLike | None) -> Axis:
    found = Axis.of(given)
    if found is None:
        raise OptionError("axis", 'A grid has an axis x, such as x=("guidance", [1, 2, 4]). Give one.')
    return found


def _run_of(studio: Studio, recipe: Recipe) -> Callable[[Callable[[Call], Prediction]], Iterator[State]]:
    """What begins a cell's run, whose models wait for their network calls."""
    model, guides = studio.model(recipe.model), studio.guides

    def make(wait: Callable[[Call], Prediction]) -> Iterator[State]:
        def shared(one: Recipe) -> Guides:
            found = guides(one)
            weaker = None if found.weaker is None else SharedModel(found.weaker, wait)
            return found._replace(weaker=weaker)

        return states(SharedModel(model, wait), recipe, shared)

    return make
