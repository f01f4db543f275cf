"""`diffusion-studio train`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..device import DEVICES
from ..files.signals import Stopped, handled
from ..options import fields_of
from ..training.config import TrainConfig
from .flags import add_options, given


def add(verbs: Any) -> None:
    """The verb `train`."""
    verb = verbs.add_parser("train", help="train a model on pictures; can be stopped and resumed")
    verb.add_argument(
        "recipe", nargs="?", metavar="RECIPE.toml", help="settings from a file; flags change them"
    )
    where = verb.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", metavar="FOLDER", help="folder of a new run")
    where.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    add_options(verb, fields_of(TrainConfig))
    verb.add_argument(
        "--compile", action="store_true", help="compile the network: slow to start, faster per step"
    )
    verb.add_argument(
        "--sample-every",
        type=int,
        metavar="IMAGES",
        help="a sample sheet (default 20000; of points a fifth of the run)",
    )
    verb.add_argument(
        "--save-every",
        type=int,
        metavar="IMAGES",
        help="a checkpoint (default 10000; of points a fifth of the run)",
    )
    verb.add_argument("--device", default="auto", help=f"one of {', '.join(DEVICES)} (default auto)")
    verb.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from tqdm import tqdm

    from ..training.config_file import read_config, train_config
    from ..training.loop import train
    from ..training.run import RunFolder

    changes = given(args, fields_of(TrainConfig))
    folder = Path(args.resume or args.out)
    base = (
        read_config(args.recipe)
        if args.recipe
        else RunFolder(folder).config()
        if args.resume
        else train_config(**{name: changes[name] for name in ("data", "kind") if name in changes})
    )
    config = replace(base, **changes)
    asked: list[int] = []
    steps = train(
        config,
        folder,
        device=args.device,
        compile=args.compile,
        resume=bool(args.resume),
        sample_every=args.sample_every,
        save_every=args.save_every,
        asked=lambda: bool(asked),
        on_data=lambda read: print(read, file=sys.stderr, flush=True),
    )
    smooth, first = None, os.environ.get("RANK", "0") == "0"  # torchrun's number of this process
    try:
        with (
            _stop_asked(asked),
            tqdm(total=config.images, unit="img", unit_scale=True, mininterval=1, disable=not first) as bar,
        ):
            for step in steps:
                if smooth is None:  # what a resumed run had seen before says nothing of its speed
                    bar.initial = bar.n = bar.last_print_n = step.seen - config.batch
                    bar.unpause()
                smooth = step.loss if smooth is None else 0.98 * smooth + 0.02 * step.loss
                bar.update(step.seen - bar.n)
                bar.set_postfix(loss=f"{smooth:.4f}", lr=f"{step.lr:.1e}", refresh=False)
                if step.stop:
                    raise Stopped(asked[0]) if asked else KeyboardInterrupt  # another process was asked
    except KeyboardInterrupt:
        steps.close()
        if first:
            print(
                f"\nStopped and saved. Go on with: diffusion-studio train --resume {folder}", file=sys.stderr
            )
        raise
    if first:
        print(RunFolder(folder).export_path(config.kind))


@contextmanager
def _stop_asked(asked: list[int]) -> Iterator[None]:
    """Fills `asked` at the first Ctrl-C or polite kill, so that the step under way is finished.

    A second one is not patient.
    """

    def handler(number: int) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise Stopped(number)

    with handled(handler):
        yield
