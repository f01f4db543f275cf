"""Recipe x Model -> Frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from .diffusion.denoiser import Denoiser
from .diffusion.guidance import clamped, classifier_free, dynamically_thresholded, rescaled, shaped
from .diffusion.levels import Levels
from .diffusion.noise import Noise
from .diffusion.spacing import path
from .frame import Frame
from .journey import BEFORE, Leg, Plan, journey, reached, tiled, walk
from .model import Model
from .recipe import Recipe
from .states import States


def plan(model: Model, recipe: Recipe, strength: float = 1.0) -> Plan:
    """Check a recipe against a model; raises `OptionError` for what the model cannot do.

    It is as if the recipe had no edit; of its steps the last part is made, the share `strength`.
    """
    levels = reached(Levels(path(model.schedule, recipe.steps, recipe.spacing), model.schedule), strength)
    model.check(levels[0])
    denoise = model.denoiser(recipe.label, recipe.prompt)
    if recipe.negative is not None:
        model.spec.prompt_text(recipe.negative)     # what the model cannot read is said whatever the guidance
    if recipe.negative_label is not None:
        model.spec.label_index(recipe.negative_label)
    asked = (recipe.label, recipe.prompt, recipe.negative, recipe.negative_label)
    if any(one is not None for one in asked) and recipe.guidance != 1:
        scale = shaped(recipe.guidance, levels, recipe.guidance_shape) if recipe.guidance_shape != "constant" else recipe.guidance
        away = _away(model, recipe)
        denoise = rescaled(denoise, away, scale, recipe.guidance_rescale) if recipe.guidance_rescale else \
            classifier_free(denoise, away, scale)
    if recipe.threshold < 1:
        denoise = dynamically_thresholded(denoise, recipe.threshold)
    elif recipe.clip:
        denoise = clamped(denoise)
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    return Plan(denoise, levels, Noise(recipe.seeds, model.shape, model.device, dtype))


def _away(model: Model, recipe: Recipe) -> Denoiser:
    """What guidance leads away from: the negatives, or else "any" of all that the model knows an "any" of."""
    network = model.spec.network
    label = recipe.label if network.text is not None and not network.null_class else None
    prompt = recipe.prompt if network.text is not None and not network.text.null and network.null_class else None
    return model.denoiser(label if recipe.negative_label is None else recipe.negative_label,
                          prompt if recipe.negative is None else recipe.negative)


def stream(model: Model, recipe: Recipe, states: States | None = None) -> Iterator[Frame]:
    """The recipe's Frames as they come: n + 1 for n steps. A recipe that does not fit fails here, before the first one.

    `states` keep what this run visits, and spare a branch the replay of the run that it continues.
    """
    legs = journey(recipe, partial(plan, model))
    return _frames(model, recipe, legs, states or States(max_bytes=0))


def _frames(model: Model, recipe: Recipe, legs: Sequence[Leg], states: States) -> Iterator[Frame]:
    total = sum(leg.steps for leg in legs)
    before = states.before(recipe.branch.recipe, model, recipe.branch.at) if recipe.branch is not None else None
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
    for frame, state in walk(legs, total, first, calls, x):
        states.keep(run, frame, state)
        yield frame
