"""The verbs about weight files: inspect and convert; and models and classifiers given by their path."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..files import streamed

_FLAGS_HELP = (
    "what the file cannot say, in its origin's own flag names, as one text: \"--num_heads 4 "
    '--diffusion_steps 4000"; '
    "an args.json beside the file does the same"
)


def add_flags(verb: Any) -> None:
    """The option --flags."""
    verb.add_argument("--flags", metavar="TEXT", help=_FLAGS_HELP)


def flags_of(args: argparse.Namespace) -> dict[str, str]:
    """The flags that were given, by name."""
    from ..checkpoint.facts import parse_flags

    return parse_flags(args.flags) if args.flags else {}


def add_inspect(verbs: Any) -> None:
    verb = verbs.add_parser(
        "inspect", help="say what a weight file or a model's folder is, reading its header only"
    )
    verb.add_argument("file", help="a .safetensors file, or a folder with one")
    add_flags(verb)
    verb.add_argument(
        "--pictures",
        metavar="FOLDER",
        help="a few pictures like those it was trained on: measures which of the "
        "settings that the file cannot tell predict their noise best",
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
        "convert", help="make a native file of another program's weights; the only verb that opens pickles"
    )
    verb.add_argument("input", metavar="IN", help=".safetensors, a folder, or a pickle: .pt .pth .bin .ckpt")
    verb.add_argument("output", metavar="OUT", help="the .safetensors file to write")
    add_flags(verb)
    verb.add_argument(
        "--take",
        metavar="NAME",
        help="which state dict of a pickle that holds several (default: the moving average)",
    )
    verb.add_argument("--force", action="store_true", help="write over a file that is there")
    verb.set_defaults(run=_convert)


def _convert(args: argparse.Namespace) -> None:
    from .. import checkpoint
    from ..convert import convert

    said = sys.stderr if streamed(args.output) else sys.stdout  # the file may be what stdout takes
    made = convert(args.input, args.output, flags_of(args), args.take, args.force)
    print(made, file=said)
    if streamed(args.output):
        return
    for line in checkpoint.inspect(made).remarks:
        print(f"diffusion-studio: {made.stem}: {line}", file=sys.stderr)


def opened(studio: Any, args: argparse.Namespace) -> None:
    """Let --model PATH take the place of a model's name."""
    if getattr(args, "model_path", None):
        if args.model:
            raise OptionError(
                "model",
                f"The name {args.model!r} and --model {args.model_path} both say which model runs. Leave out "
                "one of them.",
            )
        args.model = studio.open(args.model_path, flags_of(args))


def say_remarks(studio: Any, recipe: Any) -> None:
    """Print what was assumed of a run's models, what of them is not followed, and which words of the prompt
    the model does not know, to standard error.
    """
    from ..runs.unknown_words import unknown_words

    if said := unknown_words(recipe.model, studio.card(recipe.model).spec, recipe.each_prompt):
        print(f"diffusion-studio: {said}", file=sys.stderr)
    for name, lines in studio.remarks(recipe).items():
        for line in lines:
            print(f"diffusion-studio: {name}: {line}", file=sys.stderr)


def check_draws(studio: Any, name: str) -> None:
    """Raise for a name that is no model's; for a noisy classifier's what `load` says of one."""
    from ..checkpoint.readers import drawing

    try:
        studio.card(name)
    except OptionError:
        drawing(name, studio.classifiers().get(name))
        raise


def open_helpers(studio: Any, args: argparse.Namespace) -> None:
    """Let a path take the place of the classifier's or the weaker model's name."""
    for name, open_it in (("classifier", studio.open_classifier), ("weaker", studio.open)):
        text = getattr(args, name)
        if text and (
            Path(text).suffix == ".safetensors" or len(Path(text).parts) > 1 and Path(text).exists()
        ):
            setattr(args, name, open_it(text))
