"""Which stopped runs can go on from their last state. No torch."""

from __future__ import annotations

from .recipe import Recipe


def resumable(recipe: Recipe) -> bool:
    """Whether a stopped run of this recipe can go on from its last state and end, bit for bit, as a run that
    was not stopped.

    It cannot where a step builds on earlier ones (multistep solvers, reuse of features), and edits and
    branches, whose runs have several parts, are made again from their start.
    """
    return recipe.sampler.memoryless and recipe.reuse == 1 and recipe.edit is None and recipe.branch is None
