"""The weight files of a model's folder, the model's name, and its configuration files.

This module does not import torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .container import INDEX, PICKLES, SHARD, file_size, read_json, shard_files
from .facts import flattened

CLASSIFIER = "classifier.safetensors"  # written by 'train --kind classifier'
_PLACES = ("", "unet_ema", "unet")  # sub-folders that may hold the U-Net, EMA weights first
_STEMS = ("model", "diffusion_pytorch_model", "pytorch_model", "unet", "unet_ema")  # generic file names
_VARIANTS = ("ema", "fp32", "bf16", "fp16", "half", "full", "non_ema")
_STEP = re.compile(r"(checkpoints?|ckpt|global_?step|steps?|epochs?|iter(ation)?)[-_]?\d+", re.IGNORECASE)
_CACHE = re.compile(r"models--(?:.+?--)?(.+)")  # of huggingface_hub: models--OWNER--NAME/snapshots/REVISION
_NUMBERED = re.compile(r"model_\d+")  # further networks in folders of accelerate's save_state
_TRAINING_FILES = ("state.safetensors", "optimizer.safetensors")  # what a training needs to go on
_OTHER_NETWORKS = (
    "vae",
    "vqvae",
    "text_encoder",
    "text_encoder_2",
    "safety_checker",
    "controlnet",
    "image_encoder",
    "movq",
)


@dataclass(frozen=True)
class Candidate:
    """A weight file or the index of several, with its name without suffixes, and its variant ("fp16")."""

    path: Path
    stem: str
    variant: str

    @property
    def rank(self) -> tuple[Any, ...]:
        """The order of preference: EMA, then full precision, then half precision, and non-EMA last."""
        words = self.variant.split(".") if self.variant else []
        precision = next((k for k, mark in enumerate(("fp32", "bf16", "fp16"), 1) if mark in words), 0)
        unknown = any(word not in _VARIANTS for word in words)
        return (
            "non_ema" in words,
            "ema" not in words,
            unknown,
            precision,
            self.path.name.endswith(".json"),
            self.path.name,
        )


def weight_file(path: str | Path) -> Path:
    """The weight file at a path: the file itself, or the weight file of a model's folder.

    For a shard it is the index of all shards. Raises `CheckpointError` if a folder holds no weight file, or
    several that are not variants of one model.
    """
    path = Path(path)
    if not path.is_dir():
        return _index_of_shard(path)
    root = _snapshot(_only_repository(path))
    for place in _PLACES:
        if found := _candidates(root / place):
            return _choose(root / place, found)
    return _search_subfolders(root)


def listed_file(folder: Path) -> Path | None:
    """The weight file of a model's folder, or None if the folder holds no model.

    Raises `CheckpointError` if the folder holds several models.
    """
    root = _snapshot(folder)
    found = next((found for place in _PLACES if (found := _candidates(root / place))), [])
    found = [one for one in found if one.path.name != CLASSIFIER]
    return _choose(folder, found) if found else None


def name_of(path: Path) -> str:
    """The name of a model: that of its file, or of its folder or repository if that name is generic."""
    whole = Path(os.path.abspath(path))  # links are not resolved: those of a cache lead to names of hashes
    stem, _ = _stem_and_variant(whole.name)
    if stem not in _STEMS:
        return stem
    for part in (one.name for one in whole.parents):
        if part and part not in (*_STEMS, *_PLACES) and not _is_revision(whole, part):
            found = _CACHE.fullmatch(part)
            return found[1] if found else part
    return stem


def folder_name(folder: Path) -> str:
    """The name of a model's folder: its own, or that of the repository if it is a folder of a cache."""
    found = _CACHE.fullmatch(folder.name)
    return found[1] if found else folder.name


def notes_on(path: Path) -> list[str]:
    """Notes about other weight files beside one that was chosen automatically."""
    stem, _ = _stem_and_variant(path.name)
    alike = [one for one in _candidates(path.parent) if one.stem == stem]
    notes = []
    if len(alike) > 1 and min(alike, key=lambda one: one.rank).path == path:
        others = ", ".join(one.path.name for one in alike if one.path != path)
        notes.append(f"its folder holds variants of this model: {path.name} is used, and not {others}")
    others = [one.path.name for one in _candidates(path.parent) if _NUMBERED.fullmatch(one.stem)]
    if stem == "model" and others:
        notes.append(
            f"{path.name} is used, and not {', '.join(others[:5])}: accelerate numbers the networks of a "
            "training, and one of them may hold the EMA weights"
        )
    if path.parent.name == "unet_ema" and _candidates(path.parent.with_name("unet")):
        notes.append("unet_ema, with the EMA weights, is used, and not unet")
    return notes


