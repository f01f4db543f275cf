"""A recipe that continues another: what makes a branch, and what goes together in one recipe.

Recipes are known here by their fields alone, as `recipe` stands on top of this.
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

MAX_BRANCHES = 8  # recipes that continue each other


@dataclass(frozen=True)
class Branch:
    """The run of another recipe up to its state number `at`, from where this one goes on with settings of its
    own.

    From there on it visits those levels of its own path that have less noise. `recipe` is a `Recipe`, whose
    replay is equal bit for bit on the same device and precision.
    """

    recipe: Any
    at: int = option(0, "The state from which to go on, counted from 0.", low=0, high=1_000_000)

    def __post_init__(self) -> None:
        options.check(self, "branch")


def depth(given: Any) -> int:
    """How many recipes a recipe's settings (a mapping, or a Recipe) continue; counts up to one more than
    are allowed.
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
    if depth(given) > MAX_BRANCHES:
        raise OptionError(
            "branch", f"At most {MAX_BRANCHES} recipes continue each other. Start from a whole run again."
        )


def check_edit(recipe: Any) -> None:
    """An `OptionError` where a recipe's edit, branch and seeds do not go together."""
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
            "A run that continues another begins with that one's state. Leave the edit out, or take "
            "in-painting with strength 1, which keeps a part of a picture from there on.",
        )
    if recipe.model != parent.model:
        raise OptionError(
            "model",
            f"The run to continue is one of {parent.model!r}, and the rest was asked of {recipe.model!r}. "
            "Continue with the same model.",
        )
    if recipe.points != parent.points:
        raise OptionError(
            "points",
            f"The run to continue has clouds of {parent.points:,} points, and {recipe.points:,} were asked "
            "for. Leave the points as they are.",
        )
    if recipe.seeds != parent.seeds and (count != parent.pictures != 1 or isinstance(parent.edit, FILMS)):
        raise OptionError(
            "seeds",
            f"The run to continue has {parent.pictures} pictures, and {count} other seeds were given. Give "
            "as many, or leave them as they are; a run of one picture can be continued with any number.",
        )


def check_jumps(recipe: Any) -> None:
    """An `OptionError` where RePaint's jumps were asked for and the run is too short for any."""
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
                f"last step, which ends in the clean picture, is not walked again. {most}.",
            )


def branch_file(recipe: Any) -> str:
    """What the file of a recipe to continue is called, told apart by what is in it."""
    return f"run-{hashlib.sha256(recipe.to_json().encode()).hexdigest()[:8]}.json"
