"""Device and precision."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diffusion_studio import device
from diffusion_studio.errors import OptionError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "text, answer",
    [
        ("processor\t: 0\nflags\t\t: fpu vme avx512f avx512_bf16 amx_bf16 amx_tile\n", True),
        ("flags\t\t: fpu avx512f avx512_bf16\n", False),  # slower than fp32 without AMX
        ("flags\t\t: fpu amx_bf16\n", True),
        ("processor : 0\nFeatures\t: fp asimd bf16 i8mm\n", True),  # as ARM writes it
        ("flags\t\t: fpu vme avx2 avx512f\nmodel name\t: bf16 deluxe\n", False),  # a name is not a flag
        ("flags\t\t: fpu xbf16y amx_bf16_not\n", False),
        ("", False),
    ],
)
def test_bf16_is_read_from_the_cpus_flags(tmp_path, text, answer):
    (tmp_path / "cpuinfo").write_text(text)
    assert device.cpu_is_quick_in_bf16(tmp_path / "cpuinfo") is answer


def test_no_cpuinfo_means_no_bf16(tmp_path):
    assert device.cpu_is_quick_in_bf16(tmp_path / "absent") is False


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "auto"])
def test_devices_that_every_machine_has(name):
    assert device.pick_device(name).type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["gpu", "", "cude:0", "xpu"])
def test_an_unknown_device_is_named_with_the_known_ones(name):
    with pytest.raises(
        OptionError, match=f"There is no device '{name}'. Choose one of: auto, cpu, cuda, mps"
    ):
        device.pick_device(name)


@pytest.mark.parametrize("name", ["auto:1", "cpu:x", "cpu:-1"])
def test_a_nonsensical_index_is_an_option_error(name):
    with pytest.raises(OptionError, match=name):
        device.pick_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_is_not_here_says_what_is(name):
    with pytest.raises(
        OptionError, match=f"Device '{name}' is not available on this machine. Available: cpu"
    ):
        device.pick_device(name)


@pytest.mark.parametrize(
    "name, dtype",
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp64", torch.float64)],
)
def test_precisions_by_name(name, dtype):
    assert device.pick_dtype(name, CPU) is dtype


def test_auto_precision():
    assert device.pick_dtype("auto", CPU) is (
        torch.bfloat16 if device.cpu_is_quick_in_bf16() else torch.float32
    )
    assert device.pick_dtype("auto", torch.device("cuda")) is torch.float32


def test_wrong_precisions():
    with pytest.raises(
        OptionError, match="There is no precision 'fp8'. Choose one of: auto, fp32, bf16, fp16, fp64"
    ):
        device.pick_dtype("fp8", CPU)
    with pytest.raises(OptionError, match="MPS devices have no fp64"):
        device.pick_dtype("fp64", torch.device("mps"))


def test_describe_names_the_machine():
    assert f"{torch.get_num_threads()} threads" in device.describe(CPU)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes the advice")
def test_a_network_does_not_ask_the_kernel_for_memory_at_every_layer():
    """Page faults of a model's calls: thousands for each where the C library gives memory back at once."""
    code = """
import resource, sys, torch
import diffusion_studio as ds
model = ds.load(sys.argv[1], "cpu", "fp32")
x, level = torch.randn(8, *model.shape), model.schedule.level(500)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
with torch.inference_mode():
    for _ in range(5):
        model.denoiser()(x, level)
    before = faults()
    for _ in range(5):
        model.denoiser()(x, level)
print(faults() - before)
"""
    bundled = Path(__file__).resolve().parents[1] / "checkpoints" / "fashion-mnist"
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundled)], capture_output=True, text=True, timeout=600, check=True
    )
    assert int(done.stdout) < 1000
