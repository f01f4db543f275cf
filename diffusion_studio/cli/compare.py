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
from ..export import FORMATS, ExportOptions, join_or
from ..files import safe_name, streamed
from ..files.signals import finishing
from ..options import fields_of
from ..runs.recipe import Recipe
from .checkpoints import open_helpers, open_model_path, say_idle_flags, say_remarks
from .flags import add_machine, add_options, flag_of, given, studio_of
from .generate import add_recipe, output_path, path_of, recipe_from_flags
from .progress import progress

# the options in compare.files.OPTIONS; the export's picture is --only, because --picture is one to edit
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
_FORMATS = ("gif", "mp4", "webp", "apng", "html", "png")


def add_race(verbs: Any) -> None:
    """The verb `race`."""
    verb = verbs.add_parser(
        "race", help="run two to six recipes from the same noise on one clock, as one animation"
    )
    verb.add_argument(
        "what",
        nargs="*",
        metavar="FILE|MODEL",
        help="two to six exported files or recipes as JSON, of which the first is the reference for the "
        "others; or the exported file of a race; or with --vary a model's name",
    )
    verb.add_argument(
        "--vary",
        action="append",
        metavar="SETTING=A,B,...",
        help="make a lane for each value of a setting, changed in the recipe of the other flags: "
        "sampler=ddim,dpmpp_2m,unipc. Given again with as many values, lane k has the k-th value of each",
    )
    verb.add_argument(
        "--reference",
        nargs="?",
        const=REFERENCE_STEPS,
        type=int,
        metavar="STEPS",
        help="measure the finished pictures against those of DDIM in this many steps (1000 if not given)",
    )
    _add_rest(verb, (*_FORMATS, "strip"), CLOCKS)
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
    _add_rest(verb, _FORMATS, [name for name in CLOCKS if name != "seconds"])
    verb.set_defaults(run=_grid)


def _add_rest(verb: Any, formats: Sequence[str], clocks: Any) -> None:
    """Add the flags that both verbs have: clock, recipe, file and machine."""
    verb.add_argument(
        "--clock", metavar="NAME", help=f"one of {', '.join(clocks)} (default log-snr, or the file's own)"
    )
    add_recipe(verb)  # for --vary, --x and --y
    export = verb.add_argument_group("the file")
    export.add_argument(
        "--out", metavar="FILE", help="where to write (default a name with the model's, .gif); - is "
        "standard output, with --format"
    )  # fmt: skip
    export.add_argument("--format", help=f"the format, if the suffix does not tell it: {join_or(formats)}")
    add_options(export, _EXPORT)
    add_machine(verb)


def _race(args: argparse.Namespace) -> None:
    studio = studio_of(args)
    race = _asked_race(args, studio)
    if args.clock is not None:
        race = replace(race, clock=args.clock)
    if args.reference is not None:
        race = race.with_reference(args.reference)

    def run(on_state: Callable[..., None]) -> Any:
        from ..compare.race import racing, run_to_end

        return run_to_end(racing(race, studio), on_state)

    _run_and_write(args, studio, race, race.lanes, run)


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
    recipes = [_read(path) for path in args.what]
    if len(recipes) == 1 and isinstance(recipes[0], RaceRecipe):
        return recipes[0]
    lanes: list[Recipe] = []
    for path, one in zip(args.what, recipes):
        if not isinstance(one, Recipe):
            kind = "race" if isinstance(one, RaceRecipe) else "grid"
            raise OptionError(
                "lanes", f"{Path(path).name} holds a {kind}. A lane is one run: name files of single runs."
            )
        lanes.append(one)
    return RaceRecipe(tuple(lanes))


def _grid(args: argparse.Namespace) -> None:
    studio = studio_of(args)
    grid = _asked_grid(args, studio)

    def run(on_state: Callable[..., None]) -> Any:
        from ..compare.grid import sweeping
        from ..compare.race import run_to_end

        return run_to_end(sweeping(grid, studio), on_state)

    _run_and_write(args, studio, grid, grid.cells, run)


def _asked_grid(args: argparse.Namespace, studio: Any) -> GridRecipe:
    clock = {} if args.clock is None else {"clock": args.clock}
    if args.x is None and args.y is None:
        _no_recipe_flags(args, "--x SETTING=A,B")
        if len(args.what) != 1:
            raise OptionError(
                "axis", "Name a model and an axis, --x guidance=1,2,4; or the exported file of a grid."
            )
        recipe = _read(args.what[0])
        if not isinstance(recipe, GridRecipe):
            raise OptionError(
                "axis", f"{Path(args.what[0]).name} holds no grid. Give an axis to vary: --x guidance=1,2,4."
            )
        return replace(recipe, **clock)
    if args.x is None:
        args.x, args.y = args.y, None
    base = _base(args, studio, "--x")
    if args.count is args.seeds is args.recipe is None and not _listed(args):
        base = base.first_pictures(1)  # a cell shows one picture unless more are asked for
    y = None if args.y is None else _axis("y", args.y)
    return GridRecipe(base, _axis("x", args.x), y, **clock)


