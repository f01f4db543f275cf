"""Lanes and cells of another model than the base of their race or grid: settings that they have of the base,
and that their model cannot use.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace

from ..errors import OptionError
from ..runs.generate import segments
from ..runs.recipe import Recipe
from ..studio import Studio
from .recipes import GridRecipe, RaceRecipe

_NAMES = frozenset(one.name for one in fields(Recipe)) - {"model", "seeds", "points"}


def with_own_settings(studio: Studio, asked: RaceRecipe) -> tuple[RaceRecipe, tuple[str, ...]]:
    """The race, in which a lane of another model has its model's own value wherever it cannot use that of the
    first lane, and a sentence on each of these. What a lane has of its own still raises its error.
    """
    first, said, lanes = asked.lanes[0], [], []
    for number, lane in enumerate(asked.lanes, 1):
        lane, why = _fitted(studio, first, lane)
        said += [f"Lane {number}: {one}" for one in why]
        lanes.append(lane)
    return (replace(asked, lanes=tuple(lanes)) if said else asked), tuple(said)


def fitted_cells(studio: Studio, asked: GridRecipe) -> tuple[tuple[Recipe, ...], tuple[str, ...]]:
    """The cells of a grid, in which one of another model than the grid's recipe has its model's own value
    wherever it cannot use that of the recipe, and a sentence on each of these. A value of an axis still
    raises its error.
    """
    said: dict[str, None] = {}
    cells, varied = [], _varied(asked)
    for cell in asked.cells:
        cell, why = _fitted(studio, asked.recipe, cell, varied)
        said |= dict.fromkeys(f"Cells of {cell.model}: {one}" for one in why)
        cells.append(cell)
    return tuple(cells), tuple(said)


def _varied(asked: GridRecipe) -> set[str]:
    """The parts of a recipe that the axes of a grid set."""
    axes = [one.setting for one in (asked.x, asked.y) if one is not None]
    recipes: Sequence[Recipe] = (asked.recipe, *asked.cells)
    differing = {name for name in _NAMES if any(_differs(name, recipes[0], one) for one in recipes)}
    return differing | {name for name in axes if name in _NAMES}


def _differs(name: str, one: Recipe, other: Recipe) -> bool:
    return getattr(one, name) != getattr(other, name)


def _fitted(
    studio: Studio, base: Recipe, run: Recipe, varied: Collection[str] = ()
) -> tuple[Recipe, list[str]]:
    """The recipe `run` as its model can use it. What it has of `base` falls back, and nothing that is
    `varied`.
    """
    said: list[str] = []
    if run.model == base.model:
        return run, said
    own = studio.recipe(run.model)
    for _ in _NAMES:  # each falls back at most once
        try:
            segments(studio.model(run.model), run, studio.guides)
            break
        except OptionError as error:
            name = error.field.partition(".")[0]
            if (
                name not in _NAMES
                or name in varied
                or _differs(name, run, base)
                or not _differs(name, run, own)
            ):
                raise
            value = getattr(own, name)
            run = replace(run, **{name: value})
            why = str(error).partition(". ")[0].rstrip(".")
            which = f", {value!r}" if isinstance(value, (str, int, float)) else ""
            said.append(f"{why}, so the {name.replace('_', ' ')} is the default of {run.model}{which}.")
    return run, said
