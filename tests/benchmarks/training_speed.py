"""How fast is a training step, against the same network in a plain loop and against public networks of its
width?

    python tests/benchmarks/training_speed.py [--other-python PYTHON]

The network is DDPM's for CIFAR-10 (35.7 M parameters: 128 channels, levels 1, 2, 2, 2, attention at 16,
dropout 0.1) in batches of 16. Each contender lives in a process of its own, as memory is handled differently
in each; they take turns.

ours        `diffusion_studio.training`: data, noise, network, clipping, fused AdamW, averaging, everything
plain       the same U-Net in an ordinary fp32 loop: contiguous tensors, Adam parameter by parameter, averaging
diffusers   UNet2DModel with the same widths in that plain loop; left out where diffusers cannot be imported
lucidrains  the U-Net of denoising_diffusion_pytorch of that width in the plain loop, likewise. It has other
            blocks: one norm less in each, linear attention on every level

--other-python names the Python that has the public ones.

Also measured: which share of our step goes into reading data and drawing noise, and how near the step comes
to the rate of the machine's own convolution (3x3, 256 to 256 channels, forward and backward, in the step's
precision and the faster of both memory layouts).

Targets: at least 1.8 times the throughput of a public one, reading data at most 3 % of the time, at least 60
% of the convolution rate. The first needs a device that multiplies faster in bf16: a plain fp32 loop on a CPU
spends most of its time in the same convolutions, and the script says how much is left beside them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEAST_RATIO, MOST_DATA, LEAST_RATE = 1.8, 0.03, 0.6
SIZE = 32
NEEDED = {"diffusers": "diffusers", "lucidrains": "denoising_diffusion_pytorch"}


def main() -> None:
    asked = arguments()
    if asked.worker:
        return work(asked)
    names = {"ours": sys.executable, "plain": sys.executable, **dict.fromkeys(NEEDED, asked.other_python)}
    workers = {name: Worker(name, python, asked) for name, python in names.items()}
    for name in [name for name, worker in workers.items() if worker.facts is None]:
        print(f"{name:10s} left out: it cannot be imported by {names[name]}")
        del workers[name]
    taken = {name: [] for name in workers}
    for k in range(asked.repeats + 1):  # the first round warms up
        for name in list(workers) if k % 2 == 0 else list(workers)[::-1]:
            taken[name].append(workers[name].step())
    typical = {name: statistics.median(times[1:]) for name, times in taken.items()}
    for name, times in taken.items():
        facts = workers[name].facts
        print(
            f"{name:10s} {typical[name]:.3f} s a step ({min(times[1:]):.3f} to {max(times[1:]):.3f}), "
            f"{asked.batch / typical[name]:.2f} images/s, {facts['parameters'] / 1e6:.1f} M parameters, "
            f"{facts['where']}"
        )
    for name in workers:
        if name != "ours":
            ratio = typical[name] / typical["ours"]
            print(f"throughput against {name}: {ratio:.2f}   {at_least(ratio, LEAST_RATIO)}")
    extra = workers["ours"].ask("extra")
    print(
        f"reading data {extra['data'] / typical['ours']:.2%} of a step   "
        f"{'met' if extra['data'] / typical['ours'] <= MOST_DATA else 'MISSED'} (target <= {MOST_DATA:.0%}); "
        f"drawing noise {extra['noise'] / typical['ours']:.2%}"
    )
    rate = extra["flops"] / typical["ours"]
    print(
        f"{rate / 1e9:.1f} GFLOP/s of {extra['convolution'] / 1e9:.1f} that convolution alone reaches: "
        f"{rate / extra['convolution']:.1%}   {at_least(rate / extra['convolution'], LEAST_RATE)}"
    )
    if not extra["low"]:
        most = extra["convolution"] * typical["plain"] / extra["flops"]
        print(
            f"in fp32 a step of nothing but convolution at that rate has {most:.2f} times the throughput of "
            "plain"
        )
    for worker in workers.values():
        worker.process.communicate("end\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=0, help="of each contender; by default torch's own number"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="of ours: auto, fp32 or bf16")
    parser.add_argument("--compile", action="store_true", help="compile ours")
    parser.add_argument("--other-python", default=sys.executable, help="the Python that has the public ones")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def at_least(measured: float, target: float) -> str:
    return f"target >= {target:g}: {'met' if measured >= target else 'MISSED'}"


class Worker:
    """A contender's process. `facts` is None where it could not start."""

    def __init__(self, name: str, python: str, asked: argparse.Namespace) -> None:
        words = [
            python,
            __file__,
            "--worker",
            name,
            "--channels",
            str(asked.channels),
            "--batch",
            str(asked.batch),
            "--device",
            asked.device,
            "--precision",
            asked.precision,
            "--threads",
            str(asked.threads),
        ]
        self.process = subprocess.Popen(
            words + ["--compile"] * asked.compile, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        self.facts = json.loads(line) if line else None

    def ask(self, what: str):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def step(self) -> float:
        return self.ask("step")


# --- inside a contender's process


def work(asked: argparse.Namespace) -> None:
    import torch

    if asked.threads:
        torch.set_num_threads(asked.threads)
    if asked.worker in NEEDED and importlib.util.find_spec(NEEDED[asked.worker]) is None:
        return
    contender = {"ours": Ours, "plain": Plain, "diffusers": Diffusers, "lucidrains": Lucidrains}[
        asked.worker
    ](asked)
    where = f"{contender.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    answer({"parameters": sum(p.numel() for p in contender.network.parameters()), "where": where})
    for line in sys.stdin:
        if line.strip() == "end":
            return
        if line.strip() == "extra":
            answer(contender.extra())
            continue
        start = time.perf_counter()
        contender.step()
        if contender.device.type == "cuda":
            torch.cuda.synchronize()
        answer(time.perf_counter() - start)


def answer(what) -> None:
    print(json.dumps(what), flush=True)


def pictures():
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (512, SIZE, SIZE, 3), np.uint8)


