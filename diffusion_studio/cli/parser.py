"""All verbs, in the order of --help. To add one, write its function `add(verbs)` in a file here and name
it below.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from .. import __version__

VERBS = {
    "generate": "generate.add",
    "race": "compare.add_race",
    "grid": "compare.add_grid",
    "inside": "inside.add",
    "forward": "inside.add_forward",
    "models": "others.add_models",
    "inspect": "checkpoints.add_inspect",
    "convert": "checkpoints.add_convert",
    "train": "train.add",
    "evaluate": "evaluate.add_evaluate",
    "gallery": "gallery.add",
    "serve": "others.add_serve",
    "publish": "publish.add",
}


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser of `diffusion-studio`. If `verb` names a verb, only that verb is imported and added.

    The parsed arguments have a function `run(args)` that does the work. Importing all verbs would slow down
    each of them, because their options come from the engine's dataclasses.
    """
    parser = argparse.ArgumentParser(
        prog="diffusion-studio", description="Watch, understand and animate diffusion models."
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, place in VERBS.items():
        if verb in (name, None) or verb not in VERBS:
            module, add = place.split(".")
            getattr(import_module(f".{module}", __package__), add)(verbs)
    return parser


def flags_of_verb(parser: argparse.ArgumentParser, verb: str) -> frozenset[str]:
    """All flags of a verb of `build_parser`'s parser, such as --steps; empty for an unknown verb."""
    verbs = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return frozenset(verbs.choices[verb]._option_string_actions if verb in verbs.choices else ())
