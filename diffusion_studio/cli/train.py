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
    """Add the verb `train`."""
    verb = verbs.add_parser("train", help="train a model on pictures; can be stopped and resumed")
    verb.add_argument(
        "recipe", nargs="?", metavar="CONFIG.toml", help="a configuration file; flags change its settings"
    )
    where = verb.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", metavar="FOLDER", help="folder of a new run")
    where.add_argument("--resume", metavar="FOLDER", help="continue the run in this folder")
    add_options(verb, fields_of(TrainConfig))
    verb.add_argument(
        "--compile", action="store_true", help="compile the network: slower to start, faster per step"
    )
    verb.add_argument(
        "--sample-every",
        type=int,
        metavar="IMAGES",
        help="images between sample sheets (default 20000; for points a fifth of the run)",
    )
    verb.add_argument(
        "--save-every",
        type=int,
        metavar="IMAGES",
        help="images between checkpoints (default 10000; for points a fifth of the run)",
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
    signals: list[int] = []
    steps = train(
        config,
        folder,
        device=args.device,
        compile=args.compile,
        resume=bool(args.resume),
        sample_every=args.sample_every,
        save_every=args.save_every,
        asked=lambda: bool(signals),
        on_data=lambda read: print(read, file=sys.stderr, flush=True),
    )
    smooth, first = None, os.environ.get("RANK", "0") == "0"  # RANK is set by torchrun
    try:
        with (
            _stop_asked(signals),
            tqdm(total=config.images, unit="img", unit_scale=True, mininterval=1, disable=not first) as bar,
        ):
            for step in steps:
                if smooth is None:  # images of earlier sessions must not count for the speed
                    bar.initial = bar.n = bar.last_print_n = step.seen - config.batch
                    bar.unpause()
                smooth = step.loss if smooth is None else 0.98 * smooth + 0.02 * step.loss
                bar.update(step.seen - bar.n)
                bar.set_postfix(loss=f"{smooth:.4f}", lr=f"{step.lr:.1e}", refresh=False)
                if step.stop:
                    raise Stopped(signals[0]) if signals else KeyboardInterrupt  # another process was asked
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
def _stop_asked(signals: list[int]) -> Iterator[None]:
    """Append the signal's number to `signals` at the first Ctrl-C or SIGTERM, so that the current step is
    finished.

    A second signal stops at once.
    """

    def handler(number: int) -> None:
        signals.append(number)
        if len(signals) > 1:
            raise Stopped(number)

    with handled(handler):
        yield
