"""How fast is one network call, and a whole run, beside diffusers with equal weights?

    python tests/benchmarks/against_diffusers.py --threads 2
    python tests/benchmarks/against_diffusers.py --threads 1 --batches 4 --repeats 21

Installs nothing. It needs diffusers in the Python that runs it (measured with 0.42.1); without it only our own
figures are printed. The network is DDPM's for CIFAR-10 (35.7 M parameters: 128 channels, levels 1, 2, 2, 2,
attention at 16) with random weights. diffusers writes it as a folder, and we open that folder, so that both
compute the same. All contenders take turns in one process, and a ratio is the median over the turns, of
the clock and, with one thread, of the processor's time, which other programs on the machine disturb less.

diffusers        UNet2DModel as it comes: fp32
channels last    the same with `to(memory_format=torch.channels_last)`, the best setting that its guide names
                 for a CPU without compiling
ours             the network of `ds.load(..., precision="fp32")`, as a run calls it
auto             the network of precision "auto", where that is bf16 on this CPU

The largest difference between our output and diffusers' must be at most 1e-5. A run of 50 DDIM steps in
"auto" is compared with the same run in fp32 by PSNR, once with the random weights and once with the bundled
cifar10.

Targets: 1.5, 1.35 and 1.3 times diffusers at 1, 4 and 16 pictures in fp32; "auto" 2.5 times ours in fp32 where
it is bf16, with 40 dB PSNR; 85 % of the rate of convolution alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

WANTED = {1: 1.5, 4: 1.35, 16: 1.3}
WANTED_AUTO, WANTED_PSNR, WANTED_RATE, MOST_APART = 2.5, 40.0, 0.85, 1e-5
SIZE, STEPS = 32, 50


def main() -> None:
    asked = arguments()
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)  # before torch is imported
    import torch
    from _timing import ROOT, spread

    torch.set_num_threads(asked.threads)
    import diffusion_studio as ds

    print(f"{cpu_name()}, {asked.threads} threads, torch {torch.__version__}, {versions()}")
    with tempfile.TemporaryDirectory() as folder:
        theirs = written(Path(folder))
        fp32 = ds.load(folder, "cpu", "fp32")
        auto = ds.load(folder, "cpu", "auto")
    low = auto.dtype != torch.float32
    with torch.inference_mode():
        for batch in asked.batches:
            calls = contenders(theirs, fp32, auto if low else None, batch)
            if theirs is not None:
                apart = (calls["ours"]() - calls["diffusers"]()).abs().max().item()
                print(
                    f"\nbatch {batch}: outputs differ by at most {apart:.1e}   "
                    f"{verdict(apart <= MOST_APART, f'<= {MOST_APART:g}')}"
                )
            else:
                print(f"\nbatch {batch}")
            taken = in_turns(calls, asked.repeats)
            for name, turns in taken.items():
                print(f"  {name:14} {spread([clock for clock, _ in turns])}")
            for name, goal in (("diffusers", WANTED.get(batch)), ("channels last", None)):
                if name in taken:
                    told_ratio(f"ours against {name}", taken[name], taken["ours"], goal, asked.threads)
            if low:
                told_ratio(
                    "auto against ours in fp32", taken["ours"], taken["auto"], WANTED_AUTO, asked.threads
                )
                if theirs is not None:
                    told_ratio(
                        "auto against diffusers", taken["diffusers"], taken["auto"], None, asked.threads
                    )
            told_rate(fp32, batch, taken["ours"], 1 if asked.threads == 1 else 0)
    if low and not asked.no_run:
        bundled = ROOT / "checkpoints" / "cifar10"
        pairs = {"random weights": (fp32, auto)}
        if bundled.is_dir():
            pairs["cifar10"] = tuple(ds.load(bundled, "cpu", one) for one in ("fp32", "auto"))
        for name, (full, fast) in pairs.items():
            found = psnr(finished(full), finished(fast))
            print(
                f"\n{name}: last picture of {STEPS} DDIM steps, auto against fp32: {found:.1f} dB   "
                f"{verdict(found >= WANTED_PSNR, f'>= {WANTED_PSNR:g}')}"
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--no-run", action="store_true", help="leave out the runs of 50 steps")
    return parser.parse_args()


def written(folder: Path):
    """diffusers' network, saved in the folder; without diffusers our own is saved there and None returned."""
    import torch

    torch.manual_seed(0)
    if find_spec("diffusers") is None:
        ours_alone(folder)
        return None
    from diffusers import DDPMScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=SIZE,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
    ).eval()
    network.save_pretrained(folder)
    DDPMScheduler().save_pretrained(folder)
    return network


def ours_alone(folder: Path) -> None:
    """The same network with random weights in our own format."""
    from diffusion_studio import ModelSpec
    from diffusion_studio.checkpoint import native
    from diffusion_studio.networks.config import UNetConfig
    from diffusion_studio.networks.networks import build

    config = UNetConfig(channels=128, multipliers=(1, 2, 2, 2), attention_levels=(1,), conditioning="add")
    network = build(config)
    native.save(folder / "model.safetensors", ModelSpec(network=config, image_size=SIZE), network)


