"""The verb `evaluate`: figures of quality, alone or as a table over samplers and steps."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..diffusion.samplers import SAMPLERS
from ..diffusion.spacing import SPACINGS
from ..errors import ExportError, OptionError
from ..metrics.config import METRICS, EvalConfig
from ..options import fields_of, from_json, to_json
from ..recipe import Recipe
from .flags import add_choice, add_machine, add_options, chosen, given

WORK = "runs/evaluate"
OWN = ("model", "label", "steps", "weaker")     # of the recipe's options: what this verb says in its own way, or not at all


def add_evaluate(verbs: Any) -> None:
    """Add the verb to the command line's subparsers."""
    verb = verbs.add_parser(
        "evaluate", help="measure a model against real pictures; can be stopped and resumed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure a model against real pictures. What was drawn is kept in --work: a stopped evaluation goes on "
                    "where it was.\n\nfigures for --metrics:\n"
                    + "\n".join(f"  {name:18}{told}" for name, told in METRICS.items())
                    + "\n\nSeveral samplers or numbers of steps make a table:\n  diffusion-studio evaluate fashion-mnist "
                      "--data fashion-mnist --sampler ddim ddpm --steps 10 50 --table table.csv")
    verb.add_argument("model", help="a model's name, see 'models', or the path of a checkpoint")
    add_options(verb, fields_of(EvalConfig))
    drawing = verb.add_argument_group("how pictures are drawn (by default as suits the model)")
    drawing.add_argument("--sampler", nargs="+", metavar="SAMPLER",
                         help=f"one or more of {', '.join(SAMPLERS)}, or JSON with options: "
                              "'{\"name\": \"ddim\", \"eta\": 1}'")
    drawing.add_argument("--steps", nargs="+", metavar="N", help="sampling steps, one number or more")
    add_options(drawing, fields_of(Recipe), skip=OWN)
    add_choice(verb, "spacing", SPACINGS)
    out = verb.add_argument_group("results")
    out.add_argument("--json", metavar="FILE", help="write all that was measured; '-' prints it instead of the summary")
    out.add_argument("--table", metavar="FILE.csv", help="write a line for each sampler and number of steps, and FILE.png")
    out.add_argument("--work", metavar="FOLDER", default=WORK, help=f"where pictures and features are kept (default {WORK})")
    add_machine(verb)
    verb.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    config = EvalConfig(**given(args, fields_of(EvalConfig)))
    table = Path(args.table) if args.table else None
    _check_targets(table, args.json)
    changes = given(args, [field for field in fields_of(Recipe) if field.name not in OWN])
    samplers = [_sampler(text) for text in args.sampler or ()]
    steps_asked = [_number(text) for text in args.steps or ()]
    if len(samplers) * len(steps_asked) > 1 or max(len(samplers), len(steps_asked)) > 1:
        if table is None:
            raise OptionError("Several samplers or numbers of steps make a table. Say where to write it, with --table "
                              "FILE.csv.")

    from ..metrics.evaluate import evaluate
    from ..metrics.parts import World
    from ..metrics.pictures import default_recipe
    from ..metrics.table import row, write_csv, write_plot

    world = World.from_environment()
    model = _model(args, world)
    changes["spacing"] = chosen(args, "spacing", SPACINGS, default_recipe(model.spec, **changes).spacing)
    plain = default_recipe(model.spec, **changes)
    recipes = [default_recipe(model.spec, **changes, sampler=sampler, steps=steps)
               for sampler in samplers or [plain.sampler] for steps in steps_asked or [plain.steps]]
    rows, reports = [], []
    with world.together():
        for recipe in recipes:
            with _Bars() as bars:
                report = evaluate(model, config, recipe, args.work, bars, world)
            if report is None:                          # not the first process: it has nothing to say
                continue
            reports.append(report)
            name = _describe(recipe.sampler)
            if args.json != "-":
                print(summary(report, f"{name}, {recipe.steps} steps"), flush=True)
            if table:                                   # after every row: a stopped table shows what there is
                rows.append(row(name, recipe.steps, report))
                write_csv(table, rows)
                title = f"{model.spec.name} on {config.data}, {config.pictures} pictures"
                write_plot(table.with_suffix(".png"), rows, title)
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
    lines = [f"{report['model']} on {report['data']}"
             + (f": {report['pictures']} pictures, {drawn}" if "pictures" in report else "")]
    for figure in report["figures"].values():
        told = {key: value for key, value in figure.items() if type(value) in (int, float)}
        value = told.pop("value", None)
        shown = [f"{value:.6g}"] if value is not None else []
        shown += [f"{key.replace('_', ' ')} {number:.6g}" for key, number in told.items()]
        lines.append(f"  {figure['name']}: {', '.join(shown)}" + (f" ({figure['note']})" if "note" in figure else ""))
    return "\n".join(lines)


class _Bars:
    """A progress bar for each kind of work."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.title = ""

    def __call__(self, title: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if title != self.title:
            self.close()
            self.bar, self.title = tqdm(total=total, desc=title, disable=None), title
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _model(args: argparse.Namespace, world: Any) -> Any:
    """By name from the checkpoints' folder, or by path. Each process on its own GPU, where there are several."""
    device = args.device
    if device == "auto" and world.size > 1:
        import torch

        if torch.cuda.is_available():
            device = f"cuda:{world.local % torch.cuda.device_count()}"
    from ..studio import Studio

    studio = Studio(args.checkpoints, device, args.precision)
    if Path(args.model).exists() and args.model not in {card.name for card in studio.models()}:
        from ..model import load

        return load(args.model, device, args.precision)
    return studio.model(args.model)


def _sampler(text: str) -> Any:
    asked: Any = text
    if text.lstrip().startswith("{"):
        try:
            asked = json.loads(text)
        except ValueError as error:
            raise OptionError(f"The sampler {text!r} is not JSON: {error}.") from error
    return from_json(SAMPLERS, "sampler", asked)


def _describe(sampler: Any) -> str:
    """Its name, and those options that are not the default."""
    told = to_json(SAMPLERS, sampler)
    plain = {field.name: field.default for field in fields_of(type(sampler))}
    changed = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
               for name, value in told.items() if name != "name" and plain.get(name) != value]
    return " ".join([told["name"], *changed])


def _check_targets(table: Path | None, report: str | None) -> None:
    """Where results go is checked before hours are spent on them."""
    if table and table.suffix.lower() != ".csv":
        raise ExportError(f"--table writes a .csv, and a .png beside it; got {table.name}.")
    for path in [one for one in (table, Path(report) if report and report != "-" else None) if one]:
        if not path.parent.is_dir():
            raise ExportError(f"There is no folder {path.parent} for {path.name}. Make it first.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror or error}). Name another file.") from error


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text                                         # the check of the option says what is wrong with it
