"""Two to six recipes from the same noise, each run as a whole, then shown together on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..diffusion.denoiser import Ask
from ..diffusion.samplers import DDIM
from ..diffusion.spacing import Trailing
from ..errors import OptionError
from ..imaging.frame import Frame
from ..runs.edits import Invert, Morph
from ..runs.recipe import Recipe
from ..runs.recipe_diff import flat_settings
from ..studio import Studio
from .clocks import INTO_NOISE, reached, ticks
from .divergence import Base, Tracer, rms
from .lanes import MAX_BYTES, Lane, Record, State, states
from .recipes import RaceRecipe

REFERENCE_STEPS = 1000

OnState = Callable[[int, Frame], None]  # the number of the lane, from 0, and its new frame


@dataclass(frozen=True)
class Race:
    """A race that was run. `ticks` are those of its clock; `shown(k)` the frame of each lane at tick k."""

    recipe: RaceRecipe
    lanes: tuple[Lane, ...]

    @cached_property
    def places(self) -> tuple[np.ndarray, ...]:
        """Of each lane the places of its frames on the clock."""
        return tuple(lane.places(self.recipe.clock) for lane in self.lanes)

    @cached_property
    def ticks(self) -> np.ndarray:
        return ticks(self.recipe.clock, self.places)

    @cached_property
    def titles(self) -> tuple[tuple[str, ...], ...]:
        """For each lane the settings in which the lanes differ, such as "sampler ddim"."""
        return titles([lane.recipe for lane in self.lanes])

    def numbers(self, tick: int) -> tuple[int, ...]:
        """For each lane the number of its frame at a tick: the latest that it has reached."""
        return tuple(reached(own, self.ticks[tick]) for own in self.places)

    def shown(self, tick: int) -> tuple[Frame, ...]:
        """The frame of each lane at a tick."""
        return tuple(lane.frames[k] for lane, k in zip(self.lanes, self.numbers(tick)))

    def on(self, clock: str) -> Race:
        """The same runs on another clock."""
        return Race(replace(self.recipe, clock=clock), self.lanes)

    def save(self, path: str | Path, format: str | None = None, **options: Any) -> Path:
        """Export the race as one animation, strip or picture, see `compare.files.save`."""
        from .files import save

        return save(self, path, format, **options)


def race(
    recipes: RaceRecipe | Sequence[Recipe | Mapping[str, Any]],
    clock: str | None = None,
    *,
    studio: Studio | None = None,
    reference: bool | None = None,
    on_state: OnState | None = None,
    ask: Ask | None = None,
) -> Race:
    """Run two to six recipes from the same noise, one after the other, and put them on one clock.

    The first recipe is the base; the others may be given by the settings in which they differ from it, such
    as {"sampler": "dpmpp_2m", "steps": 20}. The clock is one of `ds.CLOCKS` (left out: log-snr). `reference`
    also runs the first lane's recipe by DDIM without noise in 1,000 steps (or as many as its schedule has),
    and measures how far every lane's finished pictures are from its. `on_state` is told of each state; `ask`
    makes every network call, see `Studio.stream`.

    Raises `OptionError` where seeds or the shapes of the models' pictures differ, before anything runs.
    """
    asked = recipes if isinstance(recipes, RaceRecipe) else RaceRecipe.of(recipes)
    asked = replace(
        asked,
        clock=asked.clock if clock is None else clock,
        reference=asked.reference if reference is None else reference,
    )
    studio = Studio() if studio is None else studio
    runs = _planned(studio, asked, ask)
    end = _reference(studio, asked.lanes[0], on_state, ask) if asked.reference else None
    each = MAX_BYTES // (len(asked.lanes) + 1)
    base, lanes = Base(each), []
    for number, (recipe, run) in enumerate(zip(asked.lanes, runs)):
        lanes.append(_lane(number, recipe, run, _Keeping(base, each, end, on_state)))
    return Race(asked, tuple(lanes))


def _planned(studio: Studio, asked: RaceRecipe, ask: Ask | None) -> list[Iterator[State]]:
    """The runs of the lanes, none begun; whatever does not fit is said here."""
    check_shapes(studio, asked.lanes)
    if asked.clock == "log-snr":
        for lane in asked.lanes:
            _check_no_inversion(lane)
    return [states(studio.model(one.model), one, studio.guides, ask) for one in asked.lanes]


def check_shapes(studio: Studio, recipes: Sequence[Recipe]) -> None:
    """Raise `OptionError` unless the models of all recipes make pictures, or points, of one shape."""
    shapes = [(one.model, tuple(studio.card(one.model).spec.shape)) for one in recipes]
    for name, shape in shapes[1:]:
        if shape != shapes[0][1]:
            raise OptionError(
                "model",
                f"Runs that start from the same noise make pictures of one shape: {shapes[0][0]} makes "
                f"{_sized(shapes[0][1])}, and {name} makes {_sized(shape)}. Choose models that agree.",
            )


def _sized(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return "points"
    channels, height, width = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"


def _check_no_inversion(recipe: Recipe | None) -> None:
    while recipe is not None:
        if isinstance(recipe.edit, (Invert, Morph)):
            raise OptionError(
                "clock",
                "A lane goes into noise first and passes each noise level twice, so it has no one place on "
                "the clock log-snr. Choose the clock steps, calls or seconds.",
            )
        recipe = None if recipe.branch is None else recipe.branch.recipe


@dataclass(frozen=True)
class _Keeping:
    """What the lanes of a race are measured against, and how much is kept of each."""

    base: Base
    max_bytes: int
    end: torch.Tensor | None  # the finished x0 of the reference run
    on_state: OnState | None


def _lane(number: int, recipe: Recipe, run: Iterator[State], keeping: _Keeping) -> Lane:
    record, tracer = Record(recipe, keeping.max_bytes), Tracer(keeping.base)
    state: State | None = None
    for state in run:
        record.add(state)
        frame = state.frame
        if frame.part != INTO_NOISE:
            if number == 0:
                keeping.base.add(frame.level.log_snr, state.x0, frame.index, frame.total)
            else:
                tracer.add(frame.level.log_snr, state.x0)
        if keeping.on_state is not None:
            keeping.on_state(number, frame)
    assert state is not None  # a run has at least its first and its last state
    distance = None if keeping.end is None else rms(state.x0, keeping.end)
    return record.lane(tracer.curve() if number else None, distance)


def reference_recipe(studio: Studio, recipe: Recipe) -> Recipe:
    """The run that stands for the exact solution of a recipe's probability-flow ODE."""
    rule = recipe.spacing if recipe.spacing.count is None else Trailing()
    most = rule.most(studio.card(recipe.model).spec.schedule)
    return replace(recipe, sampler=DDIM(), spacing=rule, steps=min(REFERENCE_STEPS, most))


def _reference(studio: Studio, recipe: Recipe, on_state: OnState | None, ask: Ask | None) -> torch.Tensor:
    """The finished x0 of the reference run; told of as lane -1."""
    exact = reference_recipe(studio, recipe)
    state: State | None = None
    for state in states(studio.model(exact.model), exact, studio.guides, ask):
        if on_state is not None:
            on_state(-1, state.frame)
    assert state is not None
    return state.x0


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
