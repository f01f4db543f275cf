"""How long a published checkpoint takes to open, against reading its file with safetensors alone; and the
memory it takes.

    python tests/benchmarks/open_speed.py [--repeats 7]

The layout is diffusers' google/ddpm-cifar10-32 (35.7 M parameters, 143 MB of fp32) with random weights. Each
opening happens in a fresh process, as people's do, after its imports and a tiny file; the two ways take
turns; the file is in the page cache.

Reading means that the weights are in memory afterwards. `safetensors.torch.load_file` by itself maps the file
and reads nothing (it is shown too): what it leaves out is paid at the first use, and the map has to be copied
anyway by whoever does not want to depend on the file. So the measure is load_file with a clone of every
tensor. Ours reads into memory of its own, and is ready: checked, strict, in the network. CPU time is
compared, as other programs' load spoils the clock's.

Targets: at most 1.3 times reading; peak of resident memory, mapped pages included, at most 1.2 times the
weights; `diffusion-studio inspect` less than 0.7 s in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from _timing import ROOT, against
from safetensors.torch import save_file

from diffusion_studio.checkpoint import diffusers
from diffusion_studio.checkpoint.renames import renames
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet

CONFIG = {
    "sample_size": 32,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [128, 256, 256, 256],
    "layers_per_block": 2,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
MOST_TIME, MOST_MEMORY, MOST_INSPECT = 1.3, 1.2, 0.7
_CHILD = """
import resource, sys, time
import torch
from safetensors.torch import load_file
from diffusion_studio.models.model import load
how, path, tiny = sys.argv[1:]
ways = {"lazy": load_file, "read": lambda at: {k: t.clone() for k, t in load_file(at).items()},
        "ours": lambda at: load(at, "cpu", "fp32")}
load(tiny, "cpu", "fp32"), load_file(tiny)
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
def now():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024
before = now()
cpu, clock = time.process_time(), time.perf_counter()
kept = ways[how](path)
print(time.process_time() - cpu, time.perf_counter() - clock, peak() - before)
"""


def written(folder: Path, config: UNetConfig, given: dict) -> Path:
    """A file of diffusers' layout with random weights, made from a network of ours, and its config.json."""
    state, theirs = UNet(config).state_dict(), {}
    for one in renames(
        config, lambda part: diffusers.place(part, given["layers_per_block"] + 1), diffusers.INSIDE
    ):
        for name, part in zip(one.theirs, state[one.ours].chunk(len(one.theirs))):
            theirs[name] = torch.randn(part.shape)
    folder.mkdir()
    save_file(theirs, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(given))
    return folder / "diffusion_pytorch_model.safetensors"


def child(how: str, path: Path, tiny: Path) -> tuple[float, float, float]:
    """CPU seconds, seconds and bytes of opening in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, how, str(path), str(tiny)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(map(float, done.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    small = {**CONFIG, "block_out_channels": [32, 32, 32, 32], "norm_num_groups": 32}
    common = {
        "blocks": 2,
        "attention_levels": (1,),
        "conditioning": "add",
        "downsample_padding": "end",
        "norm_eps": 1e-6,
        "time_order": "sin_cos",
        "time_shift": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = written(
            Path(folder) / "cifar", UNetConfig(channels=128, multipliers=(1, 2, 2, 2), **common), CONFIG
        )
        tiny = written(
            Path(folder) / "tiny", UNetConfig(channels=32, multipliers=(1, 1, 1, 1), **common), small
        )
        size = path.stat().st_size
        taken: dict[str, list] = {"lazy": [], "read": [], "ours": []}
        for _ in range(repeats):
            for how in taken:
                taken[how].append(child(how, path, tiny))
        cpu = {how: statistics.median(one[0] for one in each) for how, each in taken.items()}
        for how, words in (
            ("lazy", "load_file, which maps"),
            ("read", "load_file and clone"),
            ("ours", "ds.load, ready"),
        ):
            low, high = min(one[0] for one in taken[how]), max(one[0] for one in taken[how])
            print(
                f"{words:22} {cpu[how] * 1e3:5.0f} ms of CPU ({low * 1e3:.0f} to {high * 1e3:.0f}, {repeats} "
                "processes)"
            )
        ratio, memory = cpu["ours"] / cpu["read"], max(one[2] for one in taken["ours"]) / size
        print(f"time                   {ratio:.2f} times reading   {against(ratio, MOST_TIME)}")
        print(f"peak of memory         {memory:.2f} times the weights   {against(memory, MOST_MEMORY)}")
        times = []
        for _ in range(repeats):
            before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "diffusion_studio", "inspect", str(path)],
                cwd=ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(
                (
                    time.perf_counter() - begin,
                    after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                )
            )
        wall, own = (statistics.median(one[k] for one in times) for k in (0, 1))
        print(f"inspect                {wall:.2f} s, {own:.2f} s of CPU   {against(wall, MOST_INSPECT)}")


if __name__ == "__main__":
    main()
