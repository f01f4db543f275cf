"""Races and grids after they have run: the frames of each run at each tick of the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..diffusion.samplers import sampler_label
from ..imaging.frame import Frame
from ..options import name_of
from ..runs.recipe import REGISTRIES, Recipe
from ..runs.recipe_diff import flat_settings
from ..runs.setting_labels import setting_label, value_text
from .clocks import reached, ticks
from .lanes import Lane
from .recipes import GridRecipe, RaceRecipe
from .text import AS_IT_IS, NOT_EDITED, RUN_BEFORE, WORDS

R = TypeVar("R", bound="Runs")


@dataclass(frozen=True)
class Runs:
    """Several runs on the clock of their recipe. If `ended` is set, it is what ended them early (Ctrl-C,
    Stop, an error): then runs may be unfinished, and lanes may be missing.
    """

    recipe: Any
    lanes: tuple[Lane, ...]
    ended: BaseException | None = field(default=None, compare=False, kw_only=True)
    said: tuple[str, ...] = field(default=(), compare=False, kw_only=True)  # on settings of the runs

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
    def ended_text(self) -> str:
        """A sentence on how much of runs that ended early is there; empty if all are finished."""
        if self.ended is None:
            return ""
        finished = sum(lane.is_finished for lane in self.lanes)
        of = len(self.recipe.lanes if isinstance(self.recipe, RaceRecipe) else self.recipe.cells)
        if finished == of and isinstance(self.recipe, RaceRecipe) and self.recipe.reference:
            return f"All {of} runs are finished, but the reference run was ended early: no distances to it."
        return f"Ended early: {finished} of {of} runs are finished, the others are kept as far as they came."

    @property
    def common(self) -> str:
        """The settings that all runs share, in a line: model, label or prompt, sampler, steps, guidance and
        seeds.
        """
        race = isinstance(self.recipe, RaceRecipe)
        # a cell may have fallen back to other settings than the grid's recipe says
        recipes = self.recipe.lanes if race else [lane.recipe for lane in self.lanes]
        return ", ".join(filter(None, (_equal([one(recipe) for recipe in recipes]) for one in _COMMON)))

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


def _asked_for(recipe: Recipe) -> str:
    text = next((one for one in (recipe.spell, recipe.prompt, recipe.label) if one), "")
    return f"“{text if len(text) <= 60 else text[:59] + '…'}”" if text else ""


def _seeds(recipe: Recipe) -> str:
    seeds = recipe.seeds
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds[:6]))}{', …' if len(seeds) > 6 else ''}"


def _guidance(recipe: Recipe) -> str:
    if recipe.guidance_scales is not None:
        return f"guidance {recipe.guidance_scales}"
    return "" if recipe.guidance == 1 else f"guidance {recipe.guidance:g}"


_COMMON: tuple[Callable[[Recipe], str], ...] = (
    lambda recipe: recipe.model,
    _asked_for,
    lambda recipe: sampler_label(name_of(REGISTRIES["sampler"], recipe.sampler)),
    lambda recipe: f"{recipe.steps} step{'s' * (recipe.steps > 1)}",
    _guidance,
    _seeds,
)


def _equal(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else ""


def titles(recipes: Sequence[Recipe]) -> tuple[tuple[str, ...], ...]:
    """For each recipe its settings that are not the same in all of them. The options of a sampler are
    compared only between recipes with that sampler, and so for other groups. The run that the first one
    branched from, and the first one without its edit, are named by the words of the lanes' menu.
    """
    named = [_words(recipes[0], one) for one in recipes]
    if any(named):
        others = iter(titles([one for one, words in zip(recipes, named) if not words]))
        return tuple((words,) if words else next(others) or (WORDS[AS_IT_IS],) for words in named)
    flat = [flat_settings(one) for one in recipes]
    names = differing(recipes)
    inner = {name for name in names if any(name.startswith(f"{group} ") for group in names)}
    return tuple(
        tuple(_title(name, one) for name in names if name in one or name not in inner) for one in flat
    )


def _words(first: Recipe, recipe: Recipe) -> str:
    """The words by which the lanes' menu names a recipe beside the first one; empty if it has none."""
    if first.branch is not None and recipe == first.branch.recipe:
        return WORDS[RUN_BEFORE]
    if first.edit is not None and recipe == replace(first, edit=None):
        return WORDS[NOT_EDITED]
    return ""


def differing(recipes: Sequence[Recipe]) -> list[str]:
    """The names, as `flat_settings` has them, of the settings that are not the same in all recipes."""
    flat = [flat_settings(one) for one in recipes]
    return [
        name for name in dict.fromkeys(name for one in flat for name in one) if _setting_differs(flat, name)
    ]


def _title(name: str, settings: Mapping[str, Any]) -> str:
    if name == "branch at":
        return f"branch at step {settings[name]}" if name in settings else "no branch"
    return f"{setting_label(name)} {value_text(name, settings.get(name))}"


def _setting_differs(flat: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a setting differs among those recipes that agree in the group which it is an option of."""
    group = next((one for given in flat for one in given if name.startswith(f"{one} ")), None)
    found: dict[Any, set[Any]] = {}
    for one in flat:
        found.setdefault(one.get(group) if group else None, set()).add(one.get(name))
    return any(len(values) > 1 for values in found.values())
