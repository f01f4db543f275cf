"""Grids: one or two settings of a recipe varied. The cells denoise in sync and share network calls."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..diffusion.denoiser import Ask
from ..diffusion.prediction import Prediction
from ..errors import OptionError
from ..runs.guidance_builder import Guides
from ..runs.recipe import Recipe
from ..studio import Studio
from .files import save
from .lanes import MAX_BYTES, Lane, Record, State, states
from .lockstep import Call, SharedModel, in_lockstep
from .other_models import fitted_cells
from .race import NewFrame, OnState, raise_if_ended, run_to_end
from .recipes import Axis, GridRecipe
from .results import GridRuns

AxisLike = Axis | tuple[str, Sequence[Any]]


class Grid(GridRuns):
    """A grid that was run, as `GridRuns`, and can be saved."""

    def save(self, path: str | Path, format: str | None = None, **options: Any) -> Path:
        """Export the grid as one animation, or as one labelled sheet, see `compare.files.save`."""
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
    single runs but for the rounding of a larger batch. A cell of another model falls back to that model's own
    settings, see `sweeping`. `ask` makes every network call, see `Studio.stream`.

    Raises `OptionError` for a setting, value or recipe that does not fit, before anything runs.
    """
    asked = recipe if isinstance(recipe, GridRecipe) else GridRecipe(recipe, _axis(x), Axis.of(y))
    asked = asked if clock is None else replace(asked, clock=clock)
    return raise_if_ended(run_to_end(sweeping(asked, Studio() if studio is None else studio, ask), on_state))


def sweeping(asked: GridRecipe, studio: Studio, ask: Ask | None = None) -> Generator[NewFrame, None, Grid]:
    """Like `grid`, but a generator that yields (number of the cell, its new frame) and returns the Grid.

    A recipe that does not fit raises its error here, before the first frame. If the runs end early, the Grid
    holds the states so far, and `ended` is what ended them. A cell of another model than the grid's recipe
    has that model's own settings where it cannot use those of the recipe; `said` of the Grid names them.
    """
    cells, said = fitted_cells(studio, asked)
    calls = [0]

    def counted(call: Callable[[], Prediction]) -> Prediction:
        calls[0] += 1
        return call() if ask is None else ask(call)

    run = in_lockstep([_run_of(studio, cell) for cell in cells], counted)
    return _sweeping(asked, [Record(cell, MAX_BYTES // len(cells)) for cell in cells], run, calls, said)


def _sweeping(
    asked: GridRecipe,
    records: Sequence[Record],
    run: Iterator[tuple[int, State]],
    calls: Sequence[int],
    said: tuple[str, ...],
) -> Generator[NewFrame, None, Grid]:
    ended: BaseException | None = None
    try:
        for number, state in run:
            records[number].add(state)
            yield number, state.frame
    except GeneratorExit:
        raise
    except BaseException as error:
        if not any(record.frames for record in records):
            raise
        ended = error
    lanes = tuple(record.lane() if record.frames else _blank(record.recipe, records) for record in records)
    return Grid(asked, lanes, calls[0], ended=ended, said=said)


def _blank(recipe: Recipe, records: Sequence[Record]) -> Lane:
    """A cell that has no state yet: an empty picture at the first noise level of another cell."""
    first = next(record.frames[0] for record in records if record.frames)
    x = np.zeros_like(first.x)
    frame = replace(first, index=0, total=recipe.steps, x=x, x0=x, calls=0, layout=recipe.layout)
    return Lane(recipe, (frame,), (0.0,), 0)


def _axis(given: AxisLike | None) -> Axis:
    found = Axis.of(given)
    if found is None:
        raise OptionError("axis", 'A grid has an axis x, such as x=("guidance", [1, 2, 4]). Give one.')
    return found


def _run_of(studio: Studio, recipe: Recipe) -> Callable[[Callable[[Call], Prediction]], Iterator[State]]:
    """A function that starts a cell's run with models whose network calls wait for those of other cells."""
    model, guides = studio.model(recipe.model), studio.guides

    def make(wait: Callable[[Call], Prediction]) -> Iterator[State]:
        def shared(one: Recipe) -> Guides:
            found = guides(one)
            weaker = None if found.weaker is None else SharedModel(found.weaker, wait)
            return found._replace(weaker=weaker)

        return states(SharedModel(model, wait), recipe, shared)

    return make
