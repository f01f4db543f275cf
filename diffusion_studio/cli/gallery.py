"""`diffusion-studio gallery`: exported runs as a static page of players."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from ..errors import ExportError, StudioError
from .flags import add_machine, studio_of
from .generate import Kept, shown


def add(verbs: Any) -> None:
    """The verb `gallery`."""
    verb = verbs.add_parser("gallery", help="make a static page of players from exported files")
    verb.add_argument("files", nargs="+", metavar="FILE", help="exported files; each one's run is made again")
    verb.add_argument("--out", required=True, metavar="FOLDER", help="where to write index.html and the rest")
    verb.add_argument("--title", default="Diffusion runs", help="the heading of the page")
    add_machine(verb)
    verb.set_defaults(run=_gallery)


def _gallery(args: argparse.Namespace) -> None:
    from ..export.gallery import Entry, write_index
    from ..export.html import title
    from ..runs.recipe import Recipe
    from ..runs.trajectory import Trajectory

    studio, folder = studio_of(args), Path(args.out)
    recipes = [Recipe.from_file(one) for one in args.files]  # what is wrong is said before the first run
    for recipe in recipes:
        studio.card(recipe.model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"The folder {args.out!r} cannot be made ({error.strerror}). Choose another."
        ) from error
    entries: list[Entry] = []
    taken: set[str] = {"index"}
    for given, recipe in zip(args.files, recipes):
        name = free(Path(given).stem, taken)
        kept = Kept()
        try:
            for frame in shown(studio.stream(recipe), Path(given).name):
                kept.add(frame)
        except StudioError as error:
            raise StudioError(f"{given}: {error}") from error
        run = Trajectory(recipe, kept.frames)
        run.save(folder / f"{name}.html", view="both")
        run.save(folder / f"{name}.png", view="x0")
        steps = f"{recipe.steps} step{'s' * (recipe.steps > 1)}, {recipe.pictures} picture"
        about = steps + "s" * (recipe.pictures > 1)
        entries.append(Entry(f"{name}.html", f"{name}.png", title(recipe.to_json()), about))
    print(write_index(folder, entries, args.title))


def free(wanted: str, taken: set[str]) -> str:
    """The name as a file and an address may have it, with a number behind it where it is taken."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-") or "run"
    name, k = base, 1
    while name.lower() in taken:
        k += 1
        name = f"{base}-{k}"
    taken.add(name.lower())
    return name
