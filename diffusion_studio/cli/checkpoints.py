"""The verbs `inspect` and `convert`, and the flags that open models and classifiers by their path."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from ..files import streamed

if TYPE_CHECKING:
    from ..runs.recipe import Recipe

_FLAGS_HELP = (
    'settings that the file does not hold, by the flag names of its origin, as one text: "--num_heads 4 '
    '--diffusion_steps 4000"; '
    "an args.json beside the file does the same"
)


def add_flags(verb: Any) -> None:
    """Add the option --flags."""
    verb.add_argument("--flags", metavar="TEXT", help=_FLAGS_HELP)


def flags_of(args: argparse.Namespace) -> dict[str, str]:
    """The values of --flags by name."""
    from ..checkpoint.facts import parse_flags

    return parse_flags(args.flags) if args.flags else {}


def add_inspect(verbs: Any) -> None:
    verb = verbs.add_parser(
        "inspect", help="describe a weight file or a model's folder, reading its header only"
    )
    verb.add_argument("file", help="a .safetensors file, or a folder with one")
    add_flags(verb)
    verb.add_argument(
        "--pictures",
        metavar="FOLDER",
        help="a few pictures like those it was trained on: measures which values of the "
        "settings that the file does not hold predict their noise best",
    )
    verb.add_argument("--label", help="what the pictures show, for a model with classes")
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.add_argument("--outline", action="store_true", help="with all tensors as a tree")
    verb.set_defaults(run=_inspect)


def _inspect(args: argparse.Namespace) -> None:
    from .. import checkpoint

    seen = checkpoint.inspect(args.file, flags_of(args))
    if not args.pictures:
        print(json.dumps(checkpoint.as_json(seen)) if args.json else checkpoint.as_text(seen, args.outline))
        return
    from ..models.calibrate import pictures_for, rank_settings

    trials = rank_settings(args.file, pictures_for(args.pictures, seen.spec), flags_of(args), args.label)
    if args.json:
        print(json.dumps([{"flags": one.flags, "error": one.error} for one in trials]))
        return
    print("mean squared error of the predicted noise, best first:")
    for one in trials:
        print(f"  {one.error:9.5f}  " + " ".join(f"--{name} {value}" for name, value in one.flags.items()))


def add_convert(verbs: Any) -> None:
    verb = verbs.add_parser(
        "convert", help="convert another program's weights to a native file; the only verb that opens pickles"
    )
    verb.add_argument("input", metavar="IN", help=".safetensors, a folder, or a pickle: .pt .pth .bin .ckpt")
    verb.add_argument("output", metavar="OUT", help="the .safetensors file to write")
    add_flags(verb)
    verb.add_argument(
        "--take",
        metavar="NAME",
        help="which state dict of a pickle that holds several (default: the moving average)",
    )
    verb.add_argument("--force", action="store_true", help="overwrite an existing file")
    verb.set_defaults(run=_convert)


def _convert(args: argparse.Namespace) -> None:
    from .. import checkpoint
    from ..convert import convert

    messages = sys.stderr if streamed(args.output) else sys.stdout  # stdout may carry the file itself
    written = convert(args.input, args.output, flags_of(args), args.take, args.force)
    print(written, file=messages)
    if streamed(args.output):
        return
    for line in checkpoint.inspect(written).remarks:
        print(f"diffusion-studio: {written.stem}: {line}", file=sys.stderr)


def open_model_path(studio: Any, args: argparse.Namespace) -> None:
    """Open --model PATH, if it is given, and set `args.model` to the model's name."""
    if getattr(args, "model_path", None):
        if args.model:
            raise OptionError(
                "model",
                f"The name {args.model!r} and --model {args.model_path} both say which model runs. Leave out "
                "one of them.",
            )
        args.model = studio.open(args.model_path, flags_of(args))


def say_remarks(studio: Any, recipe: Any) -> None:
    """Print remarks on a run's models to standard error: assumed settings, settings that are not followed,
    and words of the prompt that are not in the vocabulary.
    """
    from ..runs.unknown_words import unknown_words

    if unknown := unknown_words(recipe.model, studio.card(recipe.model).spec, recipe.each_prompt):
        print(f"diffusion-studio: {unknown}", file=sys.stderr)
    for name, lines in studio.remarks(recipe).items():
        for line in lines:
            print(f"diffusion-studio: {name}: {line}", file=sys.stderr)


def say_idle_flags(
    args: argparse.Namespace, *recipes: Recipe, varied: Collection[str] = (), **others: Any
) -> None:
    """Print which of the given flags have no effect on any of the runs, to standard error.

    `varied` are the settings that differ between the runs, which count as given. `others` are further option
    instances that flags describe, by their group's name.
    """
    from ..runs.applicability import idle_settings
    from .flags import flag_of

    for field, message in idle_settings(*recipes, **others).items():
        name = flag_of(field, vars(args)).removeprefix("--").replace("-", "_")
        if name in varied or getattr(args, name, None) is not None:
            print(
                f"diffusion-studio: {message.worded(lambda one: flag_of(one, vars(args)))}", file=sys.stderr
            )


def check_is_model(studio: Any, name: str) -> None:
    """Raise the error for a name that is no model's; a noisy classifier has an error of its own."""
    from ..checkpoint.readers import model_spec

    try:
        studio.card(name)
    except OptionError:
        model_spec(name, studio.classifiers().get(name))
        raise


def open_helpers(studio: Any, args: argparse.Namespace) -> None:
    """Open the classifier and the weaker model if they are given as paths, and set their arguments to the
    names.
    """
    for name, open_it in (("classifier", studio.open_classifier), ("weaker", studio.open)):
        text = getattr(args, name)
        if text and (
            Path(text).suffix == ".safetensors" or len(Path(text).parts) > 1 and Path(text).exists()
        ):
            setattr(args, name, open_it(text))
