"""The device and the precision of networks. States of a run and schedules stay in float32 or better."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import OptionError, unknown

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "fp64")
# CPU flags that mean quick bf16 products. Other CPUs emulate them, which is slower than fp32, and so are the
# products of AVX-512 alone (avx512_bf16 without amx_bf16): see tests/benchmarks/precision_speed.py.
_QUICK_BF16 = {"amx_bf16", "bf16"}
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # parameter numbers of mallopt(3)


def pick_device(wanted: str = "auto") -> torch.device:
    """The torch device for "auto" (CUDA, else MPS, else CPU) or for a name such as "cpu" or "cuda:1".

    Raises `OptionError` for an unknown device and for one that this machine does not have.
    """
    import torch

    kind = wanted.partition(":")[0]
    if kind not in DEVICES or (kind == "auto" and wanted != "auto"):
        raise unknown("device", wanted, DEVICES)
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if has[name]))
    if not has[kind]:
        here = ", ".join(name for name, there in has.items() if there)
        raise OptionError(
            "device", f"Device {wanted!r} is not available on this machine. Available: {here}, or 'auto'."
        )
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(
            "device", f"Device {wanted!r} cannot be used: {str(error).splitlines()[0]}. Try 'auto'."
        ) from error
    return device


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype of networks. "auto" is bf16 on a CPU with quick bf16 products, and fp32 everywhere else.

    Raises `OptionError` for an unknown precision, and for fp64 on an MPS device.
    """
    import torch

    if wanted not in PRECISIONS:
        raise unknown("precision", wanted, PRECISIONS)
    if wanted == "fp64" and device.type == "mps":
        raise OptionError("precision", "MPS devices have no fp64. Choose fp32, or device 'cpu'.")
    if wanted == "auto":
        wanted = "bf16" if device.type == "cpu" and cpu_is_quick_in_bf16() else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}[
        wanted
    ]


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB of freed memory instead of returning it to the kernel after each layer.

    By default glibc returns large blocks at once. The kernel then clears them again for every call, which
    took a tenth of a small network's time on a CPU. Does nothing with other C libraries.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 256 << 20)
    mallopt(_M_TOP_PAD, 64 << 20)


def cpu_is_quick_in_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the flags in /proc/cpuinfo name bf16 products that are quicker than fp32. False on systems
    without this file.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return bool(_QUICK_BF16 & set(flags.split()))


def describe(device: torch.device) -> str:
    """A device's name for cards and logs: that of the GPU, or that of the CPU with its thread count."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device.type.upper()}, {torch.get_num_threads()} threads"
