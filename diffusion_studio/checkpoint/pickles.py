"""Reading of pickles for `convert`, by torch's restricted unpickler: only tensors and containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, unknown
from ..files import missing
from .atomic import write_tensors
from .container import sniff_format

_DEEPEST = 4


def to_safetensors(path: Path, out: Path, take: str | None = None) -> str:
    """Write a state dict of a pickle as a safetensors file. Returns its place in the pickle.

    A pickle may hold several state dicts (of the network, its EMA, an optimizer). `take` names the one to
    use; by default it is the EMA. Raises `CheckpointError` for a pickle that holds objects besides weights,
    or no network, and `OptionError` for an unknown `take`.
    """
    loaded = _load(path)
    found = dict(_state_dicts(loaded))
    if isinstance(loaded, Mapping) and {"state", "param_groups"} <= set(loaded):
        raise CheckpointError(
            f"{path.name} holds the state of an optimizer (state, param_groups), not a network. The weights "
            "are in another file of that training: model..., or better the EMA weights, ema_..."
        )
    if not found:
        raise CheckpointError(
            f"{path.name} holds no state dict with convolutions, so no U-Net. Save network.state_dict() with "
            "the program that it comes from."
        )
    if take is not None and take not in found:
        raise unknown(f"state dict in {path.name}", take, found, field="take")
    chosen = take if take is not None else min(found, key=_rank)
    tensors, seen = {}, set()
    for name, tensor in found[chosen].items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_complex():
            continue
        tensor = tensor.detach()
        tensor = tensor.float() if tensor.dtype == torch.float64 else tensor
        shared = tensor.untyped_storage().data_ptr() in seen  # safetensors holds no tensor twice
        seen.add(tensor.untyped_storage().data_ptr())
        tensors[str(name)] = (
            tensor.clone(memory_format=torch.contiguous_format) if shared else tensor.contiguous()
        )
    version = loaded.get("version") if isinstance(loaded, Mapping) else None
    write_tensors(
        out, tensors, {"format": "pt", **({"version": version[:20]} if isinstance(version, str) else {})}
    )
    return chosen


def _load(path: Path) -> Any:
    """The content of a pickle. Raises `CheckpointError` for anything but tensors and plain containers."""
    if not path.is_file():
        raise CheckpointError(f"{missing(path)} Check the name and the folder.")
    with path.open("rb") as file:
        start = file.read(16)
    if start[8:9] == b"{" and start[:1] != b"\x80":
        raise CheckpointError(
            f"{path.name} is a safetensors file with another name. Rename it to {path.stem}.safetensors and "
            "open it as it is."
        )
    zipped = start.startswith(b"PK\x03\x04")
    if not zipped and start[:1] != b"\x80" and (other := sniff_format(path)) is not None:
        raise CheckpointError(f"{path.name} is not a checkpoint: {other}")
    try:
        with torch.serialization.safe_globals(_IGNORED_TYPES):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged or malicious pickle can raise any exception
        raise CheckpointError(
            f"{path.name} cannot be opened as a pickle of weights only{_refusal(str(error), path)}"
        ) from error


class _Placeholder:
    """Replaces an object besides the weights. It stores nothing and runs nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __hash__(self) -> int:  # a replaced path may be the key of a dictionary
        return id(self)


# Types that training programs store besides weights: losses and counters of numpy, arguments, paths, and
# Lightning's hyperparameters. No object of these types is created.
_IGNORED_TYPES: list[Any] = [
    (_Placeholder, name)
    for name in (
        *(
            f"numpy.{core}.multiarray.{kind}"
            for core in ("core", "_core")
            for kind in ("scalar", "_reconstruct")
        ),
        "numpy.dtype",
        "numpy.ndarray",
        "argparse.Namespace",
        "types.SimpleNamespace",
        *(
            f"pathlib.{kind}"
            for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
        ),
        *(f"pathlib._local.{kind}" for kind in ("PosixPath", "WindowsPath")),
    )
]
_IGNORED_TYPES.extend(
    (dict, f"{place}.AttributeDict")
    for place in (
        "pytorch_lightning.utilities.parsing",
        "lightning_fabric.utilities.data",
        "lightning.fabric.utilities.data",
    )
)
_GLOBAL = re.compile(
    r"GLOBAL ([\w.<>]+)|allowed? (?:class|global) ([\w.<>]+)|[Uu]nsupported class ([\w.<>]+)"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def _refusal(message: str, path: Path) -> str:
    """The rest of a sentence about a pickle that torch refused, from torch's message."""
    edm = _advice_for_edm(path) if path.suffix.lower() == ".pkl" else ""
    if found := _GLOBAL.search(message):
        name = next(part for part in found.groups() if part)[:120]
        return (
            f": it holds an object of {name}, which is not allowed because it could run any code. If you "
            "trust the file, open it with the program that it comes from and save only its tensors: "
            f"torch.save(network.state_dict(), '{path.stem}-weights.pt').{edm}"
        )
    plain = _COLOURS.sub("", message).strip()
    found = re.search(r"Unpickler\s?[Ee]rror:\s*([^\n]+)", plain)
    reason = (
        (found[1] if found else plain.partition("\n")[0])
        .strip()
        .removeprefix("Weights only load failed. ")[:200]
        .rstrip(". ")
    )
    return (
        f" ({reason or 'no reason given'}). It is damaged, or holds objects besides tensors, which could run "
        "any code. If you trust it, open it with the program that it comes from and save "
        f"network.state_dict().{edm}"
    )


def _advice_for_edm(path: Path) -> str:
    """How to extract the tensors of an EDM network, which is a pickle of modules with their source code."""
    return (
        " EDM's networks are such files. In EDM's own folder run: python -c \"import pickle, torch; net = "
        f"pickle.load(open('{path.name}', 'rb'))['ema']; torch.save(net.state_dict(), '{path.stem}.pt')\" "
        f"and convert {path.stem}.pt."
    )


def _state_dicts(given: Any, at: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The place and content of each mapping of names to tensors that holds a convolution."""
    if isinstance(given, Mapping):
        tensors = [one for one in given.values() if isinstance(one, torch.Tensor)]
        if any(one.ndim == 4 for one in tensors) and all(isinstance(name, str) for name in given):
            yield at or "whole file", given
            return
    if depth >= _DEEPEST or not isinstance(given, (Mapping, list, tuple)):
        return
    for name, inner in given.items() if isinstance(given, Mapping) else enumerate(given):
        yield from _state_dicts(inner, f"{at}.{name}" if at else str(name), depth + 1)


def _rank(place: str) -> tuple[int, int]:
    """The order of preference: EMA, then networks, then others.

    In ermongroup's list the EMA has the index 4.
    """
    words = place.lower()
    kind = (
        0
        if "ema" in words or words == "4"
        else 1
        if any(w in words for w in ("state_dict", "model", "net"))
        else 2
    )
    return kind, len(words)
