"""`diffusion-studio publish`: the app, or a gallery, as a Hugging Face Space."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import OptionError, StudioError, unknown
from .space import HARDWARE, write_app, write_static

ACCOUNT = {
    "cpu": "A Space on CPU needs an account that may start one: since July 2026 that is a PRO, Team or "
    "Enterprise one. With a free account publish with --hardware zero-gpu, or a gallery with --static.",
    "zero-gpu": "A free account may have two Spaces on ZeroGPU. Who visits has some minutes of GPU a day.",
    "static": "A static Space is free for every account.",
}


def add(verbs: Any) -> None:
    """Add the verb `publish`."""
    verb = verbs.add_parser("publish", help="make a Hugging Face Space of the app, or of a gallery")
    verb.add_argument("name", metavar="USER/NAME", help="the Space")
    verb.add_argument(
        "--static", metavar="FOLDER", help="publish this folder, which 'gallery' made, instead of the app"
    )
    verb.add_argument("--hardware", default="cpu", help=f"{' or '.join(HARDWARE)} (default cpu)")
    verb.add_argument("--title", default="Diffusion Studio", help="the Space's title")
    verb.add_argument("--checkpoints", metavar="FOLDER", help="the models to take (default ./checkpoints)")
    verb.add_argument("--private", action="store_true", help="visible to its owner only")
    verb.add_argument(
        "--dry-run", metavar="FOLDER", help="write what would be uploaded into this new folder, and stop"
    )
    verb.set_defaults(run=_publish)


def _publish(args: argparse.Namespace) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", args.name, re.ASCII):
        raise OptionError("name", f"A Space is named USER/NAME, got {args.name!r}.")
    if args.hardware not in HARDWARE:
        raise unknown("hardware", args.hardware, HARDWARE)
    print(ACCOUNT["static" if args.static else args.hardware])
    if args.dry_run:
        _write(args, Path(args.dry_run))
        print(args.dry_run)
        return
    with TemporaryDirectory(prefix="diffusion-studio-space-") as folder:
        _write(args, Path(folder) / "space")
        print(_upload(args, Path(folder) / "space"))


def _write(args: argparse.Namespace, folder: Path) -> None:
    if args.static:
        write_static(folder, args.name, args.title, Path(args.static))
    else:
        from ..studio import default_folder

        models = Path(args.checkpoints) if args.checkpoints else default_folder()
        write_app(folder, args.name, args.title, args.hardware, models)


def _upload(args: argparse.Namespace, folder: Path) -> str:
    """Create the Space unless it exists, and upload the folder; returns its address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    hardware: Any = None if args.static else HARDWARE[args.hardware].space
    try:
        made = api.create_repo(
            args.name,
            private=args.private,
            exist_ok=True,
            space_sdk="static" if args.static else "gradio",
            space_hardware=hardware,
            repo_type="space",
        )
        api.upload_folder(repo_id=args.name, folder_path=folder, delete_patterns="*", repo_type="space")
    except LocalTokenNotFoundError as error:
        raise StudioError("Nobody is logged in. Run: hf auth login (or set HF_TOKEN).") from error
    except (HfHubHTTPError, OSError) as error:
        raise StudioError(f"The Space {args.name} could not be written: {error}") from error
    return str(made)
