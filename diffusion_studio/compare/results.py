"""What races and grids are once they are run: the frames of each run at each tick of the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..imaging.frame import Frame
from ..runs.recipe import Recipe
from ..runs.recipe_diff import flat_settings
from .clocks import reached, ticks
from .lanes import Lane
from .recipes import GridRecipe, RaceRecipe

R = TypeVar("R", bound="Runs")


@dataclass(frozen=True)
class Runs:
    """Several runs on the clock of their recipe. `lanes` are what was made; where `ended` names what ended
    them early (Ctrl-C, Stop, an error), the last one may be unfinished, and lanes may be missing.
    """

    recipe: Any
    lanes: tuple[Lane, ...]
    ended: BaseException | None = field(default=None, compare=False, kw_only=True)

    @cached_property
    def places(self) -> tuple[np.ndarray, ...]:
        """Of each run the places of its frames on the clock."""
        return tuple(lane.places(self.recipe.clock) for lane in self.lanes)

    @cached_property
    def ticks(self) -> np.ndarray:
        """The ticks of the clock, see `clocks.ticks`."""
        return ticks(self.recipe.clock, self.places)

    def numbers(self, tick: int) -> tuple[int, ...]:
        """For each run the number of its frame at a tick: the latest that it has reached."""
        return tuple(reached(own, self.ticks[tick]) for own in self.places)

    def shown(self, tick: int) -> tuple[Frame, ...]:
        """The frame of each run at a tick."""
        return tuple(lane.frames[k] for lane, k in zip(self.lanes, self.numbers(tick)))

    @property
    def said(self) -> str:
        """What there is of runs that were ended early; empty where all are finished."""
        if self.ended is None:
            return ""
        finished = sum(lane.is_finished for lane in self.lanes)
        of = len(self.recipe.lanes if isinstance(self.recipe, RaceRecipe) else self.recipe.cells)
        return f"Ended early: {finished} of {of} runs are finished, the others are kept as far as they came."

    def on(self: R, clock: str) -> R:
        """The same runs on another clock."""
        return replace(self, recipe=replace(self.recipe, clock=clock))


@dataclass(frozen=True)
class RaceRuns(Runs):
    """The lanes of a race; all but the first have a curve."""

    recipe: RaceRecipe

    @cached_property
    def titles(self) -> tuple[tuple[str, ...], ...]:
        """For each lane the settings in which the lanes differ, such as "sampler ddim"."""
        return titles(self.recipe.lanes)[: len(self.lanes)]


@dataclass(frozen=True)
class GridRuns(Runs):
    """The cells of a grid, row by row. They share network calls, so they have no seconds of their own."""

    recipe: GridRecipe
    network_calls: int = 0  # of all cells, a shared one counted once

    @property
    def cells(self) -> tuple[Lane, ...]:
        return self.lanes


def titles(recipes: Sequence[Recipe]) -> tuple[tuple[str, ...], ...]:
    """For each of several recipes its settings that are not the same in all. The options of a sampler or
    another group count only against those of the same one.
    """
    flat = [flat_settings(one) for one in recipes]
    names = [name for name in dict.fromkeys(name for one in flat for name in one) if _differ(flat, name)]
    inner = {name for name in names if any(name.startswith(f"{group} ") for group in names)}
    return tuple(
        tuple(f"{name} {one.get(name, 'none')}" for name in names if name in one or name not in inner)
        for one in flat
    )


def _differ(flat: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a setting differs among those recipes that agree in the group which it is an option of."""
    group = next((one for given in flat for one in given if name.startswith(f"{one} ")), None)
    found: dict[Any, set[Any]] = {}
    for one in flat:
        found.setdefault(one.get(group) if group else None, set()).add(one.get(name))
    return any(len(values) > 1 for values in found.values())
