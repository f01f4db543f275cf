"""Networks without weights, and weights read into memory of their own.

Weights are read, not mapped: a mapped file that is written over while its model is in use would change the
pictures, and one that is cut short would end the whole process (SIGBUS). Each weight is written once, in the
dtype in which the network computes.
"""

from __future__ import annotations

import gc
import json
import struct
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointError
from .container import followed, shard_files

N = TypeVar("N", bound=nn.Module)

TORCH_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
}
_AT_ONCE = 1 << 20  # bytes that are read before they are put into place: they stay in the CPU's cache
_FILLING = {"zero_", "fill_", "uniform_", "normal_"}
_MAKING = {
    torch.empty,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.arange,
    torch.linspace,
    torch.tensor,
    torch.rand,
    torch.randn,
    torch.eye,
}


class _Unfilled(TorchFunctionMode):
    """Inside it tensors are made on the meta device and nothing is initialised: that takes most of the time,
    for no effect.

    `torch.device("meta")` by itself runs all initialisation.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or getattr(func, "__name__", "") in _FILLING:
            return args[0] if args else kwargs["tensor"]
        if func in _MAKING:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def without_weights(build: Callable[[], N]) -> N:
    """The network that `build` makes, on the meta device: no memory behind it, nothing initialised.

    Python's search for reference cycles waits: set off by a thousand new modules, it would walk through all
    of torch.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with _Unfilled():
            return build()
    finally:
        if collects:
            gc.enable()


class TensorFile:
    """Reads the tensors of a safetensors file, or of all files of an index, whose headers `container.opened`
    has checked.

    What a header says is compared with the file's size again: it may have been replaced in between.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = ExitStack()
        self._places: dict[
            str, tuple[Any, int, dict[str, Any]]
        ] = {}  # file, where its tensors begin, the header's entry
        with ExitStack() as stack:
            for one in shard_files(path):
                try:
                    file = stack.enter_context(followed(one).open("rb", buffering=0))
                except OSError as error:
                    raise CheckpointError(f"{one} cannot be read ({error.strerror}).") from error
                try:
                    length = struct.unpack("<Q", file.read(8))[0]
                    entries = json.loads(file.read(length).decode("utf-8"))
                    self._places |= {name: (file, 8 + length, entry) for name, entry in entries.items()}
                except (OSError, ValueError, RecursionError, AttributeError, struct.error) as error:
                    raise self._changed() from error
            self._open = stack.pop_all()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of a tensor in the file."""
        return TORCH_DTYPES[self._places[name][2]["dtype"]]

    def new(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> torch.Tensor:
        """Memory for a tensor, in this dtype or in the file's. Raises `CheckpointError` where there is not
        as much.
        """
        try:
            return torch.empty(shape, dtype=dtype or self.dtype(name))
        except RuntimeError as error:  # what torch's allocator raises
            raise CheckpointError(
                f"There is not enough memory for the weights of {self.path.name}. Close other programs, or "
                "compute in a precision of 16 bits."
            ) from error

    def read(self, name: str, out: torch.Tensor) -> torch.Tensor:
        """Put a tensor into `out`, which is contiguous and has as many elements, in any dtype; returns it."""
        dtype = self.dtype(name)
        file, start, entry = self._places[name]
        begin, end = entry["data_offsets"]
        if end - begin != out.numel() * dtype.itemsize:
            raise self._changed()
        file.seek(start + begin)
        flat = out.view(-1)
        if dtype == out.dtype:
            self._fill(file, flat.view(torch.uint8).numpy().data)
            return out
        step = _AT_ONCE // dtype.itemsize
        buffer = torch.empty(min(step, len(flat)), dtype=dtype)
        for at in range(0, len(flat), step):
            part = buffer[: len(flat) - at]
            self._fill(file, part.view(torch.uint8).numpy().data)
            flat[at : at + step] = part
        return out

    def _fill(self, file: Any, view: memoryview) -> None:
        while view:
            try:
                count = file.readinto(view)
            except OSError as error:
                raise CheckpointError(f"{self.path} cannot be read ({error.strerror}).") from error
            if not count:
                raise self._changed()
            view = view[count:]

    def _changed(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path.name} was changed while it was being read. Wait until it is written, and open it "
            "again."
        )


def take_weights(network: nn.Module, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network made by `without_weights`, with these: every one there, of its shape, and none besides."""
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)
