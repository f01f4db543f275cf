"""`diffusion-studio gallery`: runs, races, grids and forward processes as a static page of players."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ExportError, StudioError
from .compare import RunsProgress
from .flags import add_machine, studio_of
from .generate import KeptFrames, with_progress

PREVIEW_STATES = 4  # of a forward process


def add(verbs: Any) -> None:
    """The verb `gallery`."""
    verb = verbs.add_parser("gallery", help="make a static page of players from exported files")
    verb.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="exported files of runs (pictures or points), races, grids and forward processes; each is made "
        "again",
    )
    verb.add_argument("--out", required=True, metavar="FOLDER", help="where to write index.html and the rest")
    verb.add_argument("--title", default="Diffusion runs", help="the heading of the page")
    add_machine(verb)
    verb.set_defaults(run=_gallery)


def _gallery(args: argparse.Namespace) -> None:
    from ..export.gallery import Entry, write_index

    studio, folder = studio_of(args), Path(args.out)
    writers = [_read(one, studio) for one in args.files]  # errors come before the first run
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"The folder {args.out!r} cannot be made ({error.strerror}). Choose another."
        ) from error
    entries: list[Entry] = []
    taken: set[str] = {"index"}
    for given, write in zip(args.files, writers):
        name = unique_name(Path(given).stem, taken)
        page, preview = folder / f"{name}.html", folder / f"{name}.png"
        try:
            title, about = write(Path(given).name, page, preview)
        except StudioError as error:
            raise StudioError(f"{given}: {error}") from error
        entries.append(Entry(page.name, preview.name, title, about))
    print(write_index(folder, entries, args.title))


# Makes what a file holds again and writes (its name, page, preview); returns the title and a description.
Write = Callable[[str, Path, Path], tuple[str, str]]


def _read(path: str, studio: Any) -> Write:
    """How what an exported file holds is written as a page and a preview. Raises an error if it cannot be."""
    from ..compare.recipes import GridRecipe, RaceRecipe, read
    from ..export.html import title
    from ..export.metadata import read_recipe
    from ..inside.forward_pictures import from_json, is_forward

    if is_forward(text := read_recipe(path)):
        return partial(_write_forward, from_json(text), title(text))
    run_recipe = read(path)
    if isinstance(run_recipe, RaceRecipe):
        recipes, write = run_recipe.lanes, _write_together
    elif isinstance(run_recipe, GridRecipe):
        recipes, write = run_recipe.cells, _write_together
    else:
        recipes, write = (run_recipe,), _write_run
    for recipe in recipes:
        studio.card(recipe.model)
    return partial(write, run_recipe, studio)


def _write_run(recipe: Any, studio: Any, name: str, page: Path, preview: Path) -> tuple[str, str]:
    from ..export.html import title
    from ..runs.trajectory import Trajectory

    states = KeptFrames()
    for frame in with_progress(studio.stream(recipe), name):
        states.add(frame)
    run = Trajectory(recipe, states.frames)
    run.save(page, view="both")
    run.save(preview, view="x0")
    what = "cloud" if states.frames[-1].of_points else "picture"
    return title(recipe.to_json()), f"{_count(recipe.steps, 'step')}, {_count(recipe.pictures, what)}"


def _write_together(comparison: Any, studio: Any, name: str, page: Path, preview: Path) -> tuple[str, str]:
    """A race or a grid: all runs on one page."""
    from ..compare.clocks import CLOCKS
    from ..compare.grid import sweeping
    from ..compare.html_page import page_title
    from ..compare.race import racing, raise_if_ended, run_to_end
    from ..compare.recipes import RaceRecipe

    is_race = isinstance(comparison, RaceRecipe)
    recipes = comparison.lanes if is_race else comparison.cells
    run = racing(comparison, studio) if is_race else sweeping(comparison, studio)
    result = raise_if_ended(
        run_to_end(run, RunsProgress(recipes, name, comparison.reference_to_run if is_race else 0))
    )
    result.save(page)
    result.save(preview)
    return page_title(result), f"{_count(len(recipes), 'run')}, clock: {CLOCKS[comparison.clock].label}"


def _write_forward(processes: Any, heading: str, name: str, page: Path, preview: Path) -> tuple[str, str]:
    """The forward process of a picture; it needs no model."""
    from ..inside.forward_pictures import save_forward

    save_forward(processes, page)
    save_forward(processes, preview, strip=PREVIEW_STATES, side=96)
    return heading, f"{_count(processes[0].steps, 'step')}, " + ", ".join(one.name for one in processes)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def unique_name(stem: str, taken: set[str]) -> str:
    """A file name made from `stem`, valid in addresses, with a number appended if it is in `taken`."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "run"
    name, k = base, 1
    while name.lower() in taken:
        k += 1
        name = f"{base}-{k}"
    taken.add(name.lower())
    return name
