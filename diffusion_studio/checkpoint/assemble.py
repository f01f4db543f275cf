"""A foreign file's tensors, put together as our network's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, OptionError
from ..networks.precision import dtype_of
from . import classifier
from .classifier_spec import ClassifierSpec
from .container import opened
from .memory import TensorFile, take_weights
from .native import FOREIGN_DTYPES, Weights, skeleton
from .reader import Found, Source
from .walk import Rename


def assembled(path: Path, source: Source, found: Found, dtype: torch.dtype | None = None) -> Weights:
    """Weights of the network that `found` describes, as `dtype` or as in the file.

    Shapes and dtypes are compared before any weight is read.
    """
    spec = found.spec
    network = classifier.skeleton(path, spec) if isinstance(spec, ClassifierSpec) else skeleton(path, spec)
    # only renames of U-Nets ask it for the heads of an attention
    config = getattr(spec.network, "body", spec.network)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    with opened(path, framework="np") as file:
        views = {name: file.get_slice(source.original[name]) for one in found.renames for name in one.theirs}
        for one in found.renames:
            _check(
                path, one, [tuple(views[name].get_shape()) for name in one.theirs], expected[one.ours], config
            )
        for name, view in views.items():
            if view.get_dtype() not in FOREIGN_DTYPES:
                raise CheckpointError(
                    f"In {path.name} the tensor {name} is {view.get_dtype()}; weights here are one of "
                    f"{', '.join(FOREIGN_DTYPES)}. Quantised files cannot be read: take the original."
                )
    with TensorFile(path) as file:
        state = {
            one.ours: _read(file, source, one, expected[one.ours], config, dtype_of(one.ours, dtype))
            for one in found.renames
        }
    return Weights(found.spec, take_weights(network, state))


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1x1 convolution's shape as a linear layer's."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _check(
    path: Path, one: Rename, shapes: list[tuple[int, ...]], wanted: tuple[int, ...], config: Any
) -> None:
    try:  # on tensors without memory, so before any weight is read
        made = (
            shapes[0]
            if len(shapes) == 1 and not one.rows
            else tuple(
                _changed([torch.empty(shape, device="meta") for shape in shapes], one.rows, config).shape
            )
        )
    except (RuntimeError, IndexError, OptionError):
        made = None
    if made is None or _bare(made) != _bare(wanted):
        raise CheckpointError(
            f"In {path.name} {' + '.join(one.theirs)} is {' + '.join(map(str, shapes))}; the network that "
            f"the other shapes describe has {wanted} there. The file is damaged or of another network."
        )


def _read(
    file: TensorFile,
    source: Source,
    one: Rename,
    wanted: tuple[int, ...],
    config: Any,
    dtype: torch.dtype | None,
) -> torch.Tensor:
    """One tensor of ours: theirs as they are, one below the other, or what `Rename.rows` says besides."""
    names = [source.original[name] for name in one.theirs]
    shapes = [source.shapes[name] for name in one.theirs]
    if one.rows:
        parts = [file.read(name, file.new(name, shape, dtype)) for name, shape in zip(names, shapes)]
        return _changed(parts, one.rows, config).reshape(wanted).contiguous()
    out, at = file.new(names[0], wanted, dtype), 0
    for name, shape in zip(names, shapes):
        file.read(name, out[at : at + shape[0]])
        at += shape[0]
    return out


def _changed(parts: list[torch.Tensor], change: str, config: Any) -> torch.Tensor:
    """Our tensor of theirs: as they are, one below the other, or what `Rename.rows` says besides."""
    if change.startswith("labels"):
        return _label_table(*parts, null=change == "labels and any")
    tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
    if change == "transposed":
        return tensor.t()
    if change == "negated":
        return -tensor
    if change in ("first third", "other thirds"):
        third = len(tensor) // 3
        return tensor[:third] if change == "first third" else tensor[third:]
    return reordered(tensor, change, config) if change else tensor


def _label_table(weight: torch.Tensor, bias: torch.Tensor | None = None, null: bool = False) -> torch.Tensor:
    """What EDM's layer for one-hot labels, (width, K), makes of each of them, (K, width); with `null` of no
    label too.

    Where there is a bias (SongUNet) the label is scaled by sqrt(K) first; else (DhariwalUNet) not.
    """
    rows = weight.t() * math.sqrt(weight.shape[1]) if bias is not None else weight.t()
    rows = torch.cat([rows, torch.zeros_like(rows[:1])]) if null else rows
    return rows if bias is None else rows + bias


def reordered(qkv: torch.Tensor, rows: str, config: Any) -> torch.Tensor:
    """The rows of qkv as (3, heads, d), from (heads, 3, d) ("legacy") or (heads, d, 3) ("edm")."""
    width = len(qkv) // 3
    heads = config.heads_for(width)
    shape, order = {
        "legacy": ((heads, 3, width // heads), (1, 0, 2)),
        "edm": ((heads, width // heads, 3), (2, 0, 1)),
    }[rows]
    split = qkv.view(*shape, *qkv.shape[1:])
    return split.permute(*order, *range(3, split.ndim)).reshape(qkv.shape)
