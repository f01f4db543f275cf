"""The native checkpoint: a safetensors file whose header holds the model's spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, OptionError
from .atomic import write_tensors
from .container import open_weights
from .spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .classifier_spec import ClassifierSpec

FORMAT = "diffusion-studio"
VERSION = "1"
DTYPES = ("F16", "F32", "BF16")
FOREIGN_DTYPES = (*DTYPES, "F64")  # of other programs' files; conversion makes F32 of F64
_MOST_LISTED = 5  # tensors that an error names before "and n more"


@dataclass(frozen=True)
class Weights:
    """A checkpoint in memory: its spec and its network, on the CPU."""

    spec: ModelSpec | ClassifierSpec
    network: nn.Module
    remarks: tuple[str, ...] = ()  # assumed settings, and settings that are not followed; see remarks.py


def read_spec(path: str | Path) -> ModelSpec:
    """The spec in a native checkpoint's header; no weight is read. Raises `CheckpointError`."""
    with open_weights(Path(path), framework="np") as file:  # "np" does not import torch
        return _spec(Path(path), file.metadata() or {})


def read(path: str | Path, dtype: torch.dtype | None = None) -> Weights:
    """Read spec and network of a native checkpoint, in `dtype` or in the file's dtype.

    Names and shapes are compared with the spec's network before any weight is read. Raises `CheckpointError`
    unless the file holds exactly the tensors of the network.
    """
    path = Path(path)
    with open_weights(path, framework="np") as file:
        spec = _spec(path, file.metadata() or {})
        network = skeleton(path, spec)
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        check_tensors(path, file, expected)
    return Weights(spec, read_into(path, network, expected, dtype))


def read_into(
    path: Path, network: Any, expected: Mapping[str, tuple[int, ...]], dtype: torch.dtype | None = None
) -> Any:
    """The network with the weights of a file, which `check_tensors` has compared with it."""
    from ..networks.precision import dtype_of
    from .memory import TensorFile, take_weights

    with TensorFile(path) as file:
        return take_weights(
            network,
            {
                name: file.read(name, file.new(name, shape, dtype_of(name, dtype)))
                for name, shape in expected.items()
            },
        )


def write(path: str | Path, spec: ModelSpec, state: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Write a native checkpoint atomically, with its weights as `dtype`. Raises `CheckpointError`."""
    from ..networks.precision import dtype_of

    tensors = {
        name: tensor.detach().to("cpu", dtype_of(name, dtype)).contiguous() for name, tensor in state.items()
    }
    write_tensors(Path(path), tensors, {"format": FORMAT, "version": VERSION, "spec": spec.to_json()})


def _spec(path: Path, metadata: Mapping[str, str]) -> ModelSpec:
    """The spec in the metadata of a native file. Raises `CheckpointError`."""
    if metadata.get("format") != FORMAT or "spec" not in metadata:
        raise CheckpointError(
            f"{path.name} is a safetensors file without a {FORMAT} header, so it does not say what "
            "network its weights belong to. Files written by 'diffusion-studio train' have one."
        )
    if metadata.get("version") != VERSION:
        raise CheckpointError(
            f"{path.name} has header version {metadata.get('version')!r}; this program reads version "
            f"{VERSION}. Update Diffusion Studio."
        )
    try:
        return ModelSpec.from_json(metadata["spec"])
    except OptionError as error:
        raise CheckpointError(f"The header of {path.name} is wrong: {error}") from error


def skeleton(path: Path, spec: ModelSpec) -> nn.Module:
    """The network of a spec without memory for its weights. Raises `CheckpointError`."""
    from ..networks.networks import build
    from .memory import without_weights

    try:
        return without_weights(lambda: build(spec.network))
    except (OptionError, RuntimeError) as error:
        raise CheckpointError(
            f"The network that the header of {path.name} describes cannot be built: {error}"
        ) from error


def check_tensors(path: Path, file: Any, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `CheckpointError` unless an open file holds exactly the expected tensors, in one of `DTYPES`."""
    present = set(file.keys())
    problems = []
    if missing := sorted(expected.keys() - present):
        problems.append("missing " + _first_few(missing))
    if surplus := sorted(present - expected.keys()):
        problems.append("not in the network " + _first_few(surplus))
    misshapen, foreign = [], []
    for name in sorted(present & expected.keys()):
        view = file.get_slice(name)
        if tuple(view.get_shape()) != expected[name]:
            misshapen.append(f"{name} is {tuple(view.get_shape())}, should be {expected[name]}")
        if view.get_dtype() not in DTYPES:
            foreign.append(f"{name} is {view.get_dtype()}")
    if misshapen:
        problems.append(_first_few(misshapen))
    if foreign:
        problems.append(f"{_first_few(foreign)} (allowed: {', '.join(DTYPES)})")
    if problems:
        raise CheckpointError(
            f"The weights in {path.name} do not fit the network in its header: "
            f"{'; '.join(problems)}. Export the checkpoint again."
        )


def _first_few(items: list[str]) -> str:
    more = f" and {len(items) - _MOST_LISTED} more" if len(items) > _MOST_LISTED else ""
    return ", ".join(items[:_MOST_LISTED]) + more
