"""`diffusion-studio models` and `diffusion-studio serve`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..errors import OptionError
from .flags import add_machine, studio_of


def add_models(verbs: Any) -> None:
    """The verb `models`."""
    verb = verbs.add_parser("models", help="list the models")
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.add_argument("--checkpoints", metavar="FOLDER", help="where the models lie (default ./checkpoints)")
    verb.set_defaults(run=_models)


def _models(args: argparse.Namespace) -> None:
    from ..studio import Studio

    studio = Studio(args.checkpoints)
    cards = studio.models()
    if args.json:
        print(json.dumps([{"name": c.name, "path": str(c.path), **json.loads(c.spec.to_json())} for c in cards]))
    for card in cards if not args.json else ():
        print(f"{card.name}: {card.spec.form}, {card.spec.schedule.timesteps} timesteps; "
              f"labels: {', '.join(card.conditions) or 'none'}" + ("; reads prompts" if card.spec.takes_text else ""))
    for name, spec in studio.classifiers().items() if not args.json else ():
        colour = "grey" if spec.network.in_channels == 1 else "RGB"
        print(f"{name}: a noisy classifier to guide with, {spec.network.size}x{spec.network.size} {colour}; "
              f"labels: {', '.join(spec.labels)}")
    for name, why in studio.problems().items():
        print(f"diffusion-studio: {name} cannot be used: {why}", file=sys.stderr)
    if not cards:
        raise OptionError(f"No usable model in {studio.folder}. A model is a folder with a model.safetensors in it.")


def add_serve(verbs: Any) -> None:
    """The verb `serve`."""
    verb = verbs.add_parser("serve", help="open the app in a browser (the same as python app.py)")
    verb.add_argument("--host", help="address to listen on (default 127.0.0.1, or GRADIO_SERVER_NAME)")
    verb.add_argument("--port", type=int, help="port to listen on (default from 7860 up, or GRADIO_SERVER_PORT)")
    verb.add_argument("--share", action="store_true", help="make a public link through Gradio's relay")
    verb.add_argument("--open", action="store_true", help="open a browser window")
    verb.add_argument("--models", action="append", metavar="FOLDER", help="a folder whose checkpoints may be chosen in the app; "
                      "may be given several times")
    verb.add_argument("--hosted", action=argparse.BooleanOptionalAction, default=None, help="strangers may come: smaller uploads, "
                      "each visitor's own, and no training (default: in a Hugging Face Space, and with --share)")
    verb.add_argument("--max-upload", type=int, metavar="MB", help="largest file that may be dropped in (default 20000; hosted 600)")
    verb.add_argument("--allow-training", action=argparse.BooleanOptionalAction, default=None, help="the Train tab (default: "
                      "unless hosted, where it is bounded)")
    verb.add_argument("--runs", default="runs", metavar="FOLDER", help="where training runs are kept (default ./runs)")
    add_machine(verb)
    verb.set_defaults(run=_serve)


def _serve(args: argparse.Namespace) -> None:
    from ..ui.hosting import hosting

    allowed = hosting(True if args.share and args.hosted is None else args.hosted, args.models, args.max_upload,
                      args.allow_training, args.runs)
    from ..ui.shell import serve

    serve(studio_of(args), args.host, args.port, args.share, args.open, allowed)
