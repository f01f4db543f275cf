"""Races and grids to files: one animation, a page that plays, a film strip, or a picture of the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import export
from ..checkpoint.spec import POINTS
from ..diffusion.schedule import CLEAN
from ..errors import OptionError
from ..export import ExportOptions
from ..export.render import check_picture
from ..imaging.frame import Frame
from ..options import build
from ..runs.recipe import Recipe
from ..studio import Studio
from .drawing import Drawing, RaceDrawing, drawing
from .html_page import html_page
from .lanes import Lane
from .recipes import GridRecipe, RaceRecipe
from .results import GridRuns, RaceRuns

ANIMATIONS = ("gif", "mp4", "webp", "apng")
OPTIONS = ("view", "picture", "states", "every", "fps", "hold", "scale", "theme", "trails", "arrows", "axes")


def formats(shown: RaceRuns | GridRuns | RaceRecipe | GridRecipe) -> tuple[str, ...]:
    """The formats in which a race or a grid can be saved."""
    strip = ["strip"] if isinstance(shown, (RaceRuns, RaceRecipe)) else []
    return (*ANIMATIONS, "html", "png", *strip)


def save(shown: RaceRuns | GridRuns, path: str | Path, format: str | None = None, **options: Any) -> Path:
    """Write a race or a grid to a file that carries its recipe, and return the path.

    The suffix says the format, or `format` names it: an animation (gif, mp4, webp, apng) of every k-th tick
    of the clock (`every`), html (a page that plays), png (of a race its end, of a grid the labelled sheet),
    or strip (of a race, a PNG with `states` ticks side by side). `options` are those of `ExportOptions` that
    are named in `OPTIONS`.
    """
    name = checked_format(shown, path, format)
    laid = chosen(options)
    if name == "html":
        for lane in shown.lanes:
            check_picture(laid.picture, lane.recipe.pictures)
        page = html_page(shown, laid)
        return export.write_whole(Path(path), name, lambda draft: draft.write_text(page, "utf-8"))
    drawn = drawing(shown, laid)
    frames, name = _frames(drawn, name)
    return export.save(frames, path, shown.recipe.to_json(), _as_drawn(drawn.options), name)


def chosen(options: dict[str, Any]) -> ExportOptions:
    """The export options, those refused that have no meaning for several runs."""
    for one in options:
        if one in ExportOptions.__dataclass_fields__ and one not in OPTIONS:
            raise OptionError(
                f"export.{one}", f"A race or a grid has no option {one}. It has: {', '.join(OPTIONS)}."
            )
    return build(ExportOptions, options, "export option")


def checked_format(
    shown: RaceRuns | GridRuns | RaceRecipe | GridRecipe, path: str | Path, format: str | None
) -> str:
    """The name of the format, or an `OptionError` that lists those that there are for it."""
    name = export.format_of(Path(path), format)
    if name not in formats(shown):
        kind = "race" if isinstance(shown, (RaceRuns, RaceRecipe)) else "grid"
        raise OptionError(
            "format", f"A {kind} is saved as one of: {', '.join(formats(shown))}; got {name}. Choose one."
        )
    return name


def check(
    studio: Studio,
    asked: RaceRecipe | GridRecipe,
    path: str | Path,
    format: str | None,
    options: dict[str, Any],
) -> None:
    """Raise now what `save` would say of the path, format, options and size of what is still to be run."""
    name = checked_format(asked, path, format)
    laid = chosen(options)
    recipes = asked.lanes if isinstance(asked, RaceRecipe) else asked.cells
    made = [(one.pictures, studio.card(one.model).spec.makes) for one in recipes]
    export.check(path, laid, name, made)
    if name == "html":
        return
    lanes = tuple(_empty(studio, one) for one in recipes)
    empty = RaceRuns(asked, lanes) if isinstance(asked, RaceRecipe) else GridRuns(asked, lanes)
    frames, name = _frames(drawing(empty, laid), name)
    export.FORMATS[name].check_layout(frames[-1:], _as_drawn(laid))


def _frames(drawn: Drawing, name: str) -> tuple[list[Any], str]:
    """What to write, and the format of `export` that writes it."""
    if name == "strip":
        assert isinstance(drawn, RaceDrawing)
        picture = drawn.strip(drawn.options.states)[None]
        return [Frame(0, 0, CLEAN, picture, picture)], "png"
    drawn.tells_time = name != "png"
    frames = drawn.frames()
    return (frames, name) if drawn.tells_time else (frames[-1:], name)


def _as_drawn(options: ExportOptions) -> ExportOptions:
    """The options for writing frames that are drawn already."""
    return ExportOptions(
        frames="every", every=options.every, fps=options.fps, hold=options.hold, theme=options.theme, scale=1
    )


def _empty(studio: Studio, recipe: Recipe) -> Lane:
    """A lane as large as the recipe's, with nothing in it."""
    spec = studio.card(recipe.model).spec
    if spec.makes == POINTS:
        x = np.zeros((recipe.pictures, recipe.points, 2), np.float16)
    else:
        channels, height, width = spec.shape
        x = np.zeros((recipe.pictures, height, width, channels), np.uint8)
    frames = tuple(Frame(k, 1, replace(CLEAN, t=0.0), x, x, layout=recipe.layout) for k in range(2))
    return Lane(recipe, frames, (0.0, 0.0), 1)