def _listed(args: argparse.Namespace) -> bool:
    """Whether the flags ask for several pictures by labels, prompts or a text, or for an edit."""
    edits = (args.edit, args.picture, args.film, args.stops, args.continue_from)
    several = (args.labels, args.spell, *(args.prompt or [])[1:])
    return any(one is not None for one in (*edits, *several))


def _base(args: argparse.Namespace, studio: Any, flag: str) -> Recipe:
    """The recipe that the flags describe."""
    if len(args.what) > 1:
        raise OptionError(
            "model", f"With {flag} there is one recipe to vary, got {', '.join(args.what)}. Name one model."
        )
    args.model = None
    if args.what and Path(args.what[0]).is_file():
        args.recipe = args.what[0]
    elif args.what:
        args.model = args.what[0]
    open_model_path(studio, args)
    open_helpers(studio, args)
    return recipe_from_flags(args, studio)


_NOT_RECIPE = ("what", "vary", "x", "y", "reference", "clock", "out", "format", "checkpoints", "device")
_NOT_RECIPE += ("precision", "run", "model", *(one.name for one in _EXPORT))


def _no_recipe_flags(args: argparse.Namespace, need: str) -> None:
    """Raise `OptionError` for recipe flags that would have no effect."""
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


def _texts(args: argparse.Namespace, name: str) -> list[str]:
    """The values of a flag of which only one verb has it, and which may be given several times."""
    given = getattr(args, name, None) or []
    return given if isinstance(given, list) else [given]


def _axis(name: str, text: str) -> Axis:
    """The axis from SETTING=A,B,..."""
    return Axis(*_values(name, text))


def _say_equal_runs(comparison: RaceRecipe | GridRecipe, args: argparse.Namespace) -> None:
    """Print which differences between the runs change nothing, to standard error."""
    from ..compare.remarks import guidance_remark, idle_axes

    said = [one.worded(lambda name: flag_of(name, vars(args))) for one in idle_axes(comparison)]
    for one in filter(None, [guidance_remark(comparison), *said]):
        print(f"diffusion-studio: {one}", file=sys.stderr)


def _values(name: str, text: str) -> tuple[str, tuple[Any, ...]]:
    """The setting and its values from SETTING=A,B,... Raises `OptionError`."""
    setting, equals, values = text.partition("=")
    if not equals:
        raise OptionError(name, f"--{name} is SETTING=A,B,..., such as guidance=1,2,4; got {text!r}.")
    setting = settings.setting_name(setting.strip())
    parts = next(csv.reader([values], skipinitialspace=True), [])
    return setting, tuple(settings.parsed(setting, part) for part in parts)


def _run_and_write(
    args: argparse.Namespace, studio: Any, comparison: Any, recipes: Sequence[Recipe], run: Callable[..., Any]
) -> None:
    """Check everything that can be known beforehand, make the runs, and write the file."""
    from ..compare.files import check

    options = {"picture" if name == "only" else name: value for name, value in given(args, _EXPORT).items()}
    kind = "race" if isinstance(comparison, RaceRecipe) else "grid"
    suffix = FORMATS[args.format].suffix if args.format in FORMATS else ".gif"
    name = safe_name(kind, recipes[0].model, suffix=suffix)
    check(studio, comparison, path_of(name if args.out is None else args.out), args.format, options)
    varied = [_values("vary", text)[0] for text in _texts(args, "vary")]
    say_idle_flags(args, *recipes, varied=varied)
    _say_equal_runs(comparison, args)
    for one in {recipe.model: recipe for recipe in recipes}.values():
        say_remarks(studio, one)
    reference = comparison.reference_to_run if isinstance(comparison, RaceRecipe) else 0
    result = run(RunsProgress(recipes, reference=reference))
    for one in result.said:
        print(f"diffusion-studio: {one}", file=sys.stderr)
    with finishing(), output_path(args.out, name) as out:
        messages = sys.stderr if streamed(out) else sys.stdout
        if result.ended is not None:
            print(f"diffusion-studio: {result.ended_text}", file=sys.stderr)
        print(result.save(out, args.format, **options), file=messages)
    if result.ended is not None:
        raise result.ended


class RunsProgress:
    """A progress bar over the states of several runs, called with each state."""

    def __init__(self, recipes: Sequence[Recipe], what: str = "", reference: int = 0) -> None:
        """`reference` are the steps of a reference run, which comes last."""
        self._bar = progress(desc=what or f"{len(recipes)} runs", unit="state")
        self._totals: dict[int, int] = {-1: reference + 1} if reference else {}
        self._expected = [recipe.steps + 1 for recipe in recipes]

    def __call__(self, number: int, frame: Any) -> None:
        self._totals[number] = frame.total + 1
        expected = [self._totals.get(k, count) for k, count in enumerate(self._expected)]
        self._bar.total = sum(expected) + self._totals.get(-1, 0)
        self._bar.update()
        if self._bar.n == self._bar.total:
            self._bar.close()
