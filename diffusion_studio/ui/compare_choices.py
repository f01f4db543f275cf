"""What the Compare tab offers and says: suggestions, clocks, formats, sentences on recipes, links."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from ..compare.clocks import CLOCKS
from ..compare.files import formats
from ..compare.grid import Grid
from ..compare.race import Race
from ..compare.recipes import Axis, GridRecipe, RaceRecipe, read
from ..compare.text import AS_IT_IS, axis_text, line_of
from ..diffusion.samplers.labels import sampler_label
from ..errors import OptionError
from ..export import FORMATS
from ..options import name_of
from ..runs.recipe import ANY, REGISTRIES, Recipe
from .generate_tab import MAX_LINK, NO_LINK
from .picker.picker import Item

RACE, GRID = "race", "grid"
Asked = RaceRecipe | GridRecipe
AWAY = "Guidance below 0 leads away from what is asked for, towards what else the model draws."
IDLE_GUIDANCE = "Without a prompt or label guidance changes nothing: give one in Generate."
FIRST_LANES = "sampler=ddim, steps=16\nsampler=dpmpp_2m, steps=8\nsampler=ddpm, steps=24"  # as recorded
FIRST_AXES = "guidance=1, 2, 4, 8", "sampler=ddim, dpmpp_2m"


def base_sentence(recipe: str) -> str:
    """A sentence on the base recipe, as HTML. A link may bring its words, so it is no Markdown."""
    base = f"<b>{escape(recipe)}</b>" if recipe else "the settings in the tab <b>Generate</b>"
    return f"<p>All runs begin with {base}.</p>"


def short_description(recipe: Recipe) -> str:
    """A recipe in a few words."""
    asked = next((one for one in (recipe.spell, recipe.prompt, recipe.label) if one), None)
    words = [recipe.model, *([f"“{asked[:60]}”"] if asked else [])]
    words += [sampler_label(name_of(REGISTRIES["sampler"], recipe.sampler)), f"{recipe.steps} steps"]
    if recipe.guidance != 1:
        words.append(f"guidance {recipe.guidance:g}")
    return ", ".join(words)


def shared_settings(made: Race | Grid) -> str:
    """The settings that all runs share: model, label or prompt, and the number of pictures."""
    first = made.lanes[0].recipe
    found = [first.model] if len({lane.recipe.model for lane in made.lanes}) == 1 else []
    texts = {one.recipe.spell or one.recipe.prompt or one.recipe.label for one in made.lanes}
    if len(texts) == 1 and (text := texts.pop()):
        found.append(f"“{text[:60]}”")
    found.append(f"{first.pictures} picture{'s' * (first.pictures > 1)} each")
    return escape(", ".join(found))


def summary(made: Race | Grid) -> str:
    """What was made, or how much of it, and why guidance changed nothing."""
    said = made.ended_text or f"{len(made.lanes)} runs of {shared_settings(made)}."
    return " ".join([said, *idle_guidance(made.recipe)])


def idle_guidance(asked: Asked) -> list[str]:
    """A sentence where runs differ in guidance that changes nothing: it leads towards what is asked for, and
    nothing is. Another one on guidance below 0.
    """
    recipes = asked.lanes if isinstance(asked, RaceRecipe) else asked.cells
    differ = len({one.guidance for one in recipes}) > 1
    leads = any(map(_leads_somewhere, recipes))
    if leads and any(one.guidance < 0 for one in recipes):
        return [AWAY]
    return [IDLE_GUIDANCE] if differ and not leads else []


def _leads_somewhere(recipe: Recipe) -> bool:
    """Whether guidance has something to lead to, or to lead away from."""
    asked = (*recipe.each_label, *recipe.each_prompt, recipe.change.label, recipe.change.prompt)
    away = (recipe.negative, recipe.negative_label, recipe.weaker)
    return any(one not in (None, "", ANY) for one in (*asked, *away)) or recipe.edit is not None


def other_steps(recipe: Recipe) -> str:
    """The line of a lane that is interesting beside this recipe: other steps."""
    return f"steps={recipe.steps // 3}" if recipe.steps >= 3 else f"steps={recipe.steps * 4}"


def suggestions(kind: str, base: Recipe | None) -> list[Item]:
    """Buttons that fill the form and run it. With a base its own run is the first lane."""
    if kind == GRID:
        found = {
            "Guidance and sampler": {"x": FIRST_AXES[0], "y": FIRST_AXES[1]},
            "Steps and sampler": {"x": "steps=2, 4, 8, 16", "y": "sampler=ddim, dpmpp_2m, ddpm"},
            "Guidance and seed": {"x": "guidance=1, 2, 4, 8", "y": "seed=0, 1, 2"},
        }
    elif base is None:
        found = {
            "Three samplers": {"lanes": FIRST_LANES},
            "4, 8 and 25 steps": {"lanes": "steps=25\nsteps=8\nsteps=4"},
            "Guidance 1, 3 and 7": {"lanes": "guidance=3\nguidance=1\nguidance=7"},
        }
    else:
        other = "ddim" if name_of(REGISTRIES["sampler"], base.sampler) == "dpmpp_2m" else "dpmpp_2m"
        changes = {
            "Other steps": other_steps(base),
            "Another sampler": f"sampler={other}",
            "Fresh noise": "sampler=ddpm",
            "No guidance"
            if base.guidance != 1
            else "Guidance 3": f"guidance={1 if base.guidance != 1 else 3}",
        }
        found = {title: {"lanes": f"{AS_IT_IS}\n{line}"} for title, line in changes.items()}
    return [
        {"title": title, "value": asked, "help": "; ".join(asked.values()).replace("\n", " | ")}
        for title, asked in found.items()
    ]


def clock_help(clock: str) -> str:
    """What the clock means, in a sentence."""
    return CLOCKS[clock].help


def clock_choices(kind: str) -> list[tuple[str, str]]:
    """The clocks of a race or a grid."""
    return [(one.label, name) for name, one in CLOCKS.items() if kind == RACE or name != "seconds"]


def format_choices(kind: str) -> list[tuple[str, str]]:
    """The formats of a race or a grid."""
    both = set(formats(_OF[kind]))
    words = {"png": "PNG of the end" if kind == RACE else "PNG sheet"}
    return [(words.get(name, one.label), name) for name, one in FORMATS.items() if name in both]


_SMALLEST = Recipe()
_OF: dict[str, Any] = {
    RACE: RaceRecipe((_SMALLEST, _SMALLEST)),
    GRID: GridRecipe(_SMALLEST, Axis("steps", (1,))),
}


def linkable(asked: Asked) -> str:
    """The JSON of a race or grid where a link can carry it, else a sentence that says why not."""
    text = asked.to_json()
    if len(quote(text)) > MAX_LINK:
        return f"{NO_LINK}: the settings are too long for one. Save a file: it carries them, and opens below."
    if None in form_texts(asked):
        return f"{NO_LINK}: the runs differ in more than one can carry. Save a file, which opens below."
    return text


def form_texts(asked: Asked) -> list[str | None]:
    """The texts of the form for a race or grid: the lines of the lanes, or the texts of the axes. None for
    one that the form cannot express.
    """
    if isinstance(asked, RaceRecipe):
        return [line_of(asked.lanes[0], lane) for lane in asked.lanes]
    return [axis_text(asked.x), axis_text(asked.y)]


def read_compared(path: str) -> Asked:
    """The race or grid in an exported file."""
    found = read(path)
    if isinstance(found, Recipe):
        raise OptionError(
            "recipe", "This file holds one run. Restore it in the tab Generate, under Share or restore."
        )
    return found
