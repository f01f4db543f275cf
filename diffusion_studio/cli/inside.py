"""`diffusion-studio inside` and `diffusion-studio forward`: views of one state of a run or of all, and of
the forward process.
"""

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
from .checkpoints import add_flags, open_model_path, say_remarks
from .flags import add_machine, add_options, given, studio_of


def add(verbs: Any) -> None:
    """Add the verb `inside`."""
    verb = verbs.add_parser(
        "inside",
        help="show views of one state of a run, or all: the step's sum, guidance, attention and more",
    )
    verb.add_argument("run_file", metavar="RUN", help="an exported file, or a recipe's JSON")
    verb.add_argument(
        "--view", default="sum", metavar="NAME", help=f"one of {', '.join(NAMES)} (default sum)"
    )
    verb.add_argument(
        "--at",
        type=int,
        metavar="N",
        help="number of the state, from 0 (default the last but one)",
    )
    verb.add_argument(
        "--over-run",
        action="store_true",
        help="show every state: an animation, or with a .png the run in one picture if the view has one",
    )
    verb.add_argument(
        "--out",
        metavar="FILE",
        help="where to write: .png for one state, .gif, .mp4, .webp, .apng or .html over the run",
    )
    verb.add_argument("--arrays", metavar="FILE", help="the view's arrays as .npz")
    verb.add_argument(
        "--side", type=int, default=160, metavar="N", help="width of a tile in pixels (default 160)"
    )
    verb.add_argument("--fps", type=float, metavar="X", help="states per second (default 4)")
    verb.add_argument("--plain", action="store_true", help="without explanations")
    add_options(verb.add_argument_group("what the views read"), fields_of(Settings))
    verb.add_argument(
        "--model", dest="model_path", metavar="PATH", help="the run's model, if it is in no model folder"
    )
    add_flags(verb)
    add_machine(verb)
    verb.set_defaults(run=_inside, model=None)


def add_forward(verbs: Any) -> None:
    """Add the verb `forward`."""
    verb = verbs.add_parser(
        "forward", help="show a picture's way into noise under up to three noise schedules"
    )
    verb.add_argument(
        "picture",
        metavar="PICTURE",
        help="a picture's file, or a file that this command or the app has written: the flags below change "
        "what it holds",
    )
    verb.add_argument(
        "--schedules",
        metavar="A,B,...",
        help="names of schedules, or of models for their own (default linear,cosine)",
    )
    verb.add_argument("--steps", type=int, metavar="N", help="steps into noise (default 50)")
    verb.add_argument("--every", type=int, default=1, metavar="N", help="show every N-th step (default 1)")
    verb.add_argument("--size", type=int, metavar="N", help="the picture's side (default 64)")
    verb.add_argument("--seed", type=int, metavar="N", help="seed of the noise (default 0)")
    verb.add_argument("--side", type=int, default=160, metavar="N", help="width of a tile (default 160)")
    verb.add_argument("--fps", type=float, default=10.0, metavar="X", help="states per second (default 10)")
    verb.add_argument("--strip", type=int, default=8, metavar="N", help="states of a .png strip (default 8)")
    verb.add_argument("--plain", action="store_true", help="without explanations")
    verb.add_argument(
        "--out",
        metavar="FILE",
        help="a .gif, .mp4, .webp, .apng or .html, or a .png strip (default PICTURE-forward.gif)",
    )
    add_machine(verb)
    verb.set_defaults(run=_forward)


def _forward(args: argparse.Namespace) -> None:
    from ..inside.forward_pictures import save_forward

    for name, low, high in (("size", 8, 512), ("side", 16, 2048), ("every", 1, 10_000), ("steps", 1, 10_000)):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise OptionError(name, f"--{name} must be from {low} to {high}, got {value}.")
    rows = _processes(args)
    out = Path(args.out or f"{Path(args.picture).stem}-forward.gif")
    save_forward(rows, out, args.every, args.side, args.fps, not args.plain, args.strip)
    print(out, file=sys.stderr if streamed(out) else sys.stdout)


def _processes(args: argparse.Namespace) -> list[Any]:
    """The forward processes that the flags describe, or those of an exported file, changed by the flags."""
    from ..imaging.picture import Picture
    from ..inside.forward_pictures import process, schedules_named

    processes = _in_file(args.picture)
    if processes and args.schedules is args.steps is args.size is args.seed is None:
        return processes
    if processes:
        picture, steps, seed = processes[0].picture, processes[0].steps, processes[0].seed
    else:
        picture, remark = Picture.opened(args.picture)
        steps, seed = 50, 0
        if remark:
            print(f"diffusion-studio: {Path(args.picture).name}: {remark}.", file=sys.stderr)
    if args.size or not processes:
        picture = picture.fitted(args.size or 64, picture.channels)
    steps, seed = args.steps or steps, seed if args.seed is None else args.seed
    schedules = {one.name: one.schedule for one in processes}
    if args.schedules is not None or not processes:
        studio = studio_of(args)
        names = [one.strip() for one in (args.schedules or "linear,cosine").split(",") if one.strip()]
        schedules = schedules_named(names, lambda name: studio.card(name).spec.schedule)
    return [process(picture, one, steps, seed, name) for name, one in schedules.items()]


def _in_file(path: str) -> list[Any]:
    """The processes of a file that carries a forward process; none for any other file."""
    from ..errors import ExportError
    from ..export.metadata import read_recipe
    from ..inside.forward_pictures import from_json, is_forward

    try:
        text = read_recipe(path)
    except ExportError:
        return []  # a picture
    return from_json(text) if is_forward(text) else []


def _inside(args: argparse.Namespace) -> None:
    if args.view not in NAMES:
        raise unknown("view", args.view, NAMES)
    if not 16 <= args.side <= 2048:
        raise OptionError("side", f"--side must be from 16 to 2048, got {args.side}.")
    from .. import inside

    recipe = Recipe.from_file(args.run_file)
    studio = studio_of(args)
    if args.model_path is not None:
        open_model_path(studio, args)
        recipe = Recipe.from_settings({"model": args.model}, vars(recipe))
    say_remarks(studio, recipe)
    if args.fps is not None and not args.over_run:
        print("diffusion-studio: --fps has no effect without --over-run.", file=sys.stderr)
    if args.at is not None and args.over_run:
        print("diffusion-studio: --at has no effect with --over-run.", file=sys.stderr)
    settings = given(args, fields_of(Settings))
    out = Path(args.out or f"{Path(args.run_file).stem}-{args.view}{'.gif' if args.over_run else '.png'}")
    common = {"side": args.side, "explain": not args.plain, **settings}
    if args.over_run:
        fps = 4.0 if args.fps is None else args.fps
        seen = inside.save_over_run(studio, recipe, out, args.view, fps=fps, **common)[-1]
    else:
        at = -1 if args.at is None else args.at
        seen = inside.save_view(studio, recipe, out, args.view, at, **common)
    messages = sys.stderr if streamed(out) else sys.stdout
    for line in [*seen.lines, *(f"note: {one}" for one in seen.notes)]:
        print(line, file=messages)
    print(out, file=messages)
    if args.arrays:
        _write_arrays(args.arrays, seen)
        print(args.arrays, file=messages)


def _write_arrays(path: str, seen: Any) -> None:
    import numpy as np

    from .. import files

    if Path(path).suffix != ".npz":
        raise OptionError("arrays", f"--arrays writes an .npz file, got {path!r}.")
    with files.replacing(Path(path), ".npz") as draft, open(draft, "wb") as file:
        np.savez_compressed(file, **{name.replace("/", "."): one for name, one in seen.arrays.items()})
