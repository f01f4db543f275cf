"""Recipe x Model -> Frames."""

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
from .segments import BEFORE, FROM_NOTHING, Plan, Segment, Start, reached, run_segments, segments_of, tiled
from .trajectory_cache import TrajectoryCache

# the guides of any recipe, for a branch whose beginning had others
GuidesOf = Callable[[Recipe], Guides]


def plan(
    model: Model,
    recipe: Recipe,
    guides: Guides = NO_GUIDES,
    strength: float = 1.0,
    low_res: torch.Tensor | None = None,
) -> Plan:
    """Check a recipe against a model; raises `OptionError` for what the model cannot do.

    `guides` are the classifier and the weaker model that the recipe names. It is as if the recipe had no
    edit; of its steps the last part is made, the share `strength`. `low_res` (1 or N, C, h, w) in [-1, 1]
    takes the place of the recipe's one picture to enlarge, with one for each seed.
    """
    levels = reached(Levels(path(model.schedule, recipe.steps, recipe.spacing), model.schedule), strength)
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
    """The recipe's Frames as they come: n + 1 for n steps. A recipe that does not fit fails here, before the
    first one.

    `guides` are those that the recipe names, or find those of any recipe. `states` keep what this run visits,
    and spare a branch the replay of the run that it continues. `low_res` as in `plan`.
    """
    legs = segments(model, recipe, guides, low_res)
    return frames(model, recipe, legs, states)


def frames(
    model: Model, recipe: Recipe, legs: Sequence[Segment], states: TrajectoryCache | None = None
) -> Iterator[Frame]:
    """The Frames of a run whose segments are planned, see `stream`."""
    return (frame for frame, _ in with_states(model, recipe, legs, states or TrajectoryCache(max_bytes=0)))


def segments(
    model: Model,
    recipe: Recipe,
    guides: Guides | GuidesOf = NO_GUIDES,
    low_res: torch.Tensor | None = None,
) -> tuple[Segment, ...]:
    """The segments of a recipe's run on a model. Arguments as in `stream`."""

    def planned(one: Recipe, strength: float) -> Plan:
        return plan(model, one, guides if isinstance(guides, Guides) else guides(one), strength, low_res)

    return segments_of(recipe, planned)


def watched(legs: Sequence[Segment], ask: Ask) -> tuple[Segment, ...]:
    """The segments with every network call going through `ask`, which can end the run: see `Watched`."""
    return tuple(replace(leg, denoise=Watched(leg.denoise, ask)) for leg in legs)


def with_states(
    model: Model, recipe: Recipe, legs: Sequence[Segment], states: TrajectoryCache
) -> Generator[tuple[Frame, torch.Tensor], None, None]:
    """The run's Frames, each with its state x as the sampler has it. `states` keeps what is visited."""
    total = sum(leg.steps for leg in legs)
    # what was kept is shown as the run before was
    branch = recipe.branch
    if branch is not None and branch.recipe.stretch != recipe.stretch:
        branch = None
    before = states.before(branch.recipe, model, branch.at) if branch is not None else None
    run = states.open(recipe, model)
    layout = recipe.layout
    start = FROM_NOTHING
    if branch is not None and before is not None:
        *seen, (left, x) = before
        start, own = Start(branch.at, left.calls - 1, x), legs[-1:]
        tiles = (0,) * recipe.pictures if recipe.pictures != len(left.x) else None
        for frame, state in seen:
            frame = tiled(replace(frame, total=total, part=frame.part or BEFORE), tiles)
            frame = replace(frame, layout=layout)
            states.keep(run, frame, state)
            yield frame, state
        legs = own
    for frame, state in run_segments(legs, total, start, kept_as(model, recipe)):
        frame = frame if layout is None else replace(frame, layout=layout)
        states.keep(run, frame, state)
        yield frame, state


def kept_as(model: Model, recipe: Recipe) -> Callable[[torch.Tensor], np.ndarray]:
    """What makes of a run's states what its frames hold."""
    return to_float16 if model.spec.makes == POINTS else stretched if recipe.stretch else to_uint8
