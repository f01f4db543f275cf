"""The verb `evaluate`: figures of quality, alone or as a table over samplers, steps and guidance."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .. import files
from ..checkpoint.spec import DEFAULT_NAMES
from ..diffusion.samplers import SAMPLERS
from ..diffusion.spacing import SPACINGS
from ..errors import ExportError, OptionError
from ..metrics.config import METRICS, POINT_METRICS, EvalConfig
from ..options import fields_of, from_json, to_json
from ..runs.guidance_options import GROUPS, flags_of
from ..runs.recipe import Recipe
from .checkpoints import check_draws, open_helpers
from .flags import add_choice, add_groups, add_machine, add_options, chosen, given, grouped, own
from .progress import progress

WORK = "runs/evaluate"
OWN = (
    "model",
    "label",
    "steps",
    "guidance",
)  # of the recipe's options: what this verb says in its own way, or not at all
DRAWN_BY = (
    "guidance",
    "guidance_scales",
    "guidance_shape",
    "guidance_rescale",
    "weaker",
    "negative",
    "negative_label",
    "threshold",
    "clip",
    "reuse",
)  # of them, what is told beside a figure where it is not as by default


def add_evaluate(verbs: Any) -> None:
    """Add the verb to the command line's subparsers."""
    verb = verbs.add_parser(
        "evaluate",
        help="measure a model against real pictures or points; can be stopped and resumed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure a model against real pictures. What was drawn is kept in --work: a stopped "
        "evaluation goes on "
        "where it was.\n\nfigures for --metrics:\n"
        + "\n".join(f"  {name:18}{told}" for name, told in METRICS.items())
        + "\n\nand of models of points in the plane, each label by itself:\n"
        + "\n".join(f"  {name:18}{told}" for name, told in POINT_METRICS.items())
        + "\n\nSeveral samplers, numbers of steps or guidances make a table:\n  diffusion-studio evaluate "
        "fashion-mnist --data fashion-mnist --sampler ddim ddpm --steps 10 50 --guidance 1 2 "
        "--table table.csv",
    )
    verb.add_argument("model", help="a model's name, see 'models', or the path of a checkpoint")
    add_options(verb, fields_of(EvalConfig))
    drawing = verb.add_argument_group("how pictures are drawn (by default as suits the model)")
    steps, guidance = (one for name in ("steps", "guidance") for one in fields_of(Recipe) if one.name == name)
    drawing.add_argument(
        "--sampler",
        nargs="+",
        metavar="SAMPLER",
        help=f"one or more of {', '.join(SAMPLERS)}, or JSON with options: "
        f'\'{{"name": "ddim", "eta": 1}}\' {own()}',
    )
    drawing.add_argument(
        "--steps", nargs="+", metavar="N", help=f"sampling steps, one number or more {own(steps.default)}"
    )
    drawing.add_argument(
        "--guidance",
        nargs="+",
        metavar="X",
        help=f"{guidance.help} One number or more {own(guidance.default)}",
    )
    add_options(drawing, fields_of(Recipe), skip=OWN, brought=DEFAULT_NAMES)
    add_choice(verb, "spacing", SPACINGS)
    add_groups(verb)
    out = verb.add_argument_group("results")
    out.add_argument(
        "--json", metavar="FILE", help="write all that was measured; '-' prints it instead of the summary"
    )
    out.add_argument(
        "--table",
        metavar="FILE.csv",
        help="write a line for each sampler, number of steps and guidance, and FILE.png",
    )
    out.add_argument(
        "--work",
        metavar="FOLDER",
        default=WORK,
        help=f"where pictures and features are kept (default {WORK})",
    )
    add_machine(verb)
    verb.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    config = EvalConfig(**given(args, fields_of(EvalConfig)))
    table = Path(args.table) if args.table else None
    _check_targets(table, args.json)
    samplers = [_sampler(text) for text in args.sampler or ()]
    steps_asked, guidances = (
        [_number(text) for text in given or ()] for given in (args.steps, args.guidance)
    )
    if max(map(len, (samplers, steps_asked, guidances))) > 1 and table is None:
        raise OptionError(
            "table",
            "Several samplers, numbers of steps or guidances make a table. Say where to write it, with "
            "--table FILE.csv.",
        )

    from ..metrics.evaluate import evaluate
    from ..metrics.parts import World
    from ..metrics.pictures import Drawing, default_recipe, labels_asked
    from ..metrics.table import row, write_csv, write_plot

    world = World.from_environment()
    studio, model = _opened(args, world)
    for line in model.remarks:
        print(f"diffusion-studio: {model.spec.name}: {line}", file=sys.stderr)
    open_helpers(studio, args)
    changes = given(args, [field for field in fields_of(Recipe) if field.name not in OWN])
    changes["spacing"] = chosen(args, "spacing", SPACINGS, default_recipe(model.spec, **changes).spacing)
    changes |= grouped(args, default_recipe(model.spec, **changes))
    plain = default_recipe(model.spec, **changes)
    if len(guidances) > 1 and plain.guidance_scales is not None:
        raise OptionError(
            "guidance_scales",
            "--guidance-scales takes the place of the one guidance, so it cannot go with several. Leave out "
            "the one or the other.",
        )
    recipes = [
        default_recipe(model.spec, **changes, sampler=sampler, steps=steps, guidance=guidance)
        for sampler in samplers or [plain.sampler]
        for steps in steps_asked or [plain.steps]
        for guidance in guidances or [plain.guidance]
    ]
    config.wanted(model.spec)
    for recipe in recipes:  # what one of them cannot do is said before the first is measured
        drawing = Drawing(model, recipe, *studio.guides(recipe))
        drawing.check(labels_asked(drawing.known, config.labels))
    rows, reports = [], []
    with world.together():
        for recipe in recipes:
            with _Bars() as bars:
                report = evaluate(model, config, recipe, args.work, bars, world, *studio.guides(recipe))
            if report is None:  # not the first process: it has nothing to say
                continue
            reports.append(report)
            name = _describe(recipe.sampler)
            if args.json != "-":
                drawn = ", ".join([name, f"{recipe.steps} steps", *_guided(recipe, "points" in report)])
                print(summary(report, drawn), flush=True)
            if table:  # after every row: a stopped table shows what there is
                rows.append(row(name, recipe.steps, report, recipe.guidance_scales or recipe.guidance))
                write_csv(table, rows)
                count = (
                    f"{report['points']:,} points" if "points" in report else f"{config.pictures:,} pictures"
                )
                write_plot(table.with_suffix(".png"), rows, f"{model.spec.name} on {config.data}, {count}")
    if reports and args.json:
        text = json.dumps(reports if table else reports[0], indent=2)
        if args.json == "-":
            print(text)
        else:
            _write(Path(args.json), text + "\n")
    if reports and table:
        print(f"{table}\n{table.with_suffix('.png')}", file=sys.stderr if args.json == "-" else sys.stdout)


