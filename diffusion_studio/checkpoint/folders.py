"""Which files of a folder are a model's weights, what the model is called, and where its configurations
lie. No torch.
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

CLASSIFIER = "classifier.safetensors"  # of a noisy classifier that 'train --kind classifier' wrote
_PLACES = ("", "unet_ema", "unet")  # where a folder has its U-Net, an average of the weights (EMA) first
_STEMS = ("model", "diffusion_pytorch_model", "pytorch_model", "unet", "unet_ema")  # names that say nothing
_MARKS = ("ema", "fp32", "bf16", "fp16", "half", "full", "non_ema")
_STEP = re.compile(r"(checkpoints?|ckpt|global_?step|steps?|epochs?|iter(ation)?)[-_]?\d+", re.IGNORECASE)
_CACHE = re.compile(r"models--(?:.+?--)?(.+)")  # of huggingface_hub: models--OWNER--NAME/snapshots/REVISION
_NUMBERED = re.compile(r"model_\d+")  # further networks that accelerate's save_state writes
_NO_MODELS = ("state.safetensors", "optimizer.safetensors")  # what a training needs to go on
_OTHERS = (
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
    """One weight file, or the index of several: its name without suffixes, and the mark of its variant
    (fp16, ...).
    """

    path: Path
    stem: str
    variant: str

    @property
    def rank(self) -> tuple[Any, ...]:
        """Averaged weights first, then those of full precision, then in halves; those before averaging
        last.
        """
        words = self.variant.split(".") if self.variant else []
        precision = next((k for k, mark in enumerate(("fp32", "bf16", "fp16"), 1) if mark in words), 0)
        unknown = any(word not in _MARKS for word in words)
        return (
            "non_ema" in words,
            "ema" not in words,
            unknown,
            precision,
            self.path.name.endswith(".json"),
            self.path.name,
        )


def weight_file(path: str | Path) -> Path:
    """The weight file at a path: itself, or the one that a model's folder holds; of several shards, their
    index.

    Raises `CheckpointError` where a folder has none, or several that are not variants of one model.
    """
    path = Path(path)
    if not path.is_dir():
        return _whole(path)
    root = _snapshot(_repository(path))
    for place in _PLACES:
        if found := _candidates(root / place):
            return _best(root / place, found)
    return _deeper(root)


def listed_file(folder: Path) -> Path | None:
    """The weight file by which a folder is known as a model's, or None where it is not one.

    Raises `CheckpointError` where it cannot be told which of several is meant.
    """
    root = _snapshot(folder)
    found = next((found for place in _PLACES if (found := _candidates(root / place))), [])
    found = [one for one in found if one.path.name != CLASSIFIER]
    return _best(folder, found) if found else None


def name_of(path: Path) -> str:
    """What a model is called: its file, or its folder where the file is called as all of them are, or its
    repository.
    """
    whole = Path(
        os.path.abspath(path)
    )  # links are not followed: a cache's lead to files that are called by hashes
    stem, _ = _parsed(whole.name)
    if stem not in _STEMS:
        return stem
    for part in (one.name for one in whole.parents):
        if part and part not in (*_STEMS, *_PLACES) and not _is_revision(whole, part):
            found = _CACHE.fullmatch(part)
            return found[1] if found else part
    return stem


def folder_name(folder: Path) -> str:
    """What a model's folder is called: its name, or that of the repository that a cache's folder holds."""
    found = _CACHE.fullmatch(folder.name)
    return found[1] if found else folder.name


def notes_on(path: Path) -> list[str]:
    """What else was there to choose from beside a weight file, where it is the one that is chosen by
    itself.
    """
    stem, _ = _parsed(path.name)
    alike = [one for one in _candidates(path.parent) if one.stem == stem]
    notes = []
    if len(alike) > 1 and min(alike, key=lambda one: one.rank).path == path:
        others = ", ".join(one.path.name for one in alike if one.path != path)
        notes.append(f"its folder holds variants of this model: {path.name} is taken, and not {others}")
    others = [one.path.name for one in _candidates(path.parent) if _NUMBERED.fullmatch(one.stem)]
    if stem == "model" and others:
        notes.append(
            f"{path.name} is taken, and not {', '.join(others[:5])}: accelerate numbers the networks of a "
            "training, and an average of the weights (EMA) may be among them"
        )
    if path.parent.name == "unet_ema" and _candidates(path.parent.with_name("unet")):
        notes.append("unet_ema, the average of the weights, is taken, and not unet")
    return notes


def configurations(path: Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The configurations that lie where the layouts and their trainers put them."""
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


def changed(path: Path) -> int:
    """When a weight file or any of its shards was changed last, in nanoseconds."""
    return max(one.stat().st_mtime_ns for one in {path, *shard_files(path)})


