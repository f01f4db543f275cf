"""Opening of safetensors files, and errors that say what another file is. It does not import torch."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError
from ..files import missing as describe_missing

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
MAX_HEADER = 100_000_000  # the safetensors library's own limit
MAX_TENSORS = 20_000  # the largest published pixel-space U-Nets have about 1,500
MAX_JSON = 4_000_000
MAX_SHARDS = 1_000
# A model in several files: the index NAME.safetensors.index.json (with a variant such as fp16 before .json),
# and its shards.
INDEX = re.compile(r"(.+)\.safetensors\.index(?:\.([\w.-]+))?\.json")
SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})\.safetensors")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(?<!\.safetensors)")  # OWNER/NAME
# The text of a link into huggingface_hub's cache, which git and archives write on systems without links.
_LINK_TEXT = re.compile(rb"(?:\.\./)+blobs/[\w-]+")
# Parts of tensor names from wrappers of modules: torch.compile, FSDP, activation checkpointing.
_WRAPPERS = re.compile(r"(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


@dataclass(frozen=True)
class Outline:
    """The content of a file's header: shapes and dtypes by tensor name, and metadata."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def plain(self) -> Mapping[str, str]:
        """The names without wrappers of modules, each with its name in the file."""
        plain = {_WRAPPERS.sub("", name): name for name in self.shapes}
        return plain if len(plain) == len(self.shapes) else {name: name for name in self.shapes}

    @property
    def bytes(self) -> int:
        """The size of all tensors."""
        return sum(_elements(shape) * _BYTES.get(self.dtypes[name], 4) for name, shape in self.shapes.items())


_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}