def contenders(theirs, fp32, auto, batch: int):
    """One network call of each, for the same pictures."""
    import torch

    # one time for all, as a run asks
    x, t = torch.randn(batch, 3, SIZE, SIZE), torch.full((1,), 500.0).expand(batch)
    last = x.to(memory_format=torch.channels_last)
    for model in (fp32, auto):
        if model is not None:
            model.denoiser()  # arranges the weights, as a run does
    calls = {"ours": lambda: fp32.network(last, t)}
    if theirs is not None:
        import copy

        laid = copy.deepcopy(theirs).to(memory_format=torch.channels_last)
        calls["diffusers"] = lambda: theirs(x, t, return_dict=False)[0]
        calls["channels last"] = lambda: laid(last, t, return_dict=False)[0]
    if auto is not None:
        calls["auto"] = lambda: auto.network(last.to(auto.dtype), t).float()
    return calls


Turn = tuple[float, float]  # seconds by the clock, and of the processor


def in_turns(calls, repeats: int) -> dict[str, list[Turn]]:
    """What each call takes, one after the other in an order that turns; the first round warms up."""
    import time

    taken: dict[str, list[Turn]] = {name: [] for name in calls}
    for k in range(repeats + 1):
        for name in list(calls) if k % 2 == 0 else list(calls)[::-1]:
            clock, worked = time.perf_counter(), time.process_time()
            calls[name]()
            taken[name].append((time.perf_counter() - clock, time.process_time() - worked))
    return {name: turns[1:] for name, turns in taken.items()}


def told_ratio(what: str, slower: list[Turn], faster: list[Turn], goal: float | None, threads: int) -> None:
    """Print how many times as fast. Threads that wait for each other count as working, so that of several
    threads only the clock tells.
    """
    clock, worked = (statistics.median(a[k] / b[k] for a, b in zip(slower, faster)) for k in (0, 1))
    best = worked if threads == 1 else clock
    print(
        f"  {what}: {clock:.2f} times by the clock"
        + (f", {worked:.2f} of the processor" if threads == 1 else "")
        + ("" if goal is None else f"   {verdict(best >= goal, f'>= {goal:g}')}")
    )


def told_rate(model, batch: int, turns: list[Turn], clock: int) -> None:
    """How near the call comes to the rate of convolution alone, at the best of both: a busy machine only
    slows.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.randn(batch, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        model.network(x, torch.full((batch,), 500.0))
    taken = min(turn[clock] for turn in turns)
    rate, alone = counter.get_total_flops() / taken, convolution_rate(batch, clock)
    print(
        f"  {rate / 1e9:.0f} GFLOP/s of {alone / 1e9:.0f} that a convolution alone reaches: "
        f"{rate / alone:.0%}   {verdict(rate / alone >= WANTED_RATE, f'>= {WANTED_RATE:.0%}')}"
    )


def convolution_rate(batch: int, clock: int) -> float:
    """FLOP/s of a 3x3 convolution of 256 channels on maps of 16x16, as most of the network's are."""
    import torch

    conv = torch.nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(batch, 256, 16, 16).to(memory_format=torch.channels_last)
    turns = in_turns({"conv": lambda: conv(x)}, 15)["conv"]
    return 2 * batch * 16 * 16 * 256 * 256 * 9 / min(turn[clock] for turn in turns)


def finished(model):
    """The last pictures of a run, (N, H, W, C) uint8."""
    import diffusion_studio as ds
    from diffusion_studio.runs.generate import stream

    labels = model.spec.labels
    recipe = ds.Recipe.from_settings(
        {"label": labels[0] if labels else None, "seeds": (0, 1, 2, 3), "steps": STEPS}
    )
    *_, last = stream(model, recipe)
    return last.x0


def psnr(a, b) -> float:
    """Peak signal to noise ratio of uint8 pictures, in dB."""
    import numpy as np

    error = np.square(a.astype(float) - b.astype(float)).mean()
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def verdict(met: bool, target: str) -> str:
    return f"target {target}: {'met' if met else 'MISSED'}"


def cpu_name() -> str:
    """The processor as the system names it, with what of its instructions matters here."""
    import platform

    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in lines.items()}
    flags = facts.get("flags", "").split()
    known = [one for one in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if one in flags]
    model = f"family {facts.get('cpu family')} model {facts.get('model')}"
    return f"{facts.get('model name', platform.machine())} ({model}; {', '.join(known) or 'no vector flags'})"


def versions() -> str:
    if find_spec("diffusers") is None:
        return "no diffusers in this Python: only our own figures"
    import diffusers

    return f"diffusers {diffusers.__version__}"


if __name__ == "__main__":
    main()
    sys.exit(0)
