"""Networks without weights, and reading of weights into memory.

Weights are read and not memory-mapped: overwriting a mapped file would change the pictures of its model, and
truncating it would end the process (SIGBUS). Each weight is written once, in the network's dtype.
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
from .container import resolve_link, shard_files

N = TypeVar("N", bound=nn.Module)

TORCH_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
}
_AT_ONCE = 1 << 20  # bytes that are read before they are converted, so that they fit into the CPU's cache
_FILL_METHODS = {"zero_", "fill_", "uniform_", "normal_"}
_FACTORIES = {
    torch.empty,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.arange,
    torch.linspace,
    torch.tensor,
    torch.eye,
}
# On the meta device torch does these in Python. It imports sympy and its compiler for that: seconds, and
# 1,000 modules that nothing else here needs.
_RANDOM_FACTORIES = {torch.rand, torch.randn}
_SCALINGS = {torch.Tensor.mul, torch.Tensor.div}


class _OnMetaDevice(TorchFunctionMode):
    """While entered, new tensors are on the meta device, and initialisation is skipped.

    `torch.device("meta")` alone would run all initialisation, which takes most of the time without effect.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (
            getattr(func, "__module__", "") == "torch.nn.init"
            or getattr(func, "__name__", "") in _FILL_METHODS
        ):
            return args[0] if args else kwargs["tensor"]
        if func in _SCALINGS and isinstance(args[1], (int, float)):
            return args[0]
        if func in _RANDOM_FACTORIES:
            func = torch.empty
        if func in _FACTORIES:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def without_weights(build: Callable[[], N]) -> N:
    """The network that `build` returns, on the meta device, without memory and without initialisation.

    Garbage collection is paused, because a thousand new modules would start it, and it would traverse all of
    torch.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with _OnMetaDevice():
            return build()
    finally:
        if collects:
            gc.enable()


class TensorFile:
    """Reads tensors of a safetensors file, or of all files of an index.

    `container.open_weights` must have checked the headers. Sizes are checked again, because the file may have
    been replaced in the meantime.
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
                    file = stack.enter_context(resolve_link(one).open("rb", buffering=0))
                except OSError as error:
                    raise CheckpointError(f"{one} cannot be read ({error.strerror}).") from error
                try:
                    length = struct.unpack("<Q", file.read(8))[0]
                    entries = json.loads(file.read(length).decode("utf-8"))
                    self._places |= {name: (file, 8 + length, entry) for name, entry in entries.items()}
                except (OSError, ValueError, RecursionError, AttributeError, struct.error) as error:
                    raise self._changed_error() from error
            self._open = stack.pop_all()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of a tensor in the file, as torch's."""
        return TORCH_DTYPES[self._places[name][2]["dtype"]]

    def new(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> torch.Tensor:
        """An uninitialised tensor in `dtype` or the file's dtype.

        Raises `CheckpointError` if memory is short.
        """
        try:
            return torch.empty(shape, dtype=dtype or self.dtype(name))
        except RuntimeError as error:  # what torch's allocator raises
            raise CheckpointError(
                f"There is not enough memory for the weights of {self.path.name}. Close other programs, or "
                "compute in a precision of 16 bits."
            ) from error

    def read(self, name: str, out: torch.Tensor) -> torch.Tensor:
        """Read a tensor into `out`, which is contiguous, has as many elements, and any dtype.

        Returns `out`.
        """
        dtype = self.dtype(name)
        file, start, entry = self._places[name]
        begin, end = entry["data_offsets"]
        if end - begin != out.numel() * dtype.itemsize:
            raise self._changed_error()
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
                raise self._changed_error()
            view = view[count:]

    def _changed_error(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path.name} was changed while it was being read. Wait until it is written, and open it "
            "again."
        )


def take_weights(network: nn.Module, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Give a network of `without_weights` its weights, which must match it exactly, and freeze it."""
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)
