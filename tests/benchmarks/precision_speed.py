"""How much faster than in fp32 is a run in bf16 on this CPU?

    python tests/benchmarks/precision_speed.py              # the bundled models of pictures
    python tests/benchmarks/precision_speed.py letters heroes --steps 12

Each model makes four pictures in both precisions in turns, in one thread. Prints the processor's time of the
quickest run of each, and their ratio, beside the precision that "auto" chooses.

Target: "auto" chooses the quicker one for every model.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch
from _timing import ROOT, interleaved  # first of what is the project's, as it puts this checkout on the path

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import POINTS
from diffusion_studio.device import describe, pick_device, pick_dtype

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="names of bundled models (default: all of pictures)")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    device = pick_device("cpu")
    auto = next(name for name, dtype in PRECISIONS.items() if dtype is pick_dtype("auto", device))
    print(f'{describe(device)}: "auto" is {auto}')
    known = [card.name for card in ds.Studio(ROOT / "checkpoints").models() if card.spec.makes != POINTS]
    for name in asked.models or known:
        studios = {precision: ds.Studio(ROOT / "checkpoints", "cpu", precision) for precision in PRECISIONS}
        recipe = studios["fp32"].recipe(name, seeds=(0, 1, 2, 3), steps=asked.steps)
        for studio in studios.values():  # loads the weights
            studio.run(recipe)
        runs = {precision: partial(studio.run, recipe) for precision, studio in studios.items()}
        taken = interleaved(runs, asked.repeats, time.process_time)
        fp32, bf16 = (min(taken[precision]) for precision in PRECISIONS)
        quicker = "bf16" if bf16 < fp32 else "fp32"
        met = "met" if quicker == auto else "MISSED"
        print(f"{name}: fp32 {fp32:.2f} s, bf16 {bf16:.2f} s, bf16 is {fp32 / bf16:.2f} times as fast: {met}")


if __name__ == "__main__":
    main()
