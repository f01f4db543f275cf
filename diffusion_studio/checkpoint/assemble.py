"""A foreign file's tensors, put together as our network's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from ..nets.config import UNetConfig
from .container import opened
from .memory import TensorFile, take_weights
from .native import DTYPES, Weights, skeleton
from .reader import Found, Source
from .walk import Rename


def assembled(path: Path, source: Source, found: Found, dtype: torch.dtype | None = None) -> Weights:
    """Weights of the network that `found` describes, as `dtype` or as in the file.

    Shapes and dtypes are compared before any weight is read.
    """
    network = skeleton(path, found.spec)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    with opened(path, framework="np") as file:
        views = {name: file.get_slice(source.original[name]) for one in found.renames for name in one.theirs}
        for one in found.renames:
            _check(path, one, [tuple(views[name].get_shape()) for name in one.theirs], expected[one.ours])
        for name, view in views.items():
            if view.get_dtype() not in DTYPES:
                raise CheckpointError(f"In {path.name} the tensor {name} is {view.get_dtype()}; weights here are one of "
                                      f"{', '.join(DTYPES)}. Quantised files cannot be read: take the original.")
    with TensorFile(path) as file:
        state = {one.ours: _read(file, source, one, expected[one.ours], found.spec.network, dtype) for one in found.renames}
    return Weights(found.spec, take_weights(network, state))


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1x1 convolution's shape as a linear layer's."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _check(path: Path, one: Rename, shapes: list[tuple[int, ...]], wanted: tuple[int, ...]) -> None:
    given = [_bare(shape) for shape in shapes]
    rest = {shape[1:] for shape in given}
    if len(rest) != 1 or (sum(shape[0] for shape in given), *rest.pop()) != _bare(wanted):
        raise CheckpointError(f"In {path.name} {' + '.join(one.theirs)} is {' + '.join(map(str, shapes))}; the network that the "
                              f"other shapes describe has {wanted} there. The file is damaged or of another network.")


def _read(file: TensorFile, source: Source, one: Rename, shape: tuple[int, ...], config: UNetConfig,
          dtype: torch.dtype | None) -> torch.Tensor:
    """One tensor of ours: theirs, on top of one another."""
    out, at = file.new(source.original[one.theirs[0]], shape, dtype), 0
    for name in one.theirs:
        count = source.shapes[name][0]
        file.read(source.original[name], out[at:at + count])
        at += count
    return reordered(out, one.rows, config) if one.rows else out


def reordered(qkv: torch.Tensor, rows: str, config: UNetConfig) -> torch.Tensor:
    """The rows of qkv as (3, heads, d), from (heads, 3, d) ("legacy") or (heads, d, 3) ("edm")."""
    width = len(qkv) // 3
    heads = config.heads_for(width)
    shape, order = {"legacy": ((heads, 3, width // heads), (1, 0, 2)), "edm": ((heads, width // heads, 3), (2, 0, 1))}[rows]
    split = qkv.view(*shape, *qkv.shape[1:])
    return split.permute(*order, *range(3, split.ndim)).reshape(qkv.shape)
