"""The command line: thin. Heavy imports happen inside the verbs, so that --help answers at once."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import __version__
from .device import DEVICES, PRECISIONS
from .diffusion.samplers import SAMPLERS
from .errors import OptionError, StudioError
from .export.options import ExportOptions
from .options import Option, checked, fields_of
from .recipe import ANY, MAX_PICTURES, Recipe
from .training.config import TrainConfig

OK, FAILED, INTERRUPTED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 a mistake that is explained on stderr, 130 interrupted."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
        return OK
    except StudioError as error:
        print(f"diffusion-studio: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\ndiffusion-studio: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:                         # `diffusion-studio models | head`
        sys.stderr.close()
        return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="diffusion-studio", description="Watch, understand and animate diffusion models.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_generate, _add_models, _add_train, _add_serve):
        add(verbs)
    return parser


# ---- generate ------------------------------------------------------------------------------------------------------

def _add_generate(verbs: Any) -> None:
    verb = verbs.add_parser("generate", help="run the reverse process and write a GIF, MP4 or PNG")
    verb.add_argument("model", nargs="?", help="a model's name, see 'models'; left out with --recipe")
    verb.add_argument("--recipe", metavar="FILE", help="take all settings from an exported file or a recipe's JSON")
    verb.add_argument("--seed", type=int, help="seed of the first picture; the next ones count up (default 0)")
    verb.add_argument("--count", type=int, help=f"number of pictures, 1 to {MAX_PICTURES}")
    verb.add_argument("--seeds", metavar="A,B,...", help="one seed for each picture, instead of --seed and --count")
    verb.add_argument("--sampler", help=f"one of {', '.join(SAMPLERS)}")
    _add_options(verb, fields_of(Recipe), skip=("model",))
    for name, cls in SAMPLERS.items():
        _add_options(verb.add_argument_group(f"options of the sampler {name}"), fields_of(cls))
    export = verb.add_argument_group("the file")
    export.add_argument("--out", metavar="FILE", help="where to write: .gif, .mp4 or .png (default MODEL-LABEL-SEED.gif)")
    export.add_argument("--format", help="the format where the suffix does not tell it, such as 'strip'")
    _add_options(export, fields_of(ExportOptions))
    _add_machine(verb)
    verb.set_defaults(run=_generate)


def _generate(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from .export import FORMATS, format_of
    from .trajectory import Trajectory

    studio = _studio(args)
    recipe = _recipe(args, studio)
    options = ExportOptions(**_given(args, fields_of(ExportOptions)))
    name = "-".join(part for part in (recipe.model, recipe.label, str(recipe.seeds[0])) if part).replace(" ", "_")
    out = Path(args.out or f"{name}{FORMATS[args.format].suffix if args.format in FORMATS else '.gif'}")
    format_of(out, args.format)                     # a wrong suffix is said before the run, not after it
    frames = studio.stream(recipe)
    bar = tqdm(frames, desc="denoising", total=recipe.steps + 1, unit="state", disable=None)
    written = Trajectory(recipe, list(bar)).save(out, args.format, **vars(options))
    print(written)


def _recipe(args: argparse.Namespace, studio: Any) -> Recipe:
    """The recipe file's settings, or else the model's defaults, with what the flags change."""
    changes = _given(args, [field for field in fields_of(Recipe) if field.name != "model"])
    if changes.get("label") == ANY:
        changes["label"] = None
    if args.recipe:
        given = Recipe.from_file(args.recipe)
        base = {name: getattr(given, name) for name in Recipe.__dataclass_fields__}
    elif args.model:
        given = studio.recipe(args.model)
        base = {name: getattr(given, name) for name in Recipe.__dataclass_fields__}
    else:
        raise OptionError("Name a model (see 'diffusion-studio models'), or give --recipe FILE.")
    if args.model:
        base["model"] = args.model
    if (seeds := _seeds(args, given)) is not None:
        base["seeds"] = seeds
    return Recipe.from_settings({**base, **changes, "sampler": _sampler(args, given)})


def _seeds(args: argparse.Namespace, given: Recipe) -> tuple[int, ...] | None:
    if args.seeds is not None:
        if args.seed is not None or args.count is not None:
            raise OptionError("--seeds names every picture's seed; leave out --seed and --count.")
        try:
            return tuple(int(part) for part in args.seeds.split(","))
        except ValueError:
            raise OptionError(f"--seeds takes whole numbers with commas between them, got {args.seeds!r}.") from None
    if args.seed is None and args.count is None:
        return None
    first = given.seeds[0] if args.seed is None else args.seed
    count = len(given.seeds) if args.count is None else args.count
    if not 1 <= count <= MAX_PICTURES:
        raise OptionError(f"--count must be from 1 to {MAX_PICTURES}, got {count}. Make more in several runs.")
    return tuple(range(first, first + count))


def _sampler(args: argparse.Namespace, given: Recipe) -> Any:
    """The chosen sampler, with those of its options that were given; an option of another sampler is a mistake."""
    name = args.sampler
    if name is not None and name not in SAMPLERS:
        from .errors import unknown

        raise unknown("sampler", name, SAMPLERS)
    cls = type(given.sampler) if name is None else SAMPLERS[name]
    own = [field.name for field in fields_of(cls)]
    base = {one: getattr(given.sampler, one) for one in own} if cls is type(given.sampler) else {}
    for other in SAMPLERS.values():
        for wanted, value in _given(args, fields_of(other)).items():
            if wanted not in own:
                raise OptionError(f"--{wanted.replace('_', '-')} is not an option of the sampler {cls.__name__.lower()}, "
                                  f"which has: {', '.join(own) or 'none'}.")
            base[wanted] = value
    return cls(**base)


# ---- models, train, serve ------------------------------------------------------------------------------------------

def _add_models(verbs: Any) -> None:
    verb = verbs.add_parser("models", help="list the models")
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.add_argument("--checkpoints", metavar="FOLDER", help="where the models lie (default ./checkpoints)")
    verb.set_defaults(run=_models)


def _models(args: argparse.Namespace) -> None:
    from .studio import Studio

    studio = Studio(args.checkpoints)
    cards = studio.models()
    if args.json:
        print(json.dumps([{"name": c.name, "path": str(c.path), **json.loads(c.spec.to_json())} for c in cards]))
    for card in cards if not args.json else ():
        colour = "grey" if card.spec.channels == 1 else "RGB"
        print(f"{card.name}: {card.resolution}x{card.resolution} {colour}, {card.spec.schedule.timesteps} timesteps; "
              f"labels: {', '.join(card.conditions) or 'none'}")
    for name, why in studio.problems().items():
        print(f"diffusion-studio: {name} cannot be used: {why}", file=sys.stderr)
    if not cards:
        raise OptionError(f"No usable model in {studio.folder}. A model is a folder with a model.safetensors in it.")


def _add_train(verbs: Any) -> None:
    verb = verbs.add_parser("train", help="train a model on pictures; can be stopped and resumed")
    verb.add_argument("recipe", nargs="?", metavar="RECIPE.toml", help="settings from a file; flags change them")
    where = verb.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", metavar="FOLDER", help="folder of a new run")
    where.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    _add_options(verb, fields_of(TrainConfig))
    verb.add_argument("--compile", action="store_true", help="compile the network: slow to start, faster per step")
    verb.add_argument("--sample-every", type=int, default=20_000, metavar="IMAGES", help="a sample sheet (default 20000)")
    verb.add_argument("--save-every", type=int, default=10_000, metavar="IMAGES", help="a checkpoint (default 10000)")
    verb.add_argument("--device", default="auto", help=f"one of {', '.join(DEVICES)} (default auto)")
    verb.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from tqdm import tqdm

    from .training.loop import train
    from .training.recipe import read_recipe
    from .training.run import RunFolder

    given = _given(args, fields_of(TrainConfig))
    folder = Path(args.resume or args.out)
    base = read_recipe(args.recipe) if args.recipe else RunFolder(folder).config() if args.resume else TrainConfig()
    config = replace(base, **given)
    asked: list[int] = []
    steps = train(config, folder, device=args.device, compile=args.compile, resume=bool(args.resume),
                  sample_every=args.sample_every, save_every=args.save_every, asked=lambda: bool(asked))
    smooth, first = None, os.environ.get("RANK", "0") == "0"            # torchrun's number of this process
    try:
        with _stop_asked(asked), tqdm(total=config.images, unit="img", unit_scale=True, mininterval=1, disable=not first) as bar:
            for step in steps:
                smooth = step.loss if smooth is None else 0.98 * smooth + 0.02 * step.loss
                bar.update(step.seen - bar.n)
                bar.set_postfix(loss=f"{smooth:.4f}", lr=f"{step.lr:.1e}", refresh=False)
                if step.stop:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        steps.close()
        if first:
            print(f"\nStopped and saved. Go on with: diffusion-studio train --resume {folder}", file=sys.stderr)
        raise
    if first:
        print(RunFolder(folder).export_path(config.kind))


@contextmanager
def _stop_asked(asked: list[int]) -> Iterator[None]:
    """Fills `asked` at the first Ctrl-C or polite kill, so that the step under way is finished; a second one is not patient."""
    def handler(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {one: signal.signal(one, handler) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, old in before.items():
            signal.signal(one, old)


def _add_serve(verbs: Any) -> None:
    verb = verbs.add_parser("serve", help="open the app in a browser (the same as python app.py)")
    verb.add_argument("--host", help="address to listen on (default 127.0.0.1, or GRADIO_SERVER_NAME)")
    verb.add_argument("--port", type=int, help="port to listen on (default from 7860 up, or GRADIO_SERVER_PORT)")
    verb.add_argument("--share", action="store_true", help="make a public link through Gradio's relay")
    verb.add_argument("--open", action="store_true", help="open a browser window")
    _add_machine(verb)
    verb.set_defaults(run=_serve)


def _serve(args: argparse.Namespace) -> None:
    from .ui.shell import serve

    serve(_studio(args), args.host, args.port, args.share, args.open)


# ---- shared --------------------------------------------------------------------------------------------------------

def _add_machine(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--checkpoints", metavar="FOLDER", help="where the models lie (default ./checkpoints)")
    verb.add_argument("--device", default="auto", help=f"one of {', '.join(DEVICES)} (default auto)")
    verb.add_argument("--precision", default="auto", help=f"one of {', '.join(PRECISIONS)} (default auto)")


def _studio(args: argparse.Namespace) -> Any:
    from .studio import Studio

    return Studio(args.checkpoints, args.device, args.precision)


def _add_options(verb: Any, options: Iterable[Option], skip: Iterable[str] = ()) -> None:
    """A flag for every option. Left out it is None, so that defaults stay where they are declared."""
    for one in options:
        if one.name in skip:
            continue
        flag = "--" + one.name.replace("_", "-")
        if one.kind is bool:
            verb.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=one.help)
        else:
            shown = "" if one.default in (None, "") else f" (default {one.default})"
            metavar = "|".join(one.choices) or {int: "N", float: "X", str: "TEXT"}[one.kind]
            verb.add_argument(flag, metavar=metavar, help=(one.help + shown).replace("%", "%%"))


def _given(args: argparse.Namespace, options: Iterable[Option]) -> dict[str, Any]:
    """The options that were given as flags, as values of their kinds."""
    found = {}
    for one in options:
        text = getattr(args, one.name)
        if text is not None:
            found[one.name] = checked(one, text if one.kind in (bool, str) else _number(text))
    return found


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text                             # `checked` says what is wrong with it
