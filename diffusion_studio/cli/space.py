"""The files of a Hugging Face Space: front matter, requirements for its hardware, and only what is needed
to run.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from .. import files
from ..errors import OptionError
from ..studio import FIRST

PYTHON = "3.12"
SHORT = "Watch a diffusion model turn noise into pictures"  # at most 60 letters
COLOURS = ("indigo", "gray")
TAGS = ("diffusion", "education", "visualization", "unet")
ZERO_TORCH = "2.11.0"  # ZeroGPU takes 2.8.0, 2.9.1, 2.10.0 and 2.11.0
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_MODEL_FILES = ("model.safetensors", "classifier.safetensors", "card.md", "recipe.toml")
_LINKED = re.compile(r"\]\(([\w.-]+\.(?:png|gif))\)")
_FIRST_ON_ZERO = "import spaces  # noqa: F401  before torch, which it changes\n\n"
_APP = '''"""Diffusion Studio as a Space: the same as `diffusion-studio serve`."""

{first}import sys

from diffusion_studio.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", "--host", "0.0.0.0"]))
'''


@dataclass(frozen=True)
class Hardware:
    """A kind of machine: its name at Hugging Face, and the requirement lines that install torch there."""

    space: str
    torch: tuple[str, ...]


def _cpu_torch() -> tuple[str, ...]:
    """The installed torch version, built for CPUs: the default build brings gigabytes of CUDA libraries."""
    return (f"--extra-index-url {CPU_INDEX}", f"torch=={version('torch').partition('+')[0]}+cpu")


HARDWARE = {"cpu": Hardware("cpu-basic", ()), "zero-gpu": Hardware("zero-a10g", (f"torch=={ZERO_TORCH}",))}


def write_app(folder: Path, name: str, title: str, hardware: str, models: Path) -> None:
    """Write the Space of the app into a new folder. Raises `OptionError` if there is no model."""
    _new(folder)
    package = Path(__file__).resolve().parents[1]
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi")
    shutil.copytree(package, folder / package.name, ignore=unwanted)
    found = [one for one in sorted(models.iterdir()) if one.is_dir()] if models.is_dir() else []
    for one in found:
        _copy_model(one, folder / "checkpoints" / one.name)
    if not any((folder / "checkpoints").glob("*/model.safetensors")):
        raise OptionError(
            "checkpoints", f"There is no model in {models}. Name a folder of models with --checkpoints."
        )
    files.write_text(folder / "app.py", _APP.format(first=_FIRST_ON_ZERO if hardware == "zero-gpu" else ""))
    files.write_text(folder / "requirements.txt", requirements(hardware))
    thumbnail = _thumbnail(folder)
    front = {
        "title": title,
        "emoji": "\U0001f300",
        "colorFrom": COLOURS[0],
        "colorTo": COLOURS[1],
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "python_version": PYTHON,
        "app_file": "app.py",
        "short_description": SHORT,
        "tags": list(TAGS),
        "license": "apache-2.0",
    }
    if thumbnail:
        front["thumbnail"] = f"https://huggingface.co/spaces/{name}/resolve/main/{thumbnail}"
    about = f"# {title}\n\nWatch a diffusion model turn noise into pictures, step by step.\n"
    files.write_text(folder / "README.md", front_matter(front) + about)


def write_static(folder: Path, name: str, title: str, site: Path) -> None:
    """Write a static Space of a gallery into a new folder. Raises `OptionError` if `site` is no gallery."""
    if not (site / "index.html").is_file():
        raise OptionError(
            "static",
            f"There is no index.html in {site}. Make one: diffusion-studio gallery FILES --out {site}.",
        )
    _new(folder)
    shutil.copytree(site, folder, dirs_exist_ok=True)
    front = {
        "title": title,
        "emoji": "\U0001f300",
        "colorFrom": COLOURS[0],
        "colorTo": COLOURS[1],
        "sdk": "static",
        "app_file": "index.html",
        "short_description": "Runs of diffusion models that play",
        "tags": list(TAGS),
    }
    files.write_text(folder / "README.md", front_matter(front) + f"# {title}\n")


def requirements(hardware: str) -> str:
    """The installed versions of the dependencies, and torch for the hardware.

    Gradio is pinned by sdk_version in the front matter; a second pin could contradict it.
    """
    lines = [*(HARDWARE[hardware].torch or _cpu_torch())]
    for name in _dependencies():
        if name not in ("torch", "gradio"):
            lines.append(f"{name}=={version(name)}")
    return "\n".join(lines) + "\n"


def front_matter(fields: dict[str, Any]) -> str:
    """YAML between two lines of dashes. Texts are quoted, because a title may hold a colon."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, list):
            lines += [f"{name}:", *(f"- {one}" for one in value)]
        else:
            quoted = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            lines.append(f'{name}: "{quoted}"')
    return "---\n" + "\n".join(lines) + "\n---\n\n"


def _dependencies() -> list[str]:
    try:
        listed = requires("diffusion-studio") or []
    except PackageNotFoundError:
        listed = []
    names = [one[0] for text in listed if "extra ==" not in text and (one := re.match(r"[\w-]+", text))]
    return names or ["torch", "gradio", "numpy", "pillow", "imageio", "imageio-ffmpeg", "safetensors", "tqdm"]


def _new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError("dry_run", f"{folder} is there already and is not empty. Name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)


def _copy_model(model: Path, to: Path) -> None:
    """Copy the weights, and the card with the pictures that it links."""
    names = [name for name in _MODEL_FILES if (model / name).is_file()]
    if not {"model.safetensors", "classifier.safetensors"} & {*names}:
        return
    if "card.md" in names:
        linked = _LINKED.findall((model / "card.md").read_text("utf-8"))
        names += [one for one in dict.fromkeys(linked) if (model / one).is_file()]
    to.mkdir(parents=True)
    for name in names:
        shutil.copyfile(model / name, to / name)


def _thumbnail(folder: Path) -> str:
    """The path in the Space of a model's sample picture; empty if there is none."""
    found = sorted((folder / "checkpoints").glob("*/samples.png"), key=lambda one: one.parent.name != FIRST)
    return found[0].relative_to(folder).as_posix() if found else ""
