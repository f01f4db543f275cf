"""Differences between the runs of a race or grid that change nothing, in words."""

from __future__ import annotations

from ..errors import OptionError
from ..runs.applicability import idle_settings
from ..runs.recipe import ANY, Recipe
from .recipes import GridRecipe, RaceRecipe
from .settings import setting_name

AWAY = "Guidance below 0 leads away from what is asked for, towards what else the model draws."
IDLE_GUIDANCE = "Without a prompt or label guidance changes nothing."


def idle_axes(asked: RaceRecipe | GridRecipe) -> list[OptionError]:
    """For each axis of a grid whose setting is switched off by another one, in all cells or in some rows or
    columns of them, which are equal along it: the sentence that says so, to be worded and shown, not raised.
    Nothing for a race.
    """
    if isinstance(asked, RaceRecipe):
        return []
    rows = [asked.cells[k * asked.columns : (k + 1) * asked.columns] for k in range(asked.rows)]
    columns = [asked.cells[k :: asked.columns] for k in range(asked.columns)]
    found: dict[str, OptionError] = {}  # in order, each sentence once
    for axis, lines in ((asked.x, rows), (asked.y, columns)):
        if axis is None:
            continue
        for line in lines:
            idle = {setting_name(field): error for field, error in idle_settings(*line).items()}
            if axis.setting in idle:
                found.setdefault(str(idle[axis.setting]), idle[axis.setting])
    return list(found.values())


def guidance_remark(asked: RaceRecipe | GridRecipe) -> str:
    """A sentence where runs differ in guidance that changes nothing: it leads towards what is asked for, and
    nothing is. Another one on guidance below 0. Empty where neither holds.
    """
    recipes = asked.lanes if isinstance(asked, RaceRecipe) else asked.cells
    differ = len({one.guidance for one in recipes}) > 1
    leads = any(map(_leads_somewhere, recipes))
    if leads and any(one.guidance < 0 for one in recipes):
        return AWAY
    return IDLE_GUIDANCE if differ and not leads else ""


def _leads_somewhere(recipe: Recipe) -> bool:
    """Whether guidance has something to lead to, or to lead away from."""
    asked = (*recipe.each_label, *recipe.each_prompt, recipe.change.label, recipe.change.prompt)
    away = (recipe.negative, recipe.negative_label, recipe.weaker)
    return any(one not in (None, "", ANY) for one in (*asked, *away)) or recipe.edit is not None