class Ours:
    def __init__(self, asked: argparse.Namespace) -> None:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        import numpy as np

        from diffusion_studio.device import pick_device
        from diffusion_studio.training.config import TrainConfig
        from diffusion_studio.training.run import RunFolder
        from diffusion_studio.training.trainer import Trainer

        self.device = pick_device(asked.device)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pictures.npz")
            np.savez(path, images=pictures())
            config = TrainConfig(
                data=path,
                size=SIZE,
                channels=asked.channels,
                multipliers="1,2,2,2",
                blocks=2,
                attention="16",
                heads=1,
                norm_groups=32,
                conditioning="add",
                dropout=0.1,
                images=10**7,
                batch=asked.batch,
                lr=2e-4,
                warmup=5000,
                cooldown=0.0,
                ema=0.9999,
                precision=asked.precision,
            )
            self.trainer = Trainer(config, RunFolder(folder), self.device, compile=asked.compile)
        self.network = self.trainer.network

    def step(self) -> None:
        self.trainer.step()

    def extra(self) -> dict[str, float]:
        from torch.utils.flop_counter import FlopCounterMode

        from diffusion_studio.training.draws import draw_batch, draw_part

        trainer, config = self.trainer, self.trainer.config
        x0, _ = trainer._batch(0)
        drawn = draw_batch(0, 0, config.batch, trainer.timesteps, 0.0, False)
        draw = draw_part(drawn, slice(0, config.batch), 0, 0, x0)
        with FlopCounterMode(display=False) as counter:
            trainer.objective(self.network, x0, None, draw).backward()
        trainer.optimizer.zero_grad()
        return {
            "flops": counter.get_total_flops(),
            "convolution": convolution_rate(self.device, trainer.dtype),
            "low": trainer.dtype.itemsize < 4,
            "data": median_of(20, lambda k: trainer._batch(k * config.batch)),
            "noise": median_of(20, lambda k: draw_part(drawn, slice(0, config.batch), 0, k, x0)),
        }


class Plain:
    """What one writes first."""

    def __init__(self, asked: argparse.Namespace) -> None:
        import copy

        import torch

        has = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(has if asked.device == "auto" else asked.device)
        self.network = self.build(asked).to(self.device).train()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=2e-4, foreach=False)
        self.images = torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 127.5 - 1
        self.bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0).to(self.device)
        self.batch = asked.batch

    def build(self, asked: argparse.Namespace):
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        from diffusion_studio.networks.config import UNetConfig
        from diffusion_studio.networks.unet import UNet

        return UNet(
            UNetConfig(
                in_channels=3,
                out_channels=3,
                channels=asked.channels,
                multipliers=(1, 2, 2, 2),
                blocks=2,
                attention_levels=(1,),
                conditioning="add",
                dropout=0.1,
            )
        )

    def predict(self, x, t):
        return self.network(x, t)

    def step(self) -> None:
        import torch
        import torch.nn.functional as F

        x0 = self.images[torch.randint(len(self.images), (self.batch,))].to(self.device)
        t = torch.randint(1000, (self.batch,), device=self.device)
        noise = torch.randn_like(x0)
        bar = self.bar[t].view(-1, 1, 1, 1)
        loss = F.mse_loss(self.predict(bar.sqrt() * x0 + (1 - bar).sqrt() * noise, t), noise)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for p, q in zip(self.network.parameters(), self.average.parameters()):
                q.copy_(0.9999 * q + 0.0001 * p)
        loss.item()


class Diffusers(Plain):
    def build(self, asked: argparse.Namespace):
        from diffusers import UNet2DModel

        widths = [asked.channels * m for m in (1, 2, 2, 2)]
        return UNet2DModel(
            sample_size=SIZE,
            in_channels=3,
            out_channels=3,
            layers_per_block=2,
            block_out_channels=widths,
            dropout=0.1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
        )

    def predict(self, x, t):
        return self.network(x, t).sample


class Lucidrains(Plain):
    def build(self, asked: argparse.Namespace):
        from denoising_diffusion_pytorch import Unet

        return Unet(dim=asked.channels, dim_mults=(1, 2, 2, 2), dropout=0.1)


def median_of(count: int, run) -> float:
    taken = []
    for k in range(count):
        start = time.perf_counter()
        run(k)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def convolution_rate(device, dtype) -> float:
    """FLOP/s of a wide 3x3 convolution in the step's precision, forward and backward, in the faster memory
    layout.
    """
    import torch

    best = 0.0
    for layout in (torch.contiguous_format, torch.channels_last):
        conv = torch.nn.Conv2d(256, 256, 3, padding=1).to(device, dtype, memory_format=layout)
        x = torch.randn(16, 256, 16, 16, device=device, dtype=dtype).to(memory_format=layout).requires_grad_()
        upward = torch.randn(16, 256, 16, 16, device=device, dtype=dtype).to(memory_format=layout)

        def run(k: int) -> None:
            conv(x).backward(upward)
            if device.type == "cuda":
                torch.cuda.synchronize()

        run(0)
        best = max(best, 3 * 2 * 16 * 16 * 16 * 256 * 256 * 9 / median_of(7, run))
    return best


if __name__ == "__main__":
    main()
