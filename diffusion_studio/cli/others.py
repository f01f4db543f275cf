"""`diffusion-studio models` and `diffusion-studio serve`."""

from __future__ import annotations

import argparse
import errno
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from ..errors import OptionError
from .flags import add_machine, studio_of


def add_models(verbs: Any) -> None:
    """Add the verb `models`."""
    verb = verbs.add_parser("models", help="list the models")
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.add_argument("--checkpoints", metavar="FOLDER", help="where the models lie (default ./checkpoints)")
    verb.set_defaults(run=_models)


def _models(args: argparse.Namespace) -> None:
    from ..studio import CLASSIFIER_FILE, Studio

    studio = Studio(args.checkpoints)
    cards, classifiers = studio.models(), studio.classifiers()
    if args.json:
        print(
            json.dumps(
                [
                    *(_entry("model", card.name, card.path, card.spec) for card in cards),
                    *(
                        _entry("classifier", name, studio.folder / name / CLASSIFIER_FILE, spec)
                        for name, spec in classifiers.items()
                    ),
                ]
            )
        )
    for card in cards if not args.json else ():
        print(
            f"{card.name}: {card.spec.form}, {card.spec.schedule.timesteps} timesteps; "
            f"labels: {', '.join(card.conditions) or 'none'}"
            + ("; reads prompts" if card.spec.takes_text else "")
        )
    for name, spec in classifiers.items() if not args.json else ():
        colour = "grey" if spec.network.in_channels == 1 else "RGB"
        print(
            f"{name}: a noisy classifier to guide with, {spec.network.size}x{spec.network.size} {colour}; "
            f"labels: {', '.join(spec.labels)}"
        )
    for name, why in studio.problems().items():
        print(f"diffusion-studio: {name} cannot be used: {why}", file=sys.stderr)
    if not cards:
        raise OptionError(
            "model",
            f"No usable model in {studio.folder}. A model is a folder with a model.safetensors in it.",
        )


def _entry(kind: str, name: str, path: Path, spec: Any) -> dict[str, Any]:
    """The JSON of a header, with the folder's name as "name", "path", and "kind" ("model" or
    "classifier").
    """
    return {**json.loads(spec.to_json()), "name": name, "path": str(path), "kind": kind}


def add_serve(verbs: Any) -> None:
    """Add the verb `serve`."""
    verb = verbs.add_parser("serve", help="open the app in a browser (the same as python app.py)")
    verb.add_argument("--host", help="address to listen on (default 127.0.0.1, or GRADIO_SERVER_NAME)")
    verb.add_argument(
        "--port", type=int, help="port to listen on (default from 7860 up, or GRADIO_SERVER_PORT)"
    )
    verb.add_argument("--share", action="store_true", help="make a public link through Gradio's relay")
    verb.add_argument("--open", action="store_true", help="open a browser window")
    verb.add_argument(
        "--window",
        action="store_true",
        help="show the page in a window of its own and end with it; needs pywebview (the extra window)",
    )
    verb.add_argument(
        "--models",
        action="append",
        metavar="FOLDER",
        help="a folder whose checkpoints may be chosen in the app; may be given several times",
    )
    verb.add_argument(
        "--hosted",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="strangers may come: smaller uploads, "
        "each visitor's own, and no training (default: in a Hugging Face Space, and with --share)",
    )
    verb.add_argument(
        "--max-upload",
        type=int,
        metavar="MB",
        help="largest file that may be dropped in (default 20000; hosted 600)",
    )
    verb.add_argument(
        "--limit",
        type=float,
        metavar="SECONDS",
        help="the most computing that one run may take (default: any; hosted 300)",
    )
    verb.add_argument(
        "--allow-training",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="the Train tab (default: unless hosted, where it is bounded)",
    )
    verb.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where training runs are kept (default ./runs)"
    )
    add_machine(verb)
    verb.set_defaults(run=_serve)


def _serve(args: argparse.Namespace) -> None:
    _check_address(args.host, _port(args.port))
    from ..ui.hosting import hosting
    from ..ui.window import check_window

    if args.window:
        check_window()
    allowed = hosting(
        True if args.share and args.hosted is None else args.hosted,
        args.models,
        args.max_upload,
        args.allow_training,
        args.runs,
        args.limit,
    )
    from ..ui.proxy import without_proxy
    from ..ui.scratch import own_folder

    own_folder()
    with without_proxy():
        from ..ui.shell import serve
    from ..ui.zero_gpu import on_zero_gpu

    if on_zero_gpu() and args.device == "auto":
        args.device = "cpu"  # what torch reports there is emulated
    serve(studio_of(args), args.host, args.port, args.share, args.open, allowed, args.window)


def _port(port: int | None) -> int | None:
    """The port to listen on; None to search upwards from GRADIO_SERVER_PORT. Raises `OptionError`."""
    if port is not None:
        if not 1 <= port <= 65535:
            raise OptionError(
                "port",
                f"must be a whole number from 1 to 65535, got {port}. Choose another, or leave it out.",
            )
        return port
    for name in ("GRADIO_SERVER_PORT", "GRADIO_NUM_PORTS"):  # Gradio reads them when it is imported
        given = os.environ.get(name)
        if given is None:
            continue
        if not given.strip():
            del os.environ[name]
        elif not (given.strip().isascii() and given.strip().isdecimal() and 1 <= int(given) <= 65535):
            raise OptionError(
                name, f"must be a whole number from 1 to 65535, got {given!r}. Change it, or unset it."
            )
    return None


def _check_address(host: str | None, port: int | None) -> None:
    """Raise `OptionError` if the app cannot listen there, before it is loaded. Without a port only the
    host is checked.
    """
    usual = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    for one in dict.fromkeys([host or usual, usual]):  # Gradio tries the port there, too
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                one.strip("[]"), port or 0, type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family, kind) as probe:
                if os.name == "posix":  # elsewhere it would take what is taken
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except (OSError, UnicodeError) as error:
            number = getattr(error, "errno", None)
            if number == errno.EADDRINUSE:
                raise OptionError(
                    "port", f"Port {port} is taken. Choose another with --port, or leave it out."
                ) from error
            if number == errno.EACCES:
                raise OptionError(
                    "port",
                    f"Port {port} may not be opened by you. Choose one from 1024 up with --port, or leave it "
                    "out.",
                ) from error
            raise OptionError(
                "host",
                f"{one!r} is no address of this computer ({getattr(error, 'strerror', None) or error}). "
                "Choose another with --host: 127.0.0.1 for this computer alone, 0.0.0.0 for all that can "
                "reach it.",
            ) from error
