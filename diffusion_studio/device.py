"""Where and how precisely networks compute. Sampling state and schedules stay in float32 or better
whatever is chosen.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import OptionError, unknown

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "fp64")
# CPUs with instructions for bf16 products; all others emulate it, slower than fp32.
_NATIVE_BF16 = {"amx_bf16", "avx512_bf16", "bf16"}
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)


def pick_device(wanted: str = "auto") -> torch.device:
    """The torch device for "auto" (CUDA, else MPS, else CPU) or for a name such as "cpu" or "cuda:1"."""
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
    """The networks' dtype. "auto" is bf16 on a CPU that multiplies it natively, float32 everywhere else."""
    import torch

    if wanted not in PRECISIONS:
        raise unknown("precision", wanted, PRECISIONS)
    if wanted == "fp64" and device.type == "mps":
        raise OptionError("precision", "MPS devices have no fp64. Choose fp32, or device 'cpu'.")
    if wanted == "auto":
        wanted = "bf16" if device.type == "cpu" and cpu_has_bf16() else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}[
        wanted
    ]


def keep_freed_memory() -> None:
    """Let the C library keep what networks free, up to 256 MB, instead of asking the kernel anew for every
    layer.

    Its default returns large blocks at once; clearing them again for every call took a tenth of a small
    network's time on a CPU. Does nothing where the C library is not glibc.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 256 << 20)
    mallopt(_M_TOP_PAD, 64 << 20)


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU's flags name native bf16 products (only Linux tells; elsewhere no)."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return bool(_NATIVE_BF16 & set(flags.split()))


def describe(device: torch.device) -> str:
    """A name for cards and logs: the GPU's, or the CPU's with its core count."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device.type.upper()}, {torch.get_num_threads()} threads"
