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
from .checkpoints import check_is_model, open_helpers, say_idle_flags
from .flags import (
    add_choice,
    add_groups,
    add_machine,
    add_options,
    choice_from_flags,
    default_note,
    given,
    groups_from_flags,
)
from .progress import progress

WORK = "runs/evaluate"
# options of a recipe that this verb adds in another form, or not at all
SPECIAL = ("model", "label", "steps", "guidance")
# options of a recipe that are printed with a figure if they are not at their default
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
)


def add_evaluate(verbs: Any) -> None:
    """Add the verb `evaluate`."""
    verb = verbs.add_parser(
        "evaluate",
        help="measure a model against real pictures or points; can be stopped and resumed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure a model against real pictures. Drawn pictures are kept in --work, so a stopped "
        "evaluation continues where it was.\n\nfigures for --metrics:\n"
        + "\n".join(f"  {name:18}{help}" for name, help in METRICS.items())
        + "\n\nand for models of points in the plane, each label by itself:\n"
        + "\n".join(f"  {name:18}{help}" for name, help in POINT_METRICS.items())
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
        f'\'{{"name": "ddim", "eta": 1}}\' {default_note()}',
    )
    drawing.add_argument(
        "--steps",
        nargs="+",
        metavar="N",
        help=f"sampling steps, one number or more {default_note(steps.default)}",
    )
    drawing.add_argument(
        "--guidance",
        nargs="+",
        metavar="X",
        help=f"{guidance.help} One number or more {default_note(guidance.default)}",
    )
    add_options(drawing, fields_of(Recipe), skip=SPECIAL, model_set=DEFAULT_NAMES)
    add_choice(verb, "spacing", SPACINGS)
    add_groups(verb)
    out = verb.add_argument_group("results")
    out.add_argument(
        "--json", metavar="FILE", help="write all results as JSON; '-' prints them instead of the summary"
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
    from ..metrics.pictures import GenerationSetup, default_recipe, selected_labels
    from ..metrics.table import row, write_csv, write_plot

    world = World.from_environment()
    studio, model = _open_model(args, world)
    for line in model.remarks:
        print(f"diffusion-studio: {model.spec.name}: {line}", file=sys.stderr)
    open_helpers(studio, args)
    changes = given(args, [field for field in fields_of(Recipe) if field.name not in SPECIAL])
    changes["spacing"] = choice_from_flags(
        args, "spacing", SPACINGS, default_recipe(model.spec, **changes).spacing
    )
    changes |= groups_from_flags(args, default_recipe(model.spec, **changes))
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
    config.metric_names(model.spec)
    for recipe in recipes:  # errors of any recipe come before the first is measured
        drawing = GenerationSetup(model, recipe, *studio.guides(recipe))
        drawing.check(selected_labels(drawing.label_spec, config.labels))
    say_idle_flags(args, *recipes)
    rows, reports = [], []
    with world.together():
        for recipe in recipes:
            with _Bars() as bars:
                report = evaluate(model, config, recipe, args.work, bars, world, *studio.guides(recipe))
            if report is None:  # only the first process has a report
                continue
            reports.append(report)
            name = _describe(recipe.sampler)
            if args.json != "-":
                drawn = ", ".join(
                    [name, f"{recipe.steps} steps", *_changed_settings(recipe, "points" in report)]
                )
                print(summary(report, drawn), flush=True)
            if table:  # written after every row, so that a stopped evaluation leaves a table
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
    """A summary of a report in a few lines: each figure's name and numbers."""
    lines = [
        f"{report['model']} on {report['data']}"
        + next((f": {report[what]} {what}, {drawn}" for what in ("pictures", "points") if what in report), "")
    ]
    for figure in report["figures"].values():
        values = {key: value for key, value in figure.items() if type(value) in (int, float)}
        value = values.pop("value", None)
        shown = [f"{value:.6g}"] if value is not None else []
        shown += [f"{key.replace('_', ' ')} {number:.6g}" for key, number in values.items()]
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


def _open_model(args: argparse.Namespace, world: Any) -> tuple[Any, Any]:
    """The Studio and the model, by name or path. With several processes each uses a GPU of its own."""
    device = args.device
    if device == "auto" and world.size > 1:
        import torch

        if torch.cuda.is_available():
            device = f"cuda:{world.local % torch.cuda.device_count()}"
    from ..studio import Studio

    studio = Studio(args.checkpoints, device, args.precision)
    if Path(args.model).exists() and args.model not in {card.name for card in studio.models()}:
        from ..models.model import load_without_warning

        return studio, load_without_warning(args.model, device, args.precision)
    check_is_model(studio, args.model)
    return studio, studio.model(args.model)


def _sampler(text: str) -> Any:
    sampler: Any = text
    if text.lstrip().startswith("{"):
        try:
            sampler = json.loads(text)
        except ValueError as error:
            raise OptionError("sampler", f"The sampler {text!r} is not JSON: {error}.") from error
    return from_json(SAMPLERS, "sampler", sampler)


def _describe(sampler: Any) -> str:
    """The sampler's name, and its options that are not at their default."""
    values = to_json(SAMPLERS, sampler)
    plain = {field.name: field.default for field in fields_of(type(sampler))}
    changed = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if name != "name" and plain.get(name) != value
    ]
    return " ".join([values["name"], *changed])


def _changed_settings(recipe: Recipe, points: bool) -> list[str]:
    """The settings of `DRAWN_BY` and of the groups that are not at their default, and matter for the
    model.
    """
    values = {one.name: (one, getattr(recipe, one.name)) for one in fields_of(Recipe) if one.name in DRAWN_BY}
    for group in GROUPS:
        values |= {
            one.name: (one, getattr(getattr(recipe, group), inside))
            for inside, one in flags_of(group).items()
        }
    return [
        f"{name.replace('_', ' ')} {value:g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, (one, value) in values.items()
        if value != one.default and not (points and name in ("clip", "threshold"))
    ]


def _check_targets(table: Path | None, report: str | None) -> None:
    """Check that results can be written, before hours are spent on them. Raises `ExportError`."""
    if table and table.suffix.lower() != ".csv":
        raise ExportError(f"--table writes a .csv, and a .png beside it; got {table.name}.")
    for path in [one for one in (table, Path(report) if report and report != "-" else None) if one]:
        if not path.parent.is_dir():
            raise ExportError(
                f"{files.missing(path.parent, 'folder')} Make the folder first, for {path.name}."
            )
        try:
            files.check(path)
        except OSError as error:
            raise _write_error(path, error) from error


def _write(path: Path, text: str) -> None:
    try:
        files.write_text(path, text)
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> ExportError:
    return ExportError(f"{path} cannot be written ({files.why(error)}). {files.advice(error)}")


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text  # the check of the option raises the error
