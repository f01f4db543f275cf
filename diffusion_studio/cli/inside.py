"""`diffusion-studio inside`: views of one state of a run, or of all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import OptionError, unknown
from ..files import streamed
from ..inside import NAMES
from ..inside.settings import Settings
from ..options import fields_of
from ..runs.recipe import Recipe
from .checkpoints import add_flags, opened, say_remarks
from .flags import add_machine, add_options, given, studio_of


def add(verbs: Any) -> None:
    """The verb `inside`."""
    verb = verbs.add_parser(
        "inside", help="look into one state of a run, or all: the step's sum, guidance, attention and more"
    )
    verb.add_argument("run_file", metavar="RUN", help="an exported file, or a recipe's JSON")
    verb.add_argument(
        "--view", default="sum", metavar="NAME", help=f"one of {', '.join(NAMES)} (default sum)"
    )
    verb.add_argument(
        "--at",
        type=int,
        default=-1,
        metavar="N",
        help="number of the state, from 0 (default the last before the end)",
    )
    verb.add_argument(
        "--over-run",
        action="store_true",
        help="every state: an animation, or with a .png the run in one picture where the view has one",
    )
    verb.add_argument(
        "--out",
        metavar="FILE",
        help="where to write: .png for one state, .gif, .mp4, .webp or .apng over the run",
    )
    verb.add_argument("--arrays", metavar="FILE", help="the view's arrays as .npz")
    verb.add_argument(
        "--side", type=int, default=160, metavar="N", help="width of a tile in pixels (default 160)"
    )
    verb.add_argument("--fps", type=float, default=4.0, metavar="X", help="states per second (default 4)")
    verb.add_argument("--plain", action="store_true", help="without the sentences that explain the view")
    add_options(verb.add_argument_group("what the views read"), fields_of(Settings))
    verb.add_argument(
        "--model", dest="model_path", metavar="PATH", help="the run's model, where it lies in no model folder"
    )
    add_flags(verb)
    add_machine(verb)
    verb.set_defaults(run=_inside, model=None)


def add_forward(verbs: Any) -> None:
    """The verb `forward`."""
    verb = verbs.add_parser("forward", help="a picture's way into noise under up to three noise schedules")
    verb.add_argument("picture", metavar="PICTURE", help="a picture's file")
    verb.add_argument(
        "--schedules",
        default="linear,cosine",
        metavar="A,B,...",
        help="names of schedules, or of models for their own (default linear,cosine)",
    )
    verb.add_argument("--steps", type=int, default=50, metavar="N", help="steps into noise (default 50)")
    verb.add_argument("--every", type=int, default=1, metavar="N", help="show every N-th step (default 1)")
    verb.add_argument("--size", type=int, default=64, metavar="N", help="the picture's side (default 64)")
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the noise (default 0)")
    verb.add_argument("--side", type=int, default=160, metavar="N", help="width of a tile (default 160)")
    verb.add_argument("--fps", type=float, default=10.0, metavar="X", help="states per second (default 10)")
    verb.add_argument("--strip", type=int, default=8, metavar="N", help="states of a .png strip (default 8)")
    verb.add_argument("--plain", action="store_true", help="without the sentences that explain it")
    verb.add_argument(
        "--out",
        metavar="FILE",
        help="a .gif, .mp4, .webp or .apng, or a .png strip (default PICTURE-forward.gif)",
    )
    add_machine(verb)
    verb.set_defaults(run=_forward)


def _forward(args: argparse.Namespace) -> None:
    from ..imaging.picture import Picture
    from ..inside.forward_pictures import process, save_forward, schedules_named

    for name, low, high in (("size", 8, 512), ("side", 16, 2048), ("every", 1, 10_000), ("steps", 1, 10_000)):
        if not low <= getattr(args, name) <= high:
            raise OptionError(name, f"--{name} must be from {low} to {high}, got {getattr(args, name)}.")
    opened_picture, said = Picture.opened(args.picture)
    if said:
        print(f"diffusion-studio: {Path(args.picture).name}: {said}.", file=sys.stderr)
    picture = opened_picture.fitted(args.size, opened_picture.channels)
    studio = studio_of(args)
    names = [one.strip() for one in args.schedules.split(",") if one.strip()]
    found = schedules_named(names, lambda name: studio.card(name).spec.schedule)
    rows = [process(picture, one, args.steps, args.seed, name) for name, one in found.items()]
    out = Path(args.out or f"{Path(args.picture).stem}-forward.gif")
    save_forward(rows, out, args.every, args.side, args.fps, not args.plain, args.strip)
    print(out, file=sys.stderr if streamed(out) else sys.stdout)


def _inside(args: argparse.Namespace) -> None:
    if args.view not in NAMES:
        raise unknown("view", args.view, NAMES)
    if not 16 <= args.side <= 2048:
        raise OptionError("side", f"--side must be from 16 to 2048, got {args.side}.")
    from .. import inside

    recipe = Recipe.from_file(args.run_file)
    studio = studio_of(args)
    if args.model_path is not None:
        opened(studio, args)
        recipe = Recipe.from_settings({"model": args.model}, vars(recipe))
    say_remarks(studio, recipe)
    settings = given(args, fields_of(Settings))
    out = Path(args.out or f"{Path(args.run_file).stem}-{args.view}{'.gif' if args.over_run else '.png'}")
    common = {"side": args.side, "explain": not args.plain, **settings}
    if args.over_run:
        seen = inside.save_over_run(studio, recipe, out, args.view, fps=args.fps, **common)[-1]
    else:
        seen = inside.save_view(studio, recipe, out, args.view, args.at, **common)
    said = sys.stderr if streamed(out) else sys.stdout
    for line in [*seen.lines, *(f"note: {one}" for one in seen.notes)]:
        print(line, file=said)
    print(out, file=said)
    if args.arrays:
        _write_arrays(args.arrays, seen)
        print(args.arrays, file=said)


def _write_arrays(path: str, seen: Any) -> None:
    import numpy as np

    from .. import files

    if Path(path).suffix != ".npz":
        raise OptionError("arrays", f"--arrays writes an .npz file, got {path!r}.")
    with files.replacing(Path(path), ".npz") as draft, open(draft, "wb") as file:
        np.savez_compressed(file, **{name.replace("/", "."): one for name, one in seen.arrays.items()})
