"""How long a published checkpoint takes to open, against reading its file with safetensors alone, in one run.

    python tests/benchmarks/open_speed.py

The layout is diffusers' google/ddpm-cifar10-32 (35.7 M parameters, 143 MB of fp32) with random weights. Prints the ratio of
CPU times (the file in the page cache, median of 7 rounds; a busy machine spoils the clock's time) and the memory taken.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from diffusion_studio import checkpoint
from diffusion_studio.checkpoint import diffusers
from diffusion_studio.checkpoint.walk import renames
from diffusion_studio.model import load
from diffusion_studio.nets.config import UNetConfig
from diffusion_studio.nets.unet import UNet

CONFIG = {"sample_size": 32, "in_channels": 3, "out_channels": 3, "block_out_channels": [128, 256, 256, 256], "layers_per_block": 2,
          "attention_head_dim": None, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6}
_PEAK = """
import resource, sys
import torch
from diffusion_studio.checkpoint import assemble
from diffusion_studio.model import load
def now():
    return int(next(line for line in open('/proc/self/status') if line.startswith('RssAnon')).split()[1])
before = now()
model = load(sys.argv[1], 'cpu', 'fp32')
print(now() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def written(folder: Path) -> Path:
    """The file, made from a network of ours under diffusers' names."""
    config = UNetConfig(channels=128, multipliers=(1, 2, 2, 2), blocks=2, attention_levels=(1,), conditioning="add",
                        downsample_padding="end", norm_eps=1e-6, time_order="sin_cos", time_shift=1)
    state, theirs = UNet(config).state_dict(), {}
    for one in renames(config, lambda part: diffusers._place(part, 3), diffusers._INSIDE):
        for name, part in zip(one.theirs, state[one.ours].chunk(len(one.theirs))):
            theirs[name] = torch.randn(part.shape)
    save_file(theirs, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder / "diffusion_pytorch_model.safetensors"


def median(run) -> float:
    times = []
    for _ in range(7):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder))
        size = path.stat().st_size
        load(path, "cpu", "fp32")                                            # imports, and the file into the page cache

        def touched() -> None:
            sum(float(tensor.sum()) for tensor in load_file(path).values())   # load_file alone maps pages and reads nothing

        alone, ours = median(touched), median(lambda: sum(float(t.sum()) for t in load(path, "cpu", "fp32").network.state_dict().values()))
        print(f"{size / 1e6:.0f} MB; every weight read once: safetensors {alone * 1e3:.0f} ms, ds.load {ours * 1e3:.0f} ms, "
              f"ratio {ours / alone:.2f}")
        print(f"load_file alone {median(lambda: load_file(path)) * 1e3:.0f} ms, ds.load alone "
              f"{median(lambda: load(path, 'cpu', 'fp32')) * 1e3:.0f} ms")
        print(f"inspect {median(lambda: checkpoint.inspect(path)) * 1e3:.0f} ms in a running program")
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "diffusion_studio", "inspect", str(path)], check=True, stdout=subprocess.DEVNULL)
        print(f"diffusion-studio inspect {time.perf_counter() - begin:.2f} s in a fresh process")
        done = subprocess.run([sys.executable, "-c", _PEAK, str(path)], check=True, capture_output=True, text=True)
        print(f"memory of its own after loading: {int(done.stdout.split()[0]) * 1024 / size:.2f} times the file")


if __name__ == "__main__":
    main()
