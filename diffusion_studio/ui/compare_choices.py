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
from ..compare.remarks import IDLE_GUIDANCE, guidance_remark, idle_axes
from ..compare.text import AS_IT_IS, NOT_EDITED, RUN_BEFORE, axis_text, line_of
from ..diffusion.samplers import sampler_label
from ..errors import OptionError
from ..export import FORMATS
from ..options import name_of
from ..runs.edits import FromPicture, Inpaint
from ..runs.recipe import REGISTRIES, Recipe
from .generate_tab import MAX_LINK, NO_LINK
from .handlers import in_words
from .picker.picker import Item

RACE, GRID = "race", "grid"
Asked = RaceRecipe | GridRecipe
FIRST_LANES = "sampler=ddim, steps=16\nsampler=dpmpp_2m, steps=8\nsampler=ddpm, steps=24"  # as recorded
FIRST_AXES = "guidance=1, 2, 4, 8", "steps=4, 8, 25"  # with the settings of a fresh page: of a hero


def base_sentence(recipe: str) -> str:
    """A sentence on the base recipe, as HTML; `recipe` is that of `base_words`, or nothing."""
    own = "the settings in <b>Generate</b>, with its picture or branch"
    base = f"<b>{recipe}</b>" if recipe else own
    return f"<p>All runs begin with {base}.</p>"


def base_words(recipe: Recipe) -> str:
    """A recipe in a few words, as HTML, each with the name of its setting: compare_tab.css says "by the axis"
    in place of what an axis sets. A link may bring its words, so it is no Markdown.
    """
    return ", ".join(
        f'<span data-setting="{name}"><span>{escape(text)}</span><i>{name} by the axis</i></span>'
        if name
        else escape(text)
        for name, text in _words(recipe)
    )


def _words(recipe: Recipe) -> list[tuple[str, str]]:
    """The names of a recipe's settings, empty where it is not one alone, and what they are."""
    asked = asked_for(recipe)
    of = "" if recipe.spell else "prompt" if recipe.prompt else "label"
    words = [("model", recipe.model), *([(of, asked)] if asked else [])]
    words.append(("sampler", sampler_label(name_of(REGISTRIES["sampler"], recipe.sampler))))
    words.append(("steps", f"{recipe.steps} steps"))
    if recipe.guidance != 1:
        words.append(("guidance", f"guidance {recipe.guidance:g}"))
    if recipe.edit is not None:
        words.append(("", f"{recipe.edit.title[:1].lower()}{recipe.edit.title[1:]}"))
    if (branch := recipe.branch) is not None:
        before = asked_for(branch.recipe) or "any"
        words.append(("", f"branched at step {branch.at} of the run of {before}"))
    return words


def asked_for(recipe: Recipe) -> str:
    """What the pictures are asked to be, in quotes, or nothing."""
    asked = next((one for one in (recipe.spell, recipe.prompt, recipe.label) if one), None)
    return f"“{asked[:60]}”" if asked else ""


def of_its_own(recipe: Recipe) -> dict[str, str]:
    """The lanes, by their names, that this recipe alone offers: the run that a branch continues, and the same
    without the edit. A lane starts from the noise of the others, so a run of other seeds is none.
    """
    found = {}
    branch = recipe.branch
    if branch is not None and (branch.recipe.seeds, branch.recipe.pictures) == (
        recipe.seeds,
        recipe.pictures,
    ):
        found["The run that it branched from"] = RUN_BEFORE
    if isinstance(recipe.edit, (Inpaint, FromPicture)):
        found["Without the edit"] = NOT_EDITED
    return found


def second_lane(recipe: Recipe) -> str:
    """The lane that is most interesting beside this recipe."""
    return next(iter(of_its_own(recipe).values()), other_steps(recipe))


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
    """What was made, or how much of it, and what changed nothing."""
    said = made.ended_text or f"{len(made.lanes)} runs of {shared_settings(made)}."
    return " ".join([said, *remarks(made.recipe)])


def remarks(asked: Asked) -> list[str]:
    """Sentences, as HTML, on differences between the runs that change nothing."""
    guidance = guidance_remark(asked)
    where = " Give one in Generate." if guidance == IDLE_GUIDANCE else ""
    return [
        *([guidance + where] if guidance else []),
        *(escape(in_words(one)) for one in idle_axes(asked)),
    ]


def other_steps(recipe: Recipe) -> str:
    """The line of a lane that is interesting beside this recipe: other steps."""
    return f"steps={recipe.steps // 3}" if recipe.steps >= 3 else f"steps={recipe.steps * 4}"


def sent_sentence(recipe: Recipe) -> str:
    """What is said, as HTML, when a run was sent here as lane 1."""
    second = second_lane(recipe)
    what = _SECOND.get(second, f"the same but for <b>{second}</b>")
    no = (
        " The picture as it was before the edit is no lane: the settings hold its pixels, and not the run "
        "that drew them."
        if isinstance(recipe.edit, (Inpaint, FromPicture))
        else ""
    )
    return (
        f"Your run is lane 1. Lane 2 is {what}. Press <b>Run</b>, or one of the buttons beside <b>Try</b>, "
        f"or choose for lane 2 what is to differ. Run computes lane 1 once more, like the others.{no}"
    )


_SECOND = {
    RUN_BEFORE: "<b>the run that it branched from</b>",
    NOT_EDITED: "<b>the same settings without the edit</b>, from noise",
}


def suggestions(kind: str, base: Recipe | None) -> list[Item]:
    """Buttons that fill the form and run it. With a base its own run is the first lane."""
    if kind == GRID:
        found = {
            "Guidance and steps": {"x": FIRST_AXES[0], "y": FIRST_AXES[1]},
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
            **of_its_own(base),
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
