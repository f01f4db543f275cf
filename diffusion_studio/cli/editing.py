"""The flags of `generate` for pictures to edit and runs to continue, and the way from them to a recipe's
settings.
"""

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

_FIT = "crop"


def add_editing(verb: Any) -> None:
    """Flags for every edit of `EDITS`, and for continuing an exported run."""
    add_choice(verb, "edit", EDITS)
    group = verb.add_argument_group(
        "pictures to edit",
        "With --picture alone the run starts from it, with --mask a part of it is drawn anew; --edit says "
        f"more. '--edit {NO_EDIT}' drops the edit of --recipe.",
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
        help="an exported file or a recipe's JSON: its run is replayed "
        "up to --at, "
        "and goes on as the other flags say",
    )
    group.add_argument("--at", type=int, metavar="STEP", help="the state from which to go on, counted from 0")


def continued(args: argparse.Namespace) -> Recipe | None:
    """The recipe that goes on from --continue-from at --at, or None where neither is given."""
    if args.continue_from is None:
        if args.at is not None:
            raise OptionError(
                "at", "--at says where another run is continued. Name its file with --continue-from."
            )
        return None
    if args.at is None:
        raise OptionError(
            "at", "--continue-from needs the state from which to go on, counted from 0: --at 20, say."
        )
    if args.recipe:
        raise OptionError(
            "recipe", "--recipe and --continue-from both say what the settings begin with. Give one of them."
        )
    return Recipe.from_file(args.continue_from).continued(args.at)


def edit_said(args: argparse.Namespace, before: Edit | None, card: Callable[[], Any]) -> Edit | None:
    """The edit that the flags say for the model of the `ModelCard` that `card` gets; what they leave out
    is as in `before`.
    """
    values = {name: value for cls in EDITS.values() for name, value in given(args, fields_of(cls)).items()}
    files = {name: path for name in _picture_names() if (path := getattr(args, name)) is not None}
    asked = values.keys() | files.keys()
    if args.edit == NO_EDIT:
        if asked:
            raise OptionError(
                "edit",
                f"'--edit {NO_EDIT}' takes no {', '.join(map(flag, sorted(asked)))}. Leave one of them out.",
            )
        return None
    if args.edit is None and not asked:
        if args.fit is not None:
            raise OptionError(
                "fit", "--fit says how a picture is brought to the model's size. Give the --picture too."
            )
        return before
    cls = _kind(args.edit, asked, before)
    kept = {name: getattr(before, name) for name in _fields(cls)} if type(before) is cls else {}
    return cls(**{**kept, **values, **(_opened(files, args.fit or _FIT, card()) if files else {})})


def _fields(cls: type) -> list[str]:
    return [*(one.name for one in fields_of(cls)), *pictures_of(cls)]


def _picture_names() -> list[str]:
    return list(dict.fromkeys(name for cls in EDITS.values() for name in pictures_of(cls)))


def _kind(name: str | None, asked: set[str], before: Edit | None) -> type[Edit]:
    """The named kind, else the recipe's own, else the first that has all that is asked for."""
    if name is not None:
        if name not in EDITS:
            raise unknown("edit", name, [*EDITS, NO_EDIT])
        if foreign := asked - set(_fields(EDITS[name])):
            raise OptionError(
                "edit",
                f"{', '.join(map(flag, sorted(foreign)))} is not an option of the edit {name}, which has: "
                f"{', '.join(_fields(EDITS[name]))}.",
            )
        return EDITS[name]
    first = [] if before is None else [type(before)]
    for cls in (*first, *EDITS.values()):
        if asked <= set(_fields(cls)):
            return cls
    raise OptionError(
        "edit",
        f"No edit has all of {', '.join(map(flag, sorted(asked)))}. Choose one with --edit: "
        + "; ".join(f"{one} has {', '.join(_fields(cls))}" for one, cls in EDITS.items())
        + ".",
    )


def _opened(files: dict[str, str], fit: str, card: Any) -> dict[str, Picture]:
    """The files' pictures, brought to the model's size; what is done to them is said."""
    size, channels = card.spec.image_size, card.spec.channels
    background = card.spec.background
    opened, said = {}, {}
    # of a mask black is kept, whatever the model's background is
    for name, path in files.items():
        opened[name], said[name] = Picture.opened(path, "black" if name == "mask" else background)
    found = {}
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
        found[name] = picture.fitted(size, wanted, fit, "black" if name == "mask" else background)
        if said[name]:
            print(
                f"diffusion-studio: {Path(files[name]).name}: {said[name]}"
                f"{'' if name == 'mask' else f', the background of {card.name}'}.",
                file=sys.stderr,
            )
        if picture.size != (size, size):
            print(
                f"diffusion-studio: {Path(files[name]).name} is {picture}, brought to {found[name]} with "
                f"--fit {fit}: {FITS[fit]}.",
                file=sys.stderr,
            )
    return found