def higher_folders(folder: Path) -> Iterator[Path]:
    """The folders above that belong to the same model: of a pipeline's unet, and of a training's step."""
    whole = Path(os.path.abspath(folder))
    while whole.name.startswith("unet") or _STEP.fullmatch(whole.name) or whole.name == "checkpoints":
        whole = whole.parent
        yield whole


def _of_unet(given: Mapping[str, Any]) -> bool:
    return "block_out_channels" in given or given.get("_class_name") == "UNet2DModel"


def _parsed(name: str) -> tuple[str, str]:
    """A weight file's name without suffixes, and its variant: diffusion_pytorch_model.fp16.safetensors ->
    fp16.
    """
    if (found := INDEX.fullmatch(name)) is not None:
        return (found[1], found[2]) if found[2] else _marked(found[1])
    return _marked(name.removesuffix(".safetensors") if name.endswith(".safetensors") else Path(name).stem)


def _marked(stem: str) -> tuple[str, str]:
    first, _, rest = stem.partition(".")
    if rest and (first in _STEMS or all(word in _MARKS for word in rest.split("."))):
        return first, rest
    return stem, ""


def _candidates(folder: Path) -> list[Candidate]:
    """The weight files of a folder: whole ones, and the indices of those in several shards."""
    if not folder.is_dir():
        return []
    try:
        names = sorted(
            one.name
            for one in folder.iterdir()
            if one.is_file() and not one.name.startswith(".") and one.name not in _NO_MODELS
        )
    except OSError as error:
        raise CheckpointError(f"The folder {folder} cannot be read ({error.strerror}).") from error
    shards = {name for name in names if SHARD.fullmatch(name)}
    return [
        Candidate(folder / name, *_parsed(name))
        for name in names
        if (name.endswith(".safetensors") and name not in shards) or INDEX.fullmatch(name)
    ] or [Candidate(folder / name, *_parsed(name)) for name in sorted(shards)[:1]]


def _best(folder: Path, found: list[Candidate]) -> Path:
    """The one that is meant: the only one, the one that is called as a model, or the best variant of that."""
    stems = {one.stem for one in found}
    stem = next((one for one in _STEMS if one in stems), None) if len(stems) > 1 else stems.pop()
    if stem is None:
        shown = ", ".join(one.path.name for one in found[:5]) + (
            f" and {len(found) - 5} more" if len(found) > 5 else ""
        )
        raise CheckpointError(
            f"{folder} holds {len(found)} weight files ({shown}). Name the one that is meant."
        )
    return _whole(min((one for one in found if one.stem == stem), key=lambda one: one.rank).path)


def _whole(path: Path) -> Path:
    """The index of the model that a shard is a part of; any other path as it is."""
    found = SHARD.fullmatch(path.name)
    if found is None or not path.is_file():
        return path
    for one in sorted(path.parent.glob("*.json")):
        if INDEX.fullmatch(one.name) and path.name in {file.name for file in shard_files(one)}:
            return one
    raise CheckpointError(
        f"{path.name} is one of the {int(found[2])} parts of a model, and the index that says what is where "
        f"does not lie beside it ({found[1]}.safetensors.index.json). Put all parts and the index into "
        "one folder."
    )


def _deeper(root: Path) -> Path:
    """The weight file of the only subfolder that has any; the error where there is none, or several."""
    inner = sorted(one for one in root.iterdir() if one.is_dir() and one.name not in _OTHERS)
    found = {}
    for folder in inner:
        for place in _PLACES:
            if there := _candidates(folder / place):
                found[folder / place] = there
                break
    if len(found) == 1:
        return _best(*next(iter(found.items())))
    if found:
        shown = ", ".join(one.relative_to(root).as_posix() for one in list(found)[:5]) + (
            f" and {len(found) - 5} more" if len(found) > 5 else ""
        )
        raise CheckpointError(
            f"{root} holds weights in {len(found)} folders ({shown}). Name the one that is meant."
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
        f"There is no weight file at {root / 'model.safetensors'}, nor at another place where a model's "
        "folder has it: any .safetensors file in it, in unet_ema/ or in unet/, or the index of several."
    )


def _repository(folder: Path) -> Path:
    """The only model's folder in huggingface_hub's cache where the whole cache is given; else the folder
    itself.
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
        f"{folder} is a cache of {len(models)} repositories ({shown}). Name the folder of the one that is "
        "meant."
    )


def _snapshot(folder: Path) -> Path:
    """The files of a repository in huggingface_hub's cache, of the revision that is called main; else the
    folder itself.
    """
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
        f"{folder} holds {len(inner)} revisions of its repository ({shown}). Name the folder of the one that "
        "is meant, or download the repository again."
    )


def _is_revision(whole: Path, part: str) -> bool:
    """Whether a folder of the path is the cache's, or a revision in it."""
    if part == "snapshots":
        return True
    parts = whole.parts
    at = parts.index(part)
    return at > 1 and parts[at - 1] == "snapshots" and _CACHE.fullmatch(parts[at - 2]) is not None
