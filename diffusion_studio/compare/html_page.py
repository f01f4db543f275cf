"""One HTML file that plays a race or a grid anywhere: offline, from a mail or a disk, in a frame of a page.

The frames are embedded losslessly. The player is the app's own view with a small page around it. The page's
content policy allows what is in the file and nothing else.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from ..export import ExportOptions
from ..export.html import colours, document, filled
from ..runs.recipe import Recipe
from ..runs.recipe_diff import flat_settings
from ..runs.setting_labels import setting_label, value_text
from .clocks import CLOCKS
from .player_data import IN_FILE, shown_value
from .results import GridRuns, RaceRuns, differing

_PAGE = Path(__file__).with_name("page")
_UI = Path(__file__).parents[1] / "ui"
_VIEW = _UI / "compare_view"


def html_page(shown: RaceRuns | GridRuns, options: ExportOptions) -> str:
    """The whole text of the page. `options` say what is shown first (`view`), which picture, every how many
    ticks, how fast it plays (`fps`), and how points are drawn.
    """
    data = shown_value(shown, options, IN_FILE) | {"show": options.view, "fps": options.fps}
    style = colours() + (_VIEW / "view.css").read_text("utf-8") + (_PAGE / "page.css").read_text("utf-8")
    scripts = (_UI / "player" / "keys.mjs", _PAGE / "before.js", _VIEW / "view.js")
    script = "".join(one.read_text("utf-8") for one in scripts)
    name = page_title(shown)
    body = {
        "TITLE": escape(name),
        "VIEW": (_VIEW / "view.html").read_text("utf-8"),
        "SETTINGS": _settings(shown),
        "VERB": "race" if isinstance(shown, RaceRuns) else "grid",
    }
    return document(name, shown.recipe.to_json(), style, script, filled(_PAGE / "page.html", body), data)


def page_title(shown: RaceRuns | GridRuns) -> str:
    """What is compared, in a few words."""
    if isinstance(shown, RaceRuns):
        return f"A race of {len(shown.lanes)} runs: {_asked_for(shown.recipe.lanes[0])}"
    recipe = shown.recipe
    names = [one.name for one in (recipe.x, recipe.y) if one is not None]
    return f"A grid of {' and '.join(names)}: {_asked_for(recipe.recipe)}"


def _asked_for(recipe: Recipe) -> str:
    asked = next((one for one in (recipe.spell, recipe.prompt, recipe.label) if one), None)
    return recipe.model if asked is None else f"{asked[:80]}, {recipe.model}"


def _settings(shown: RaceRuns | GridRuns) -> str:
    """The rows of the table: what differs, the clock, and the settings that all runs have."""
    if isinstance(shown, RaceRuns):
        rows = [
            (f"lane {k + 1}", ", ".join(words) or "the same settings") for k, words in enumerate(shown.titles)
        ]
        differ = {one.split(" ")[0] for one in differing(shown.recipe.lanes)}
    else:
        axes = [one for one in (shown.recipe.x, shown.recipe.y) if one is not None]
        rows = [(one.name, ", ".join(one.words())) for one in axes]
        differ = {"seeds" if one.setting == "seed" else one.setting for one in axes}
    rows.append(("clock", CLOCKS[shown.recipe.clock].label))
    for name, value in flat_settings(shown.lanes[0].recipe).items():
        if name.split(" ")[0] not in differ:
            rows.append((setting_label(name), value_text(name, value)))
    return "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
