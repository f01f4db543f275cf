"""Conversion of a foreign file's tensors to the tensors of our network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, OptionError
from ..networks.precision import dtype_of
from . import classifier
from .classifier_spec import ClassifierSpec
from .container import open_weights
from .memory import TensorFile, take_weights
from .native import FOREIGN_DTYPES, Weights, skeleton
from .reader import Found, Source
from .renames import Rename


def assemble_weights(path: Path, source: Source, found: Found, dtype: torch.dtype | None = None) -> Weights:
    """The network that `found` describes, with its weights from the file, in `dtype` or in the file's dtype.

    Shapes and dtypes are checked before any weight is read. Raises `CheckpointError` if they do not fit.
    """
    spec = found.spec
    network = classifier.skeleton(path, spec) if isinstance(spec, ClassifierSpec) else skeleton(path, spec)
    # renames of U-Nets need it for the number of attention heads
    config = getattr(spec.network, "body", spec.network)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    with open_weights(path, framework="np") as file:
        views = {name: file.get_slice(source.original[name]) for one in found.renames for name in one.theirs}
        for one in found.renames:
            _check_shape(
                path, one, [tuple(views[name].get_shape()) for name in one.theirs], expected[one.ours], config
            )
        for name, view in views.items():
            if view.get_dtype() not in FOREIGN_DTYPES:
                raise CheckpointError(
                    f"In {path.name} the tensor {name} is {view.get_dtype()}; weights must be one of "
                    f"{', '.join(FOREIGN_DTYPES)}. Quantised files cannot be read: use the original."
                )
    with TensorFile(path) as file:
        state = {
            one.ours: _read_tensor(file, source, one, expected[one.ours], config, dtype_of(one.ours, dtype))
            for one in found.renames
        }
    return Weights(found.spec, take_weights(network, state))


def _without_unit_sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without trailing sides of 1: that of a 1x1 convolution as the shape of a linear layer."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _check_shape(
    path: Path, one: Rename, shapes: list[tuple[int, ...]], wanted: tuple[int, ...], config: Any
) -> None:
    """Raise `CheckpointError` unless tensors of these shapes can become one of the shape `wanted`."""
    try:  # on tensors without memory, before any weight is read
        shape = (
            shapes[0]
            if len(shapes) == 1 and not one.rows
            else tuple(
                _converted([torch.empty(shape, device="meta") for shape in shapes], one.rows, config).shape
            )
        )
    except (RuntimeError, IndexError, OptionError):
        shape = None
    if shape is None or _without_unit_sides(shape) != _without_unit_sides(wanted):
        raise CheckpointError(
            f"In {path.name} {' + '.join(one.theirs)} is {' + '.join(map(str, shapes))}; the network that "
            f"the other shapes describe has {wanted} there. The file is damaged or of another network."
        )


def _read_tensor(
    file: TensorFile,
    source: Source,
    one: Rename,
    wanted: tuple[int, ...],
    config: Any,
    dtype: torch.dtype | None,
) -> torch.Tensor:
    """One tensor of our network, read from the file: see `Rename`."""
    names = [source.original[name] for name in one.theirs]
    shapes = [source.shapes[name] for name in one.theirs]
    if one.rows:
        parts = [file.read(name, file.new(name, shape, dtype)) for name, shape in zip(names, shapes)]
        return _converted(parts, one.rows, config).reshape(wanted).contiguous()
    out, at = file.new(names[0], wanted, dtype), 0
    for name, shape in zip(names, shapes):
        file.read(name, out[at : at + shape[0]])
        at += shape[0]
    return out


def _converted(parts: list[torch.Tensor], change: str, config: Any) -> torch.Tensor:
    """Foreign tensors, stacked by rows and then changed as `change`, the field `rows` of `Rename`, says."""
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
    """The embedding of each of K labels, (K, width), from EDM's layer for one-hot labels, (width, K).

    With a bias (SongUNet) labels are scaled by sqrt(K) first, without one (DhariwalUNet) not. With `null` a
    row for no label is added.
    """
    rows = weight.t() * math.sqrt(weight.shape[1]) if bias is not None else weight.t()
    rows = torch.cat([rows, torch.zeros_like(rows[:1])]) if null else rows
    return rows if bias is None else rows + bias


def reordered(qkv: torch.Tensor, rows: str, config: Any) -> torch.Tensor:
    """qkv with its rows ordered (3, heads, d), from (heads, 3, d) ("legacy") or (heads, d, 3) ("edm")."""
    width = len(qkv) // 3
    heads = config.heads_for(width)
    shape, order = {
        "legacy": ((heads, 3, width // heads), (1, 0, 2)),
        "edm": ((heads, width // heads, 3), (2, 0, 1)),
    }[rows]
    split = qkv.view(*shape, *qkv.shape[1:])
    return split.permute(*order, *range(3, split.ndim)).reshape(qkv.shape)
