"""Lanes of another model than the first: settings that they have of the first lane, and that their model
cannot use.
"""

from __future__ import annotations

from dataclasses import fields, replace

from ..errors import OptionError
from ..runs.generate import segments
from ..runs.recipe import Recipe
from ..studio import Studio
from .recipes import RaceRecipe


def with_own_settings(studio: Studio, asked: RaceRecipe) -> tuple[RaceRecipe, tuple[str, ...]]:
    """The race, in which a lane of another model has its model's own value wherever it cannot use that of the
    first lane, and a sentence on each of these. What a lane has of its own still raises its error.
    """
    first, said, lanes = asked.lanes[0], [], []
    for number, lane in enumerate(asked.lanes, 1):
        if lane.model != first.model:
            lane, why = _fitted(studio, first, lane)
            said += [f"Lane {number}: {one}" for one in why]
        lanes.append(lane)
    return (replace(asked, lanes=tuple(lanes)) if said else asked), tuple(said)


def _fitted(studio: Studio, first: Recipe, lane: Recipe) -> tuple[Recipe, list[str]]:
    own, said = studio.recipe(lane.model), []
    names = {one.name for one in fields(Recipe)} - {"model", "seeds", "points"}
    for _ in names:  # each falls back at most once
        try:
            segments(studio.model(lane.model), lane, studio.guides)
            break
        except OptionError as error:
            name = error.field.partition(".")[0]
            value = getattr(own, name) if name in names else None
            if (
                name not in names
                or getattr(lane, name) != getattr(first, name)
                or value == getattr(lane, name)
            ):
                raise
            lane = replace(lane, **{name: value})
            why = str(error).partition(". ")[0].rstrip(".")
            said.append(f"{why}, so the {name.replace('_', ' ')} is the default of {lane.model}.")
    return lane, said