def _elements(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


class Shards:
    """The open files of one model, with the interface of a single file of safetensors.

    Raises `CheckpointError` if the files do not agree with their index.
    """

    def __init__(self, path: Path, files: Mapping[Path, Any]) -> None:
        self._files: dict[str, Any] = {}
        places: dict[str, str] = {}
        for part, file in files.items():
            for name in file.keys():
                if name in places:
                    raise CheckpointError(
                        f"{path.name}: the tensor {name[:120]} is in two files, {places[name]} and "
                        f"{part.name}. They are of different models, or damaged; download them again."
                    )
                places[name], self._files[name] = part.name, file
        wrong = sorted(name for name, part in _weight_map(path).items() if places.get(name) != part)
        if wrong:
            raise CheckpointError(
                f"{path.name} says that {_weight_map(path)[wrong[0]]} holds the tensor {wrong[0][:120]}, and "
                f"it does not ({len(wrong)} such). The files are of different models, or an older download; "
                "download all of them again."
            )
        self._metadata = {
            name: value for file in files.values() for name, value in (file.metadata() or {}).items()
        }

    def keys(self) -> list[str]:
        return list(self._files)

    def metadata(self) -> dict[str, str]:
        return self._metadata

    def get_slice(self, name: str) -> Any:
        return self._files[name].get_slice(name)

    def get_tensor(self, name: str) -> Any:
        return self._files[name].get_tensor(name)


def shard_files(path: Path) -> list[Path]:
    """The files with the weights of a path: those that an index names, or the path itself.

    Raises `CheckpointError` for an index that names files in other folders, or missing files.
    """
    if not INDEX.fullmatch(path.name):
        return [path]
    names = sorted(set(_weight_map(path).values()))
    for name in names:
        if "/" in name or "\\" in name or name in (".", "..") or not name.endswith(".safetensors"):
            raise CheckpointError(
                f"{path.name} names {name[:120]!r} for weights; an index must name .safetensors files in its "
                "own folder. It is damaged, of pickles, or was made to do harm."
            )
    if len(names) > MAX_SHARDS:
        raise CheckpointError(
            f"{path.name} names {len(names):,} files; at most {MAX_SHARDS:,} are read. It is damaged."
        )
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise CheckpointError(
            f"{len(missing)} of the {len(names)} files of this model are missing beside {path.name}: "
            f"{shown}. Download them too."
        )
    return [path.with_name(name) for name in names]


def _weight_map(path: Path) -> dict[str, str]:
    """The file name of each tensor, from an index. Raises `CheckpointError`."""
    given = read_json(path).get("weight_map")
    if (
        not isinstance(given, dict)
        or not given
        or not all(isinstance(one, str) and one for one in given.values())
    ):
        raise CheckpointError(
            f"{path.name} has no weight_map from tensors to files, so it is no index of weights. Download it "
            "again."
        )
    return given


def resolve_link(path: Path) -> Path:
    """The file itself, or a file in a cache's blobs/ if the given one holds only the text of a link to it."""
    try:
        if "snapshots" not in path.parts or path.stat().st_size > 300:
            return path
        text = path.read_bytes().strip()
    except OSError:
        return path
    target = path.parent / text.decode("utf-8", "replace") if _LINK_TEXT.fullmatch(text) else path
    return target if target.is_file() else path


def file_size(path: Path) -> int:
    """The size of a file in bytes. Raises `CheckpointError` if it cannot be read."""
    try:
        return resolve_link(path).stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from error


@contextmanager
def open_weights(path: Path, framework: str = "pt") -> Generator[Any, None, None]:
    """Open a safetensors file, memory-mapped, or all files of an index as one.

    The safetensors library checks the header against the file's size. Raises `CheckpointError`, which says
    what the file is instead.
    """
    if INDEX.fullmatch(path.name) and path.is_file():
        with ExitStack() as stack:
            files = {one: stack.enter_context(open_weights(one, framework)) for one in shard_files(path)}
            yield Shards(path, files)
        return
    if not path.is_file():
        if os.path.lexists(path):  # a folder, or a link without a target
            raise CheckpointError(f"{describe_missing(path)} Give the path of a .safetensors file.")
        raise CheckpointError(f"There is no weight file at {path}. {_where_to_get(path)}")
    if path.suffix.lower() in PICKLES:
        raise CheckpointError(
            f"{path.name} is a pickle, which can run any code when opened; only safetensors files are "
            f"read here. Make one of it with: diffusion-studio convert {path.name} {path.stem}.safetensors"
        )
    real = resolve_link(path)
    if (other := sniff_format(real)) is not None:
        raise CheckpointError(f"{path.name} is not a whole safetensors file: {other}")
    try:
        file = safe_open(str(real), framework=framework, device="cpu")
    except (SafetensorError, OSError) as error:
        reason = _damage(real) or (
            f"is not a whole safetensors file ({str(error)[:300]}). It may be cut short or be something else "
            "under this name; download or export it again."
        )
        raise CheckpointError(f"{path.name} {reason}") from error
    with file:
        yield file


def _where_to_get(path: Path) -> str:
    """What to give instead of a path where nothing is. Users also give the name of a repository."""
    name = re.sub(r"^https?:/+[^/]+/", "", path.as_posix())
    if _REPOSITORY.fullmatch(name) and not path.parent.exists():
        return (
            f"If {name} is a repository of Hugging Face, download it first, because this program downloads "
            f"nothing: hf download {name} --local-dir {name.partition('/')[2]}"
        )
    return "Give the path of a .safetensors file."


def _damage(path: Path) -> str:
    """What is wrong with a file whose header can be read, as the rest of a sentence; empty if unknown."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(MAX_HEADER, size):
                return ""
            header = json.loads(file.read(length))
        notes = header.pop("__metadata__", None) or {}
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        odd = next(((name, value) for name, value in notes.items() if not isinstance(value, str)), None)
    except (
        OSError,
        ValueError,
        RecursionError,
        AttributeError,
        KeyError,
        TypeError,
        struct.error,
        IndexError,
    ):
        return ""
    if odd is not None:
        return (
            f"breaks a rule of safetensors: its metadata (__metadata__) say {odd[0][:80]} = "
            f"{json.dumps(odd[1])[:80]}, and only texts are allowed there. Save it again with texts: "
            "save_file(tensors, path, metadata={name: str(value)})."
        )
    if size > end:
        return (
            f"is not a whole safetensors file: {size - end:,} bytes after its last tensor belong to none. "
            "Download or export it again."
        )
    if size < end:
        return (
            f"is not a whole safetensors file: it is cut short, {size:,} of its {end:,} bytes are there. "
            "Download or export it again."
        )
    return ""


def outline(path: Path) -> Outline:
    """The content of the file's header; no weight is read. Raises `CheckpointError`."""
    with open_weights(path, framework="np") as file:  # "np" does not import torch
        names = list(file.keys())
        if len(names) > MAX_TENSORS:
            raise CheckpointError(
                f"{path.name} holds {len(names):,} tensors; at most {MAX_TENSORS:,} are read, and U-Nets "
                "have fewer. It is not a U-Net's checkpoint."
            )
        views = {name: file.get_slice(name) for name in names}
        return Outline(
            path,
            {name: tuple(view.get_shape()) for name, view in views.items()},
            {name: str(view.get_dtype()) for name, view in views.items()},
            dict(file.metadata() or {}),
        )


def sniff_format(path: Path) -> str | None:
    """The format of a file that is not safetensors, by its first bytes, as the rest of a sentence.

    None if the bytes could be a safetensors header. Raises `CheckpointError` if the file cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(256)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from error
    if not start:
        return "it is empty. Download or export it again."
    if start.startswith(b"version https://git-lfs"):
        return (
            "it is a Git LFS pointer, which only says where the weights are. Fetch them with 'git lfs pull' "
            "in that repository, or download the file itself."
        )
    if start.lstrip()[:1] == b"<" and b"html" in start.lower():
        return "it is an HTML page, so its download went wrong (a login or an error page). Download it again."
    if start.startswith(b"PK\x03\x04"):
        return (
            "it is a zip archive, as PyTorch's pickles are. If it is a pickle, name it .pt and make a "
            "safetensors file of it with 'diffusion-studio convert'; else unpack it."
        )
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05" and start[8:9] != b"{":
        return (
            "it is a pickle. Name it .pt and make a safetensors file of it with 'diffusion-studio convert'."
        )
    if start.startswith(b"\x89HDF"):
        return "it is an HDF5 file (Keras). Only PyTorch's networks are read."
    if start.startswith(b"GGUF"):
        return "it is a GGUF file, which holds quantised weights. Only safetensors files are read."
    if size >= 8:
        length = struct.unpack("<Q", start[:8])[0]
        if length > MAX_HEADER and start[8:9] == b"{":
            return (
                f"its header claims {length:,} bytes, and at most {MAX_HEADER:,} are allowed. It is damaged "
                "or was made to do harm; download it again from where you trust it."
            )
    return None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a small file. Raises `CheckpointError` for anything else."""
    try:
        real = resolve_link(path)
        if real.stat().st_size > MAX_JSON:
            raise CheckpointError(f"{path} is too large for a configuration: more than {MAX_JSON:,} bytes.")
        given = json.loads(real.read_text("utf-8-sig"))  # some editors on Windows write a BOM
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not JSON ({error}). Download it again, or move it away to have the configuration "
            "inferred from the weights."
        ) from error
    if not isinstance(given, dict):
        raise CheckpointError(f"{path} holds no JSON object, so it is no configuration.")
    return given


