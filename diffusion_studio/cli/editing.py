"""The flags for edits and for continuing runs, and the settings that they give."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import OptionError, unknown
from ..imaging.fitting import FITS
from ..imaging.picture import Picture
from ..options import fields_of
from ..runs.edits import EDITS, Edit, pictures_of
from ..runs.recipe import NO_EDIT, Recipe
from .flags import add_choice, flag, given

_FIT = "crop"  # default of --fit


def add_editing(verb: Any) -> None:
    """Add the flags for every edit of `EDITS`, and for continuing an exported run."""
    add_choice(verb, "edit", EDITS)
    group = verb.add_argument_group(
        "pictures to edit",
        "With --picture alone the run starts from it, with --mask a part of it is drawn anew; --edit chooses "
        f"another edit. '--edit {NO_EDIT}' removes the edit of --recipe.",
    )
    for name in _picture_names():
        helps = dict.fromkeys(pictures_of(cls)[name] for cls in EDITS.values() if name in pictures_of(cls))
        group.add_argument(flag(name), metavar="FILE", help=" ".join(helps))
    group.add_argument(
        "--fit",
        metavar="|".join(FITS),
        help="how a picture of another size is brought to the model's: "
        + "; ".join(f"{name}: {how}" for name, how in FITS.items())
        + f" (default {_FIT})",
    )
    group = verb.add_argument_group("continuing another run")
    group.add_argument(
        "--continue-from",
        metavar="FILE",
        help="an exported file or a recipe's JSON: its run is replayed up to --at, and continues with the "
        "settings of the other flags",
    )
    group.add_argument(
        "--at", type=int, metavar="STEP", help="the state from which to continue, counted from 0"
    )


def branch_from_flags(args: argparse.Namespace) -> Recipe | None:
    """The recipe that continues --continue-from at --at; None if neither is given. Raises `OptionError`
    for one alone.
    """
    if args.continue_from is None:
        if args.at is not None:
            raise OptionError(
                "at",
                "--at is the state from which another run continues. Name its file with --continue-from.",
            )
        return None
    if args.at is None:
        raise OptionError(
            "at", "--continue-from needs the state from which to continue, counted from 0, such as --at 20."
        )
    if args.recipe:
        raise OptionError(
            "recipe",
            "--recipe and --continue-from both give the settings to start with. Leave one of them out.",
        )
    return Recipe.from_file(args.continue_from).continued(args.at)


def edit_from_flags(args: argparse.Namespace, before: Edit | None, card: Callable[[], Any]) -> Edit | None:
    """The edit that the flags describe; settings that are not given are those of `before`.

    `card` returns the `ModelCard` of the model, whose size the pictures are brought to. Raises `OptionError`
    for flags that no edit has together.
    """
    values = {name: value for cls in EDITS.values() for name, value in given(args, fields_of(cls)).items()}
    files = {name: path for name in _picture_names() if (path := getattr(args, name)) is not None}
    names = values.keys() | files.keys()
    if args.edit == NO_EDIT:
        if names:
            raise OptionError(
                "edit",
                f"'--edit {NO_EDIT}' takes no {', '.join(map(flag, sorted(names)))}. Leave one of them out.",
            )
        return None
    if args.edit is None and not names:
        if args.fit is not None:
            raise OptionError(
                "fit",
                "--fit brings a picture to the model's size, and there is no picture. Give --picture too.",
            )
        return before
    cls = _kind(args.edit, names, before)
    earlier = {name: getattr(before, name) for name in _fields(cls)} if type(before) is cls else {}
    return cls(**{**earlier, **values, **(_open_pictures(files, args.fit or _FIT, card()) if files else {})})


def _fields(cls: type) -> list[str]:
    return [*(one.name for one in fields_of(cls)), *pictures_of(cls)]


def _picture_names() -> list[str]:
    return list(dict.fromkeys(name for cls in EDITS.values() for name in pictures_of(cls)))


def _kind(name: str | None, names: set[str], before: Edit | None) -> type[Edit]:
    """The class of the edit: the named one, else that of `before`, else the first that has all given
    settings.
    """
    if name is not None:
        if name not in EDITS:
            raise unknown("edit", name, [*EDITS, NO_EDIT])
        if foreign := names - set(_fields(EDITS[name])):
            raise OptionError(
                "edit",
                f"{', '.join(map(flag, sorted(foreign)))} is not an option of the edit {name}, which has: "
                f"{', '.join(_fields(EDITS[name]))}.",
            )
        return EDITS[name]
    first = [] if before is None else [type(before)]
    for cls in (*first, *EDITS.values()):
        if names <= set(_fields(cls)):
            return cls
    raise OptionError(
        "edit",
        f"No edit has all of {', '.join(map(flag, sorted(names)))}. Choose one with --edit: "
        + "; ".join(f"{one} has {', '.join(_fields(cls))}" for one, cls in EDITS.items())
        + ".",
    )


def _open_pictures(files: dict[str, str], fit: str, card: Any) -> dict[str, Picture]:
    """Open the files' pictures and bring them to the model's size. Prints what was changed."""
    size, channels = card.spec.image_size, card.spec.channels
    background = card.spec.background
    opened, notes = {}, {}
    # transparent parts of a mask are black (kept), whatever the model's background is
    for name, path in files.items():
        opened[name], notes[name] = Picture.opened(path, "black" if name == "mask" else background)
    pictures = {}
    for name, picture in opened.items():
        wanted = 1 if name == "mask" else channels
        if name == "mask" and picture.size not in ((size, size), opened.get("picture", picture).size):
            raise OptionError(
                "edit.mask",
                f"The mask {files[name]} is {picture} and the picture {opened['picture']}. Make the mask as "
                f"large as the picture, or {size}x{size}, which is what {card.name} draws.",
            )
        if name == "mask" and "picture" not in opened and picture.size != (size, size):
            raise OptionError(
                "edit.mask",
                f"The mask {files[name]} is {picture}; {card.name} draws {size}x{size}. Give the --picture "
                "of the mask's size too, or a mask of that one.",
            )
        pictures[name] = picture.fitted(size, wanted, fit, "black" if name == "mask" else background)
        if notes[name]:
            print(
                f"diffusion-studio: {Path(files[name]).name}: {notes[name]}"
                f"{'' if name == 'mask' else f', the background of {card.name}'}.",
                file=sys.stderr,
            )
        if picture.size != (size, size):
            print(
                f"diffusion-studio: {Path(files[name]).name} is {picture}, brought to {pictures[name]} with "
                f"--fit {fit}: {FITS[fit]}.",
                file=sys.stderr,
            )
    return pictures
