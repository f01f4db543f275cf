"""Recipe x Model -> Frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from ..checkpoint.spec import POINTS
from ..diffusion.denoiser import Ask, Watched
from ..diffusion.levels import Levels
from ..diffusion.noise import Noise
from ..diffusion.spacing import path
from ..errors import OptionError
from ..imaging.arrays import stretched, to_float16, to_uint8
from ..imaging.frame import Frame
from ..models.classifier import Classifier
from ..models.model import Model
from .guidance_builder import guided, limited
from .recipe import MAX_ALL_POINTS, Recipe
from .segments import BEFORE, Plan, Segment, reached, run_segments, segments_of, tiled
from .trajectory_cache import TrajectoryCache

Guides = Callable[[Recipe], tuple[Classifier | None, Model | None]]


def plan(
    model: Model,
    recipe: Recipe,
    classifier: Classifier | None = None,
    weaker: Model | None = None,
    strength: float = 1.0,
    low_res: torch.Tensor | None = None,
) -> Plan:
    """Check a recipe against a model; raises `OptionError` for what the model cannot do.

    `classifier` and `weaker` are those that the recipe names to guide it. It is as if the recipe had no edit;
    of its steps the last part is made, the share `strength`. `low_res` (1 or N, C, h, w) in [-1, 1] takes the
    place of the recipe's one picture to enlarge, with one for each seed.
    """
    levels = reached(Levels(path(model.schedule, recipe.steps, recipe.spacing), model.schedule), strength)
    model.check(levels[0])
    denoise = limited(guided(model, recipe, levels, classifier, weaker, low_res), recipe, model.spec)
    shape = model.shape
    if model.spec.makes == POINTS:
        shape = recipe.points, *shape
        if (whole := len(recipe.seeds) * recipe.points) > MAX_ALL_POINTS:
            raise OptionError(
                f"{len(recipe.seeds)} clouds of {recipe.points:,} points are {whole:,} points; a run has at "
                f"most {MAX_ALL_POINTS:,}. Ask for fewer clouds or fewer points."
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
    classifier: Classifier | None = None,
    weaker: Model | None = None,
    states: TrajectoryCache | None = None,
    guides: Guides | None = None,
    low_res: torch.Tensor | None = None,
    ask: Ask | None = None,
) -> Iterator[Frame]:
    """The recipe's Frames as they come: n + 1 for n steps. A recipe that does not fit fails here, before the
    first one.

    `states` keep what this run visits, and spare a branch the replay of the run that it continues. `guides`
    finds the classifier and the weaker model of any recipe, for a branch whose beginning had others.
    `low_res` as in `plan`. Every network call goes through `ask`, which can end the run: see `Watched`.
    """

    parts = segments(model, recipe, classifier, weaker, guides, low_res)
    if ask is not None:
        parts = tuple(replace(one, denoise=Watched(one.denoise, ask)) for one in parts)
    return _frames(model, recipe, parts, states or TrajectoryCache(max_bytes=0))


def segments(
    model: Model,
    recipe: Recipe,
    classifier: Classifier | None = None,
    weaker: Model | None = None,
    guides: Guides | None = None,
    low_res: torch.Tensor | None = None,
) -> tuple[Segment, ...]:
    """The parts of a recipe's run, as `stream` makes them; the parameters are its."""

    def planned(one: Recipe, strength: float) -> Plan:
        return plan(
            model, one, *(guides(one) if guides is not None else (classifier, weaker)), strength, low_res
        )

    return segments_of(recipe, planned)


def _frames(
    model: Model, recipe: Recipe, legs: Sequence[Segment], states: TrajectoryCache
) -> Iterator[Frame]:
    total = sum(leg.steps for leg in legs)
    # what was kept is shown as the run before was
    alike = recipe.branch is not None and recipe.branch.recipe.stretch == recipe.stretch
    before = states.before(recipe.branch.recipe, model, recipe.branch.at) if alike else None
    run = states.open(recipe, model)
    first, calls, x = 0, 0, None
    if before is not None:
        *seen, (left, x) = before
        first, calls, own = recipe.branch.at, left.calls - 1, legs[-1:]
        tiles = (0,) * recipe.pictures if recipe.pictures != len(left.x) else None
        for frame, state in seen:
            frame = tiled(replace(frame, total=total, part=frame.part or BEFORE), tiles)
            states.keep(run, frame, state)
            yield frame
        legs = own
    kept = to_float16 if model.spec.makes == POINTS else stretched if recipe.stretch else to_uint8
    for frame, state in run_segments(legs, total, first, calls, x, kept):
        states.keep(run, frame, state)
        yield frame
