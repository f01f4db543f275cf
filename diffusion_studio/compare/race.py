"""Two to six recipes from the same noise, each run as a whole, then shown together on one clock."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..diffusion.denoiser import Ask
from ..diffusion.samplers import DDIM
from ..diffusion.spacing import Trailing
from ..errors import OptionError
from ..imaging.frame import Frame
from ..runs.edits import Invert, Morph
from ..runs.recipe import Recipe
from ..studio import Studio
from .clocks import INTO_NOISE
from .divergence import Base, Tracer, rms
from .files import save
from .lanes import MAX_BYTES, Lane, Record, State, never_waits, states
from .other_models import with_own_settings
from .recipes import REFERENCE_STEPS, RaceRecipe, fingerprint
from .results import RaceRuns, Runs

T = TypeVar("T")
R = TypeVar("R", bound=Runs)
NewFrame = tuple[int, Frame]
OnState = Callable[[int, Frame], None]  # the number of the lane, from 0, and its new frame


class Race(RaceRuns):
    """A race that was run, as `RaceRuns`, and can be saved."""

    def save(self, path: str | Path, format: str | None = None, **options: Any) -> Path:
        """Export the race as one animation, strip or picture, see `compare.files.save`."""
        return save(self, path, format, **options)


def race(
    recipes: RaceRecipe | Sequence[Recipe | Mapping[str, Any]],
    clock: str | None = None,
    *,
    studio: Studio | None = None,
    reference: int | None = None,
    on_state: OnState | None = None,
    ask: Ask | None = None,
) -> Race:
    """Run two to six recipes from the same noise, one after the other, and put them on one clock.

    The first recipe is the base; the others may be given by the settings in which they differ from it, such
    as {"sampler": "dpmpp_2m", "steps": 20}. The clock is one of `ds.CLOCKS` (left out: log-snr). `reference`
    also runs the first lane's recipe, after the lanes, by DDIM without noise in so many steps (True: 1,000;
    at most as many as its schedule has), and measures how far every lane's finished pictures are from its. A
    `RaceRecipe` that has these distances, of the same pictures, needs no such run. `on_state` is told of each
    state; `ask` makes every network call, see `Studio.stream`.

    Raises `OptionError` where seeds or the shapes of the models' pictures differ, before anything runs.
    """
    asked = recipes if isinstance(recipes, RaceRecipe) else RaceRecipe.of(recipes)
    asked = replace(asked, clock=asked.clock if clock is None else clock)
    asked = asked if reference is None else asked.with_reference(reference)
    return raise_if_ended(run_to_end(racing(asked, Studio() if studio is None else studio, ask), on_state))


def racing(
    asked: RaceRecipe, studio: Studio, ask: Ask | None = None, waited: Callable[[], float] = never_waits
) -> Generator[NewFrame, None, Race]:
    """Like `race`, but a generator that yields (number of the lane, its new frame) and returns the Race.

    The reference run is lane -1, after the others. A recipe that does not fit raises its error here, before
    the first frame. If the runs end early, the Race holds the states so far, and `ended` is what ended them.
    A lane of another model has that model's own settings where it cannot use those of the first lane.
    `waited` says how many seconds `ask` has waited so far for other runs, which the lanes' seconds leave out.
    """
    check_shapes(studio, asked.lanes)
    asked, said = with_own_settings(studio, asked)
    runs, reference = _planned(studio, asked, ask, waited)
    return _racing(asked, runs, reference, said)


def run_to_end(run: Generator[NewFrame, None, T], on_state: OnState | None) -> T:
    """Run a race or grid to its end and return it. `on_state` is called with each new frame; an exception in
    it ends the runs early.
    """
    error: BaseException | None = None
    while True:
        try:
            number, frame = next(run) if error is None else run.throw(error)
        except StopIteration as end:
            return end.value
        try:
            if on_state is not None:
                on_state(number, frame)
        except BaseException as caught:
            error = caught


def raise_if_ended(made: R) -> R:
    """Return the runs, or raise what ended them early."""
    if made.ended is not None:
        raise made.ended
    return made


def _racing(
    asked: RaceRecipe,
    runs: Sequence[Iterator[State]],
    reference: Iterator[State] | None,
    said: tuple[str, ...] = (),
) -> Generator[NewFrame, None, Race]:
    each, lanes = MAX_BYTES // (len(asked.lanes) + 1), []
    baseline = _Baseline(Base(each), each)
    distances: Sequence[float] = asked.distances
    fingerprints: tuple[str, ...] = ()
    try:
        for number, (recipe, run) in enumerate(zip(asked.lanes, runs)):
            lanes.append(_Lane(number, recipe, baseline))
            yield from lanes[-1].run(run)
        if reference is not None:
            fingerprints = tuple(one.fingerprint(asked.reference) for one in lanes)
            if asked.reference_to_run or fingerprints != asked.fingerprints:
                end = yield from _reference(reference)
                distances = [lane.distance_to(end) for lane in lanes]
    except GeneratorExit:
        raise
    except BaseException as error:
        made = tuple(one.lane() for one in lanes if one.begun)
        if not made:
            raise
        return Race(asked, made, ended=error, said=said)
    asked = replace(asked, distances=tuple(distances), fingerprints=fingerprints)
    measured = distances or [None] * len(lanes)
    return Race(asked, tuple(lane.lane(distance) for lane, distance in zip(lanes, measured)), said=said)


def _planned(
    studio: Studio, asked: RaceRecipe, ask: Ask | None, waited: Callable[[], float]
) -> tuple[list[Iterator[State]], Iterator[State] | None]:
    """The lanes' runs and the reference run, not yet started. A recipe that does not fit raises its error
    here.
    """
    if asked.clock == "log-snr":
        for lane in asked.lanes:
            _check_no_inversion(lane)
    recipes = list(asked.lanes)
    if asked.reference:
        recipes.append(reference_recipe(studio, asked.lanes[0], asked.reference))
    runs = [states(studio.model(one.model), one, studio.guides, ask, waited) for one in recipes]
    return (runs[:-1], runs[-1]) if asked.reference else (runs, None)


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


@dataclass
class _Baseline:
    """The runs that lanes are measured against, and the memory for the states of one run."""

    base: Base
    max_bytes: int


class _Lane:
    """A lane while it runs."""

    def __init__(self, number: int, recipe: Recipe, baseline: _Baseline) -> None:
        self.number, self.baseline = number, baseline
        self.record, self.tracer = Record(recipe, baseline.max_bytes), Tracer(baseline.base)
        self.state: State | None = None

    def run(self, states: Iterator[State]) -> Generator[NewFrame, None, None]:
        for state in states:
            self.record.add(state)
            self.state, frame = state, state.frame
            if frame.part != INTO_NOISE:
                if self.number == 0:
                    self.baseline.base.add(frame.level.log_snr, state.x0, frame.index, frame.total)
                else:
                    self.tracer.add(frame.level.log_snr, state.x0)
            yield self.number, frame

    @property
    def begun(self) -> bool:
        return self.state is not None

    def distance_to(self, end: torch.Tensor) -> float:
        """RMS difference of the finished x0 to that of the reference run."""
        assert self.state is not None
        return rms(self.state.x0, end)

    def fingerprint(self, reference: int) -> str:
        """See `recipes.fingerprint`; `reference` are the steps of the reference run."""
        return fingerprint(self.record.recipe, reference, self.lane().finished.tobytes())

    def lane(self, distance: float | None = None) -> Lane:
        """The lane as far as it has run."""
        return self.record.lane(self.tracer.curve() if self.number else None, distance)


def reference_recipe(studio: Studio, recipe: Recipe, steps: int = REFERENCE_STEPS) -> Recipe:
    """The recipe of the reference run, which approximates the exact solution of a recipe's probability-flow
    ODE.
    """
    rule = recipe.spacing if recipe.spacing.count is None else Trailing()
    most = rule.most(studio.card(recipe.model).spec.schedule)
    return replace(recipe, sampler=DDIM(), spacing=rule, steps=min(steps, most))


def _reference(run: Iterator[State]) -> Generator[NewFrame, None, torch.Tensor]:
    """The finished x0 of the reference run."""
    state: State | None = None
    for state in run:
        yield -1, state.frame
    assert state is not None
    return state.x0
