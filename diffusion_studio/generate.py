"""Recipe x Model -> Frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .classifier import Classifier
from .diffusion.denoiser import Denoiser
from .diffusion.guidance import clamped, dynamically_thresholded
from .diffusion.levels import Levels
from .diffusion.noise import Noise
from .diffusion.sampling import sample
from .diffusion.schedule import NoiseLevel
from .diffusion.spacing import path
from .frame import Frame
from .guided import guided
from .images import to_uint8
from .model import Model
from .recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """A recipe made concrete for a model: what a sampler is called with."""

    denoise: Denoiser
    levels: tuple[NoiseLevel, ...]
    noise: Noise

    def start(self) -> torch.Tensor:
        """x at the first level: noise with the spread that pictures of unit variance have there."""
        return math.hypot(self.levels[0].alpha, self.levels[0].sigma) * self.noise(0)


def plan(model: Model, recipe: Recipe, classifier: Classifier | None = None, weaker: Model | None = None) -> Plan:
    """Check a recipe against a model; raises `OptionError` for what the model cannot do.

    `classifier` and `weaker` are those that the recipe names to guide it.
    """
    levels = Levels(path(model.schedule, recipe.steps, recipe.spacing), model.schedule)
    model.check(levels[0])
    denoise = guided(model, recipe, levels, classifier, weaker)
    if recipe.threshold < 1:
        denoise = dynamically_thresholded(denoise, recipe.threshold)
    elif recipe.clip:
        denoise = clamped(denoise)
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    return Plan(denoise, levels, Noise(recipe.seeds, model.shape, model.device, dtype))


def stream(model: Model, recipe: Recipe, classifier: Classifier | None = None,
           weaker: Model | None = None) -> Iterator[Frame]:
    """The recipe's n + 1 Frames as they come. A recipe that does not fit fails here, before the first one."""
    made = plan(model, recipe, classifier, weaker)
    return _frames(made, recipe)


def _frames(made: Plan, recipe: Recipe) -> Iterator[Frame]:
    total = len(made.levels) - 1
    for step in sample(recipe.sampler, made.denoise, made.start(), made.levels, made.noise):
        x = to_uint8(step.x)
        yield Frame(step.index, total, step.level, x, x if step.x0 is step.x else to_uint8(step.x0), step.calls)