def tree(shapes: Mapping[str, tuple[int, ...]], lines: int = 60) -> str:
    """Tensor names and shapes as an indented tree of at most `lines` lines.

    Consecutive numbered modules with the same content share a line.
    """
    root: dict[str, Any] = {}
    for name, shape in shapes.items():
        *way, last = name.split(".")[:12]
        node = root
        for part in way:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):  # a tensor and a module have the same name
                node = {}
        if isinstance(node.get(last), dict):
            last += " (tensor)"
        node[last] = tuple(shape)
    drawn = list(_draw(root, 0))
    if len(drawn) > lines:
        drawn = [*drawn[:lines], f"... and {len(drawn) - lines} more lines"]
    return "\n".join(drawn)


def _draw(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The lines of `tree` for one module."""
    items = list(node.items())
    k = 0
    while k < len(items):
        name, inner = items[k]
        end = k + 1
        while name.isdigit() and end < len(items) and items[end][0].isdigit() and items[end][1] == inner:
            end += 1
        shown = name if end == k + 1 else f"{name}..{items[end - 1][0]}"
        pad = "  " * depth
        if not isinstance(inner, dict):
            yield f"{pad}{shown[:80]} {list(inner)}"
        elif all(not isinstance(one, dict) for one in inner.values()):
            yield f"{pad}{shown[:80]}: " + ", ".join(
                f"{leaf[:80]} {list(shape)}" for leaf, shape in list(inner.items())[:8]
            )
        else:
            yield f"{pad}{shown[:80]}"
            yield from _draw(inner, depth + 1)
        k = end
