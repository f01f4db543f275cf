"""All verbs, in the order of --help. To add one, write its `add(verbs)` and name it here."""

from __future__ import annotations

import argparse

from .. import __version__
from . import generate, others, train

VERBS = (generate.add, others.add_models, train.add, others.add_serve)


def build_parser() -> argparse.ArgumentParser:
    """The parser of `diffusion-studio`; what it reads has a `run(args)` that does the work."""
    parser = argparse.ArgumentParser(prog="diffusion-studio", description="Watch, understand and animate diffusion models.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in VERBS:
        add(verbs)
    return parser
