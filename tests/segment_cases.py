"""Pictures, a mask and a recipe to edit, and the states and frames of its run on a model, for the tests of
segments.
"""

from __future__ import annotations

import numpy as np
import torch

from diffusion_studio.imaging.picture import Picture
from diffusion_studio.runs import segments
from diffusion_studio.runs.generate import plan, stream
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.trajectory_cache import TrajectoryCache

RANDOM = np.random.default_rng(0)
PICTURE, OTHER = (Picture(RANDOM.integers(0, 256, (8, 8, 1), dtype=np.uint8)) for _ in range(2))
MASK = Picture(np.where(RANDOM.random((8, 8)) < 0.5, 255, 0).astype(np.uint8))
BASE = Recipe(model="tiny", label="Cat", seeds=(0, 5), steps=6, guidance=1.5)


def states(model, recipe: Recipe) -> list[torch.Tensor]:
    parts = segments.segments_of(recipe, lambda one, strength: plan(model, one, strength=strength))
    return [x for _, x in segments.run_segments(parts, sum(segment.steps for segment in parts))]


def frames(model, recipe: Recipe, kept: TrajectoryCache | None = None) -> list:
    return list(stream(model, recipe, states=kept))
