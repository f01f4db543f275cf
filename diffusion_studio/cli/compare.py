"""`diffusion-studio race` and `diffusion-studio grid`: several runs on one clock."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..compare import settings
from ..compare.clocks import CLOCKS
from ..compare.recipes import REFERENCE_STEPS, Axis, GridRecipe, RaceRecipe, read
from ..errors import OptionError
from ..export import FORMATS, ExportOptions, named
from ..files import safe_name, streamed
from ..files.signals import finishing
from ..options import fields_of
from ..runs.recipe import Recipe
from .checkpoints import open_helpers, opened, say_remarks
from .flags import add_machine, add_options, given, studio_of
from .generate import add_recipe, claimed, place_of, recipe_of
from .progress import progress

# as compare.files.OPTIONS has them; --picture is the one to edit
_OPTIONS = ("view", "picture", "states", "every", "fps", "hold", "scale", "theme", "trails", "arrows", "axes")
_EXPORT = [
    replace(one, name="only")
    if one.name == "picture"
    else replace(one, help="Every k-th tick of the clock, for a smaller file.")
    if one.name == "every"
    else one
    for one in fields_of(ExportOptions)
    if one.name in _OPTIONS
]
_ANIMATIONS = ("gif", "mp4", "webp", "apng", "png")


def add_race(verbs: Any) -> None:
    """The verb `race`."""
    verb = verbs.add_parser(
        "race", help="run two to six recipes from the same noise on one clock, as one animation"
    )
    verb.add_argument(
        "what",
        nargs="*",
        metavar="FILE|MODEL",
        help="two to six exported files or recipes as JSON, the first is the one that the others are "
        "measured against; or the exported file of a race; or with --vary a model's name",
    )
    verb.add_argument(
        "--vary",
        action="append",
        metavar="SETTING=A,B,...",
        help="a lane for each value of a setting, of the recipe that the flags say: "
        "sampler=ddim,dpmpp_2m,unipc. Given again, with as many values, lane k takes the k-th of each",
    )
    verb.add_argument(
        "--reference",
        nargs="?",
        const=REFERENCE_STEPS,
        type=int,
        metavar="STEPS",
        help="measure the finished pictures against those of DDIM in so many steps (1000 if none are given)",
    )
    _add_rest(verb, (*_ANIMATIONS, "strip"), CLOCKS)
    verb.set_defaults(run=_race)


def add_grid(verbs: Any) -> None:
    """The verb `grid`."""
    verb = verbs.add_parser(
        "grid", help="vary one or two settings of a recipe, as one animation or one labelled sheet"
    )
    verb.add_argument(
        "what",
        nargs="*",
        metavar="MODEL|FILE",
        help="a model's name, or the exported file of a grid or a run",
    )
    for name, where in (("x", "along x"), ("y", "along y")):
        verb.add_argument(
            f"--{name}",
            metavar="SETTING=A,B,...",
            help=f"the setting {where} and its values: guidance=1,2,4,8. A value with a comma stands in "
            "quotes",
        )
    _add_rest(verb, _ANIMATIONS, [name for name in CLOCKS if name != "seconds"])
    verb.set_defaults(run=_grid)


def _add_rest(verb: Any, formats: Sequence[str], clocks: Any) -> None:
    """What both verbs have: clock, recipe, file and machine."""
    verb.add_argument(
        "--clock", metavar="NAME", help=f"one of {', '.join(clocks)} (default log-snr, or the file's own)"
    )
    add_recipe(verb)  # for --vary, --x and --y
    export = verb.add_argument_group("the file")
    export.add_argument(
        "--out", metavar="FILE", help="where to write (default a name with the model's, .gif); - is "
        "standard output, with --format"
    )  # fmt: skip
    export.add_argument("--format", help=f"the format, where the suffix does not tell it: {named(formats)}")
    add_options(export, _EXPORT)
    add_machine(verb)


def _race(args: argparse.Namespace) -> None:
    studio = studio_of(args)
    asked = _asked_race(args, studio)
    if args.clock is not None:
        asked = replace(asked, clock=args.clock)
    if args.reference is not None:
        asked = replace(asked, reference=args.reference)

    def run(on_state: Callable[..., None]) -> Any:
        from ..compare.race import finished, racing

        return finished(racing(asked, studio), on_state)

    _written(args, studio, asked, asked.lanes, run)


def _asked_race(args: argparse.Namespace, studio: Any) -> RaceRecipe:
    if args.vary:
        base = _base(args, studio, "--vary")
        varied = [_values("vary", text) for text in args.vary]
        if len({len(values) for _, values in varied}) > 1:
            raise OptionError(
                "vary",
                "Each --vary has a value for each lane: "
                + ", ".join(f"{name} has {len(values)}" for name, values in varied)
                + ". Give them equal numbers of values.",
            )
        names = [name for name, _ in varied]
        changes = [dict(zip(names, lane)) for lane in zip(*[values for _, values in varied])]
        return RaceRecipe(tuple(settings.changed(base, one) for one in changes))
    _no_recipe_flags(args, "--vary SETTING=A,B")
    if not args.what:
        raise OptionError(
            "lanes", "Name two to six recipes or exported files, or a model and --vary SETTING=A,B,..."
        )
    found = [_read(path) for path in args.what]
    if len(found) == 1 and isinstance(found[0], RaceRecipe):
        return found[0]
    lanes: list[Recipe] = []
    for path, one in zip(args.what, found):
        if not isinstance(one, Recipe):
            kind = "race" if isinstance(one, RaceRecipe) else "grid"
            raise OptionError(
                "lanes", f"{Path(path).name} holds a {kind}. A lane is one run: name files of single runs."
            )
        lanes.append(one)
    return RaceRecipe(tuple(lanes))


def _grid(args: argparse.Namespace) -> None:
    studio = studio_of(args)
    asked = _asked_grid(args, studio)

    def run(on_state: Callable[..., None]) -> Any:
        from ..compare.grid import sweeping
        from ..compare.race import finished

        return finished(sweeping(asked, studio), on_state)

    _written(args, studio, asked, asked.cells, run)


def _asked_grid(args: argparse.Namespace, studio: Any) -> GridRecipe:
    clock = {} if args.clock is None else {"clock": args.clock}
    if args.x is None and args.y is None:
        _no_recipe_flags(args, "--x SETTING=A,B")
        if len(args.what) != 1:
            raise OptionError(
                "axis", "Name a model and an axis, --x guidance=1,2,4; or the exported file of a grid."
            )
        found = _read(args.what[0])
        if not isinstance(found, GridRecipe):
            raise OptionError(
                "axis", f"{Path(args.what[0]).name} holds no grid. Give an axis to vary: --x guidance=1,2,4."
            )
        return replace(found, **clock)
    if args.x is None:
        args.x, args.y = args.y, None
    base = _base(args, studio, "--x")
    if args.seed is args.count is args.seeds is args.recipe is None and not _listed(args):
        base = base.first_pictures(1)  # a cell shows one picture unless more are asked for
    y = None if args.y is None else _axis("y", args.y)
    return GridRecipe(base, _axis("x", args.x), y, **clock)


def _listed(args: argparse.Namespace) -> bool:
    """Whether the flags ask for several pictures by what they show, or for an edit."""
    edits = (args.edit, args.picture, args.film, args.stops, args.continue_from)
    several = (args.labels, args.spell, *(args.prompt or [])[1:])
    return any(one is not None for one in (*edits, *several))


def _base(args: argparse.Namespace, studio: Any, flag: str) -> Recipe:
    """The recipe that the flags say."""
    if len(args.what) > 1:
        raise OptionError(
            "model", f"With {flag} there is one recipe to vary, got {', '.join(args.what)}. Name one model."
        )
    args.model = None
    if args.what and Path(args.what[0]).is_file():
        args.recipe = args.what[0]
    elif args.what:
        args.model = args.what[0]
    opened(studio, args)
    open_helpers(studio, args)
    return recipe_of(args, studio)


_NOT_RECIPE = ("what", "vary", "x", "y", "reference", "clock", "out", "format", "checkpoints", "device")
_NOT_RECIPE += ("precision", "run", "model", *(one.name for one in _EXPORT))


def _no_recipe_flags(args: argparse.Namespace, need: str) -> None:
    """Raise where settings are given that nothing would use."""
    for name, value in vars(args).items():
        if name not in _NOT_RECIPE and value not in (None, False):
            raise OptionError(
                name,
                f"--{name.replace('_', '-')} changes a recipe that is varied, and files bring their own. "
                f"Leave it out, or vary one recipe with {need}.",
            )


def _read(path: str) -> RaceRecipe | GridRecipe | Recipe:
    if not Path(path).is_file():
        raise OptionError(
            "lanes",
            f"There is no file {path!r}. Name exported files or recipes; or vary one recipe of a model with "
            "--vary SETTING=A,B,... (race) or --x SETTING=A,B,... (grid).",
        )
    return read(path)


def _axis(name: str, text: str) -> Axis:
    """An axis from SETTING=A,B,..."""
    return Axis(*_values(name, text))


def _values(name: str, text: str) -> tuple[str, tuple[Any, ...]]:
    """The setting and its values from SETTING=A,B,..."""
    setting, equals, values = text.partition("=")
    if not equals:
        raise OptionError(name, f"--{name} is SETTING=A,B,..., such as guidance=1,2,4; got {text!r}.")
    setting = settings.known(setting.strip())
    parts = next(csv.reader([values], skipinitialspace=True), [])
    return setting, tuple(settings.parsed(setting, part) for part in parts)


def _written(
    args: argparse.Namespace, studio: Any, asked: Any, recipes: Sequence[Recipe], run: Callable[..., Any]
) -> None:
    """Check what can be known before the runs, make them and write the file."""
    from ..compare.files import check

    options = {"picture" if name == "only" else name: value for name, value in given(args, _EXPORT).items()}
    kind = "race" if isinstance(asked, RaceRecipe) else "grid"
    suffix = FORMATS[args.format].suffix if args.format in FORMATS else ".gif"
    name = safe_name(kind, recipes[0].model, suffix=suffix)
    check(studio, asked, place_of(name if args.out is None else args.out), args.format, options)
    for one in {recipe.model: recipe for recipe in recipes}.values():
        say_remarks(studio, one)
    made = run(_Progress(recipes))
    with finishing(), claimed(args.out, name) as out:
        said = sys.stderr if streamed(out) else sys.stdout
        if made.ended is not None:
            print(f"diffusion-studio: {made.said}", file=sys.stderr)
        print(made.save(out, args.format, **options), file=said)
    if made.ended is not None:
        raise made.ended


class _Progress:
    """A bar that is told of each state."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._bar = progress(desc=f"{len(recipes)} runs", unit="state")
        self._totals: dict[int, int] = {}
        self._expected = [recipe.steps + 1 for recipe in recipes]

    def __call__(self, number: int, frame: Any) -> None:
        self._totals[number] = frame.total + 1
        expected = [self._totals.get(k, count) for k, count in enumerate(self._expected)]
        self._bar.total = sum(expected) + self._totals.get(-1, 0)
        self._bar.update()
        if self._bar.n == self._bar.total:
            self._bar.close()