def configurations(path: Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags, and the configuration files where other programs put them, by the fields of `Source`."""
    found: dict[str, Any] = {"flags": flattened(flags)}
    folders = [path.parent, *higher_folders(path.parent)]
    for folder in folders:
        inside = folder / "unet" if folder is not path.parent else folder
        for config in (inside / "config.json", folder / "config.json"):
            if "config" not in found and config.is_file() and _of_unet(given := read_json(config)):
                found["config"] = {name: value for name, value in given.items() if not name.startswith("_")}
        for scheduler in (folder / "scheduler_config.json", folder / "scheduler" / "scheduler_config.json"):
            if "scheduler" not in found and scheduler.is_file():
                found["scheduler"] = read_json(scheduler)
    if (path.parent / "args.json").is_file():
        found["args"] = flattened(read_json(path.parent / "args.json"))
    return found


def bytes_of(path: Path) -> int:
    """The size of a weight file, or of all shards of an index."""
    return sum(file_size(one) for one in shard_files(path))


def modified_ns(path: Path) -> int:
    """The latest modification time of a weight file and its shards, in nanoseconds."""
    return max(one.stat().st_mtime_ns for one in {path, *shard_files(path)})


def higher_folders(folder: Path) -> Iterator[Path]:
    """The parent folders that belong to the same model, such as a pipeline's or a training's folder."""
    whole = Path(os.path.abspath(folder))
    while whole.name.startswith("unet") or _STEP.fullmatch(whole.name) or whole.name == "checkpoints":
        whole = whole.parent
        yield whole


def _of_unet(given: Mapping[str, Any]) -> bool:
    return "block_out_channels" in given or given.get("_class_name") == "UNet2DModel"


def _stem_and_variant(name: str) -> tuple[str, str]:
    """A weight file's name without suffixes, and its variant: fp16 for model.fp16.safetensors."""
    if (found := INDEX.fullmatch(name)) is not None:
        return (found[1], found[2]) if found[2] else _split_variant(found[1])
    return _split_variant(
        name.removesuffix(".safetensors") if name.endswith(".safetensors") else Path(name).stem
    )


def _split_variant(stem: str) -> tuple[str, str]:
    first, _, rest = stem.partition(".")
    if rest and (first in _STEMS or all(word in _VARIANTS for word in rest.split("."))):
        return first, rest
    return stem, ""


def _candidates(folder: Path) -> list[Candidate]:
    """The weight files of a folder, with the indices of those in several shards."""
    if not folder.is_dir():
        return []
    try:
        names = sorted(
            one.name
            for one in folder.iterdir()
            if one.is_file() and not one.name.startswith(".") and one.name not in _TRAINING_FILES
        )
    except OSError as error:
        raise CheckpointError(f"The folder {folder} cannot be read ({error.strerror}).") from error
    shards = {name for name in names if SHARD.fullmatch(name)}
    return [
        Candidate(folder / name, *_stem_and_variant(name))
        for name in names
        if (name.endswith(".safetensors") and name not in shards) or INDEX.fullmatch(name)
    ] or [Candidate(folder / name, *_stem_and_variant(name)) for name in sorted(shards)[:1]]


def _choose(folder: Path, found: list[Candidate]) -> Path:
    """The weight file to use: the only one, or the best variant of the one with a generic name.

    Raises `CheckpointError` if several files have names of their own.
    """
    stems = {one.stem for one in found}
    stem = next((one for one in _STEMS if one in stems), None) if len(stems) > 1 else stems.pop()
    if stem is None:
        shown = ", ".join(one.path.name for one in found[:5]) + (
            f" and {len(found) - 5} more" if len(found) > 5 else ""
        )
        raise CheckpointError(
            f"{folder} holds {len(found)} weight files ({shown}). Give the path of the one that is meant."
        )
    return _index_of_shard(min((one for one in found if one.stem == stem), key=lambda one: one.rank).path)


def _index_of_shard(path: Path) -> Path:
    """The index of the model that a shard belongs to; any other path unchanged."""
    found = SHARD.fullmatch(path.name)
    if found is None or not path.is_file():
        return path
    for one in sorted(path.parent.glob("*.json")):
        if INDEX.fullmatch(one.name) and path.name in {file.name for file in shard_files(one)}:
            return one
    raise CheckpointError(
        f"{path.name} is one of the {int(found[2])} parts of a model, and their index "
        f"({found[1]}.safetensors.index.json) is missing in its folder. Put all parts and the index into one "
        "folder."
    )


def _search_subfolders(root: Path) -> Path:
    """The weight file of the only sub-folder that has one.

    Raises `CheckpointError` if none or several have.
    """
    inner = sorted(one for one in root.iterdir() if one.is_dir() and one.name not in _OTHER_NETWORKS)
    found = {}
    for folder in inner:
        for place in _PLACES:
            if there := _candidates(folder / place):
                found[folder / place] = there
                break
    if len(found) == 1:
        return _choose(*next(iter(found.items())))
    if found:
        shown = ", ".join(one.relative_to(root).as_posix() for one in list(found)[:5]) + (
            f" and {len(found) - 5} more" if len(found) > 5 else ""
        )
        raise CheckpointError(
            f"{root} holds weights in {len(found)} folders ({shown}). Give the path of the one that is meant."
        )
    if pickles := sorted(
        one for one in [*root.glob("*"), *root.glob("unet/*")] if one.suffix.lower() in PICKLES
    ):
        held = (
            f"a pickle, {pickles[0].name}. Make a safetensors file of it"
            if len(pickles) == 1
            else (
                f"pickles: {', '.join(one.name for one in pickles[:5])}. Make a safetensors file of the one "
                "that is meant"
            )
        )
        raise CheckpointError(
            f"{root} holds only {held} with: "
            f"diffusion-studio convert {pickles[0]} {pickles[0].with_suffix('.safetensors')}"
        )
    raise CheckpointError(
        f"There is no weight file in {root}. A model's folder holds a .safetensors file, such as "
        "model.safetensors, or the index of several, in itself, in unet_ema/ or in unet/."
    )


def _only_repository(folder: Path) -> Path:
    """The only repository in huggingface_hub's cache, if `folder` is a cache; else the folder itself.

    Raises `CheckpointError` for a cache of several repositories.
    """
    try:
        models = sorted(one for one in folder.glob("models--*") if (one / "snapshots").is_dir())
    except OSError:
        return folder
    if len(models) < 2:
        return models[0] if models else folder
    shown = ", ".join(one.name for one in models[:5]) + (
        f" and {len(models) - 5} more" if len(models) > 5 else ""
    )
    raise CheckpointError(
        f"{folder} is a cache of {len(models)} repositories ({shown}). Give the folder of the one that is "
        "meant."
    )


def _snapshot(folder: Path) -> Path:
    """The revision "main" if `folder` is a repository in huggingface_hub's cache; else the folder itself."""
    snapshots = folder / "snapshots"
    if not _CACHE.fullmatch(folder.name) or not snapshots.is_dir():
        return folder
    main = folder / "refs" / "main"
    if main.is_file() and file_size(main) < 200:
        named = main.read_text("utf-8", "replace").strip()
        if re.fullmatch(r"[\w-]+", named) and (snapshots / named).is_dir():
            return snapshots / named
    inner = sorted(one for one in snapshots.iterdir() if one.is_dir())
    if len(inner) == 1:
        return inner[0]
    shown = ", ".join(one.name for one in inner[:5]) or "none"
    raise CheckpointError(
        f"{folder} holds {len(inner)} revisions of its repository ({shown}). Give the folder of the one that "
        "is meant, or download the repository again."
    )


def _is_revision(whole: Path, part: str) -> bool:
    """Whether a part of the path is a cache's folder "snapshots", or a revision in it."""
    if part == "snapshots":
        return True
    parts = whole.parts
    at = parts.index(part)
    return at > 1 and parts[at - 1] == "snapshots" and _CACHE.fullmatch(parts[at - 2]) is not None
