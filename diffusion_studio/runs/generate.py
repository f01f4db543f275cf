"""Run a recipe on a model and yield its frames."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..checkpoint.spec import POINTS
from ..diffusion.denoiser import Ask, Watched
from ..diffusion.levels import Levels
from ..diffusion.noise import Noise
from ..diffusion.spacing import path
from ..errors import OptionError
from ..imaging.arrays import stretched, to_float16, to_uint8
from ..imaging.frame import Frame
from ..models.model import Model
from .guidance_builder import NO_GUIDES, Guides, guided, limited
from .recipe import MAX_ALL_POINTS, Recipe
from .resume import resumable
from .segments import (
    BEFORE,
    FROM_NOTHING,
    Plan,
    Segment,
    Start,
    last_levels,
    run_segments,
    segments_of,
    tiled,
)
from .trajectory_cache import TrajectoryCache

# Finds the guides of any recipe: a branch and the run that it continues may name different ones.
GuidesOf = Callable[[Recipe], Guides]


def plan(
    model: Model,
    recipe: Recipe,
    guides: Guides = NO_GUIDES,
    strength: float = 1.0,
    low_res: torch.Tensor | None = None,
) -> Plan:
    """Turn a recipe, without its edit and branch, into a `Plan` for a model.

    `guides` are the classifier and the weaker model that the recipe names. Only the last share `strength` of
    the steps is planned. `low_res` (1 or N, C, h, w) in [-1, 1] replaces the recipe's picture to enlarge, one
    for each seed if N > 1. Raises `OptionError` for what the model cannot do.
    """
    levels = last_levels(Levels(path(model.schedule, recipe.steps, recipe.spacing), model.schedule), strength)
    model.check(levels[0])
    denoise = limited(guided(model, recipe, levels, guides, low_res), recipe, model.spec)
    shape = model.shape
    if model.spec.makes == POINTS:
        shape = recipe.points, *shape
        if (whole := len(recipe.seeds) * recipe.points) > MAX_ALL_POINTS:
            raise OptionError(
                "points",
                f"{len(recipe.seeds)} clouds of {recipe.points:,} points are {whole:,} points; a run has at "
                f"most {MAX_ALL_POINTS:,}. Ask for fewer clouds or fewer points.",
            )
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    return Plan(
        denoise,
        levels,
        Noise(recipe.seeds, shape, model.device, dtype),
        recipe.spacing,
        model.spec.black_margin,
        model.spec.takes_text,
    )


def stream(
    model: Model,
    recipe: Recipe,
    guides: Guides | GuidesOf = NO_GUIDES,
    states: TrajectoryCache | None = None,
    low_res: torch.Tensor | None = None,
) -> Iterator[Frame]:
    """The recipe's Frames as they are made: n + 1 for n steps. An impossible recipe raises before the first
    one.

    `guides` are those that the recipe names, or a function that finds the guides of any recipe. `states`
    caches the states of this run, and supplies a branch with those of the run that it continues. `low_res` is
    as in `plan`. Raises `OptionError`, and `SamplingError` if states stop being finite.
    """
    return frames(model, recipe, segments(model, recipe, guides, low_res), states)


def frames(
    model: Model,
    recipe: Recipe,
    parts: Sequence[Segment],
    states: TrajectoryCache | None = None,
    resume: bool = False,
) -> Iterator[Frame]:
    """The Frames of a run whose segments are given, see `stream`; `resume` as in `with_states`."""
    states = states or TrajectoryCache(max_bytes=0)
    return (frame for frame, _ in with_states(model, recipe, parts, states, resume))


def segments(
    model: Model,
    recipe: Recipe,
    guides: Guides | GuidesOf = NO_GUIDES,
    low_res: torch.Tensor | None = None,
) -> tuple[Segment, ...]:
    """The segments of a recipe's run on a model. Arguments as in `stream`."""

    def make_plan(one: Recipe, strength: float) -> Plan:
        return plan(model, one, guides if isinstance(guides, Guides) else guides(one), strength, low_res)

    return segments_of(recipe, make_plan)


def watched(parts: Sequence[Segment], ask: Ask) -> tuple[Segment, ...]:
    """The segments with `ask` wrapped around every network call; it can end the run, see `Watched`."""
    return tuple(replace(part, denoise=Watched(part.denoise, ask)) for part in parts)


def with_states(
    model: Model,
    recipe: Recipe,
    parts: Sequence[Segment],
    states: TrajectoryCache,
    resume: bool = False,
) -> Generator[tuple[Frame, torch.Tensor], None, None]:
    """The run's Frames, each with the sampler's state x. `states` caches them.

    With `resume` a run of this recipe that was stopped gives its cached states, and goes on from the last of
    them, where `resumable` says that it then ends as if it had not been stopped.
    """
    total = sum(part.steps for part in parts)
    # cached frames of the parent cannot be shown if it maps values to pixels differently
    branch = recipe.branch
    if branch is not None and branch.recipe.stretch != recipe.stretch:
        branch = None
    before = states.before(branch.recipe, model, branch.at) if branch is not None else None
    stopped = states.stopped(recipe, model) if resume and resumable(recipe) else []
    run = states.open(recipe, model)
    layout = recipe.layout
    start = FROM_NOTHING
    if branch is not None and before is not None:
        *seen, (left, x) = before
        start, own = Start(branch.at, left.calls - 1, x), parts[-1:]
        tiles = (0,) * recipe.pictures if recipe.pictures != len(left.x) else None
        for frame, state in seen:
            frame = tiled(replace(frame, total=total, part=frame.part or BEFORE), tiles)
            frame = replace(frame, layout=layout)
            states.keep(run, frame, state)
            yield frame, state
        parts = own
    if stopped:
        *seen, (left, x) = stopped
        for frame, state in seen:
            states.keep(run, frame, state)
            yield frame, state
        start = Start(left.index, left.calls - 1, x)
        parts = [replace(parts[0], levels=Levels.of(parts[0].levels)[left.index :], begin=lambda _: x)]
    for frame, state in run_segments(parts, total, start, frame_converter(model, recipe)):
        frame = frame if layout is None else replace(frame, layout=layout)
        states.keep(run, frame, state)
        yield frame, state


def frame_converter(model: Model, recipe: Recipe) -> Callable[[torch.Tensor], np.ndarray]:
    """The function that turns states (N, ...) into arrays of frames: uint8 pictures, or float16 points."""
    return to_float16 if model.spec.makes == POINTS else stretched if recipe.stretch else to_uint8
