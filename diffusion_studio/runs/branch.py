"""Branches: recipes that continue the run of another recipe, and checks of which settings go together.

This module does not import `Recipe`, because `recipe` imports it. It reads recipes by their attributes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import options
from ..errors import OptionError
from ..options import option
from .edits import FILMS, ONE_SEED, Inpaint, Interpolate

MAX_BRANCHES = 8  # most recipes in a chain of branches


@dataclass(frozen=True)
class Branch:
    """Where a recipe continues another one: state number `at` of the run of `recipe`.

    The continuing recipe keeps that state and visits those levels of its own path that have less noise.
    `recipe` is a `Recipe`; replaying it gives the same state bit for bit on the same device and precision.
    """

    recipe: Any
    at: int = option(0, "The state from which to go on, counted from 0.", low=0, high=1_000_000)

    def __post_init__(self) -> None:
        options.check(self, "branch")


def depth(given: Any) -> int:
    """The number of recipes in the chain of branches below `given`, a Recipe or a mapping of its settings.

    Counting stops at `MAX_BRANCHES` + 1.
    """
    count = 0
    while given is not None and count <= MAX_BRANCHES:
        branch = given.get("branch") if isinstance(given, Mapping) else getattr(given, "branch", None)
        if branch is None:
            break
        count += 1
        given = branch.get("recipe") if isinstance(branch, Mapping) else getattr(branch, "recipe", None)
    return count


def check_depth(given: Any) -> None:
    """Raise `OptionError` if the chain of branches is longer than `MAX_BRANCHES`."""
    if depth(given) > MAX_BRANCHES:
        raise OptionError(
            "branch", f"At most {MAX_BRANCHES} recipes continue each other. Start from a whole run again."
        )


def check_edit(recipe: Any) -> None:
    """Raise `OptionError` if the recipe's edit, branch and seeds cannot be combined."""
    edit, branch, count = recipe.edit, recipe.branch, len(recipe.seeds)
    if isinstance(edit, ONE_SEED) and count > 1:
        raise OptionError("seeds", f"{edit.title}: it takes one seed, got {count}. Give one.")
    if isinstance(edit, Interpolate) and count < 2:
        raise OptionError(
            "seeds",
            f"{edit.title}: it needs at least two seeds to go between, got one. Give more, such as 3, 14.",
        )
    if branch is None:
        check_jumps(recipe)
        return
    check_depth(recipe)
    parent = branch.recipe
    if edit is not None and not (isinstance(edit, Inpaint) and edit.strength == 1):
        raise OptionError(
            "edit",
            "A run that continues another starts from a state of it. Leave the edit out, or choose "
            "in-painting with strength 1, which keeps a part of a picture from there on.",
        )
    if recipe.model != parent.model:
        raise OptionError(
            "model",
            f"The run to continue was made by {parent.model!r}, and its continuation asks for "
            f"{recipe.model!r}. Continue with the same model.",
        )
    if recipe.points != parent.points:
        raise OptionError(
            "points",
            f"The run to continue has clouds of {parent.points:,} points, and its continuation asks for "
            f"{recipe.points:,}. Leave the points as they are.",
        )
    if recipe.seeds != parent.seeds and (count != parent.pictures != 1 or isinstance(parent.edit, FILMS)):
        raise OptionError(
            "seeds",
            f"The run to continue has {parent.pictures} pictures, and {count} other seeds were given. Give "
            "as many, or leave them as they are; a run of one picture can be continued with any number.",
        )


def check_jumps(recipe: Any) -> None:
    """Raise `OptionError` if RePaint's jumps are on and the run is too short for one."""
    edit = recipe.edit
    if isinstance(edit, Inpaint) and edit.jumps > 1:
        steps = max(1, round(recipe.steps * edit.strength))
        if edit.jump_length > steps - 1:
            most = (
                f"Make the jump length at most {steps - 1}, or take more steps"
                if steps > 1
                else "Take more steps"
            )
            raise OptionError(
                "edit.jump_length",
                f"A run of {steps} step{'s' * (steps > 1)} has no room for jumps of {edit.jump_length}: the "
                f"last step, which ends in the clean picture, is not repeated. {most}.",
            )


def branch_file(recipe: Any) -> str:
    """The file name for a recipe that is continued: it contains a hash of the recipe."""
    return f"run-{hashlib.sha256(recipe.to_json().encode()).hexdigest()[:8]}.json"
