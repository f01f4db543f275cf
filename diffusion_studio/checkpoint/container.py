"""The container: a safetensors file opened, or a sentence that says what the file is instead. No torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
MAX_HEADER = 100_000_000                            # the safetensors library's own limit
MAX_TENSORS = 20_000                                # the largest published pixel-space U-Nets have about 1,500
MAX_JSON = 4_000_000


@dataclass(frozen=True)
class Outline:
    """What a file's header says: shapes and dtypes by name, metadata, and the bytes that the weights take."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(_count(shape) * _WIDTH.get(self.dtypes[name], 4) for name, shape in self.shapes.items())


_WIDTH = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
          "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}


def _count(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


@contextmanager
def opened(path: Path, framework: str = "pt") -> Iterator[Any]:
    """The file, memory-mapped, its header checked against its size by the safetensors library."""
    if not path.is_file():
        raise CheckpointError(f"There is no weight file at {path}. Give the path of a .safetensors file.")
    if path.suffix.lower() in PICKLES:
        raise CheckpointError(f"{path.name} is a pickle, which can run any code when opened; only safetensors files are "
                              f"read here. Make one of it with: diffusion-studio convert {path.name} {path.stem}.safetensors")
    if (other := something_else(path)) is not None:
        raise CheckpointError(f"{path.name} is not a whole safetensors file: {other}")
    try:
        file = safe_open(str(path), framework=framework, device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a whole safetensors file ({str(error)[:300]}). It may be cut short or be "
                              "something else under this name; download or export it again.") from error
    with file:
        yield file


def outline(path: Path) -> Outline:
    """The file's outline, its weights unread. Raises `CheckpointError`."""
    with opened(path, framework="np") as file:              # numpy: does not import torch
        names = list(file.keys())
        if len(names) > MAX_TENSORS:
            raise CheckpointError(f"{path.name} holds {len(names):,} tensors; U-Nets have at most some {MAX_TENSORS:,}. "
                                  "It is not a U-Net's checkpoint.")
        views = {name: file.get_slice(name) for name in names}
        return Outline(path, {name: tuple(view.get_shape()) for name, view in views.items()},
                       {name: str(view.get_dtype()) for name, view in views.items()}, dict(file.metadata() or {}))


def something_else(path: Path) -> str | None:
    """What a file's first bytes betray, as the rest of a sentence; None where they could be a safetensors header."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(256)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from error
    if not start:
        return "it is empty. Download or export it again."
    if start.startswith(b"version https://git-lfs"):
        return ("it is a Git LFS pointer, a note of where the weights lie. Fetch them with 'git lfs pull' in that "
                "repository, or download the file itself.")
    if start.lstrip()[:1] == b"<" and b"html" in start.lower():
        return "it is an HTML page, so its download went wrong (a login or an error page). Download it again."
    if start.startswith(b"PK\x03\x04"):
        return ("it is a zip archive; PyTorch's pickles are that. If it is one, name it .pt and make a safetensors file of "
                "it with 'diffusion-studio convert'; else unpack it.")
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05" and start[8:9] != b"{":
        return "it is a pickle. Name it .pt and make a safetensors file of it with 'diffusion-studio convert'."
    if start.startswith(b"\x89HDF"):
        return "it is an HDF5 file (Keras). Only PyTorch's networks are read."
    if start.startswith(b"GGUF"):
        return "it is a GGUF file, which holds quantised weights. Only safetensors files are read."
    if size >= 8:
        length = struct.unpack("<Q", start[:8])[0]
        if length > MAX_HEADER and start[8:9] == b"{":
            return (f"its header claims {length:,} bytes, and at most {MAX_HEADER:,} are allowed. It is damaged or was made "
                    "to do harm; download it again from where you trust it.")
    return None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a small file; a `CheckpointError` for what is none."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise CheckpointError(f"{path} is too large for a configuration: more than {MAX_JSON:,} bytes.")
        given = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}). Download it again, or move it away to have the configuration "
                              "inferred from the weights.") from error
    if not isinstance(given, dict):
        raise CheckpointError(f"{path} holds no JSON object, so it is no configuration.")
    return given


def tree(shapes: Mapping[str, tuple[int, ...]], lines: int = 60) -> str:
    """The outline as an indented tree of modules and shapes; runs of numbered modules with equal insides are one line."""
    root: dict[str, Any] = {}
    for name, shape in shapes.items():
        *way, last = name.split(".")[:12]
        node = root
        for part in way:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):                  # a tensor and a module of one name
                node = {}
        if isinstance(node.get(last), dict):
            last += " (tensor)"
        node[last] = tuple(shape)
    drawn = list(_draw(root, 0))
    if len(drawn) > lines:
        drawn = [*drawn[:lines], f"... and {len(drawn) - lines} more lines"]
    return "\n".join(drawn)


def _draw(node: Mapping[str, Any], depth: int) -> Iterator[str]:
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
            yield f"{pad}{shown[:80]}: " + ", ".join(f"{leaf[:80]} {list(shape)}" for leaf, shape in list(inner.items())[:8])
        else:
            yield f"{pad}{shown[:80]}"
            yield from _draw(inner, depth + 1)
        k = end