def summary(report: dict[str, Any], drawn: str) -> str:
    """A few lines for people: each figure's name and numbers."""
    lines = [
        f"{report['model']} on {report['data']}"
        + next((f": {report[what]} {what}, {drawn}" for what in ("pictures", "points") if what in report), "")
    ]
    for figure in report["figures"].values():
        told = {key: value for key, value in figure.items() if type(value) in (int, float)}
        value = told.pop("value", None)
        shown = [f"{value:.6g}"] if value is not None else []
        shown += [f"{key.replace('_', ' ')} {number:.6g}" for key, number in told.items()]
        lines.append(
            f"  {figure['name']}: {', '.join(shown)}" + (f" ({figure['note']})" if "note" in figure else "")
        )
    return "\n".join(lines)


class _Bars:
    """A progress bar for each kind of work."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.title = ""

    def __call__(self, title: str, done: int, total: int) -> None:
        if title != self.title:
            self.close()
            self.bar, self.title = progress(total=total, desc=title), title
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _opened(args: argparse.Namespace, world: Any) -> tuple[Any, Any]:
    """The Studio, and the model: by name from the checkpoints' folder, or by path. Each process on its own
    GPU, where there are several.
    """
    device = args.device
    if device == "auto" and world.size > 1:
        import torch

        if torch.cuda.is_available():
            device = f"cuda:{world.local % torch.cuda.device_count()}"
    from ..studio import Studio

    studio = Studio(args.checkpoints, device, args.precision)
    if Path(args.model).exists() and args.model not in {card.name for card in studio.models()}:
        from ..models.model import opened

        return studio, opened(args.model, device, args.precision)
    check_draws(studio, args.model)
    return studio, studio.model(args.model)


def _sampler(text: str) -> Any:
    asked: Any = text
    if text.lstrip().startswith("{"):
        try:
            asked = json.loads(text)
        except ValueError as error:
            raise OptionError("sampler", f"The sampler {text!r} is not JSON: {error}.") from error
    return from_json(SAMPLERS, "sampler", asked)


def _describe(sampler: Any) -> str:
    """Its name, and those options that are not the default."""
    told = to_json(SAMPLERS, sampler)
    plain = {field.name: field.default for field in fields_of(type(sampler))}
    changed = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in told.items()
        if name != "name" and plain.get(name) != value
    ]
    return " ".join([told["name"], *changed])


def _guided(recipe: Recipe, points: bool) -> list[str]:
    """The settings of guidance that are not the default, and count for what the model makes."""
    told = {one.name: (one, getattr(recipe, one.name)) for one in fields_of(Recipe) if one.name in DRAWN_BY}
    for group in GROUPS:
        told |= {
            one.name: (one, getattr(getattr(recipe, group), inside))
            for inside, one in flags_of(group).items()
        }
    return [
        f"{name.replace('_', ' ')} {value:g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, (one, value) in told.items()
        if value != one.default and not (points and name in ("clip", "threshold"))
    ]


def _check_targets(table: Path | None, report: str | None) -> None:
    """Where results go is checked before hours are spent on them."""
    if table and table.suffix.lower() != ".csv":
        raise ExportError(f"--table writes a .csv, and a .png beside it; got {table.name}.")
    for path in [one for one in (table, Path(report) if report and report != "-" else None) if one]:
        if not path.parent.is_dir():
            raise ExportError(f"There is no folder {path.parent} for {path.name}. Make it first.")
        try:
            files.check(path)
        except OSError as error:
            raise _unwritable(path, error) from error


def _write(path: Path, text: str) -> None:
    try:
        files.write_text(path, text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ExportError:
    return ExportError(f"{path} cannot be written ({files.why(error)}). {files.advice(error)}")


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text  # the check of the option says what is wrong with it
