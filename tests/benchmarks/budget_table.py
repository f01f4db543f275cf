"""Measure the table behind a time budget: the Frechet distance of a bundled model over samplers and steps.

    python tests/benchmarks/budget_table.py fashion-mnist fashion-mnist
    python tests/benchmarks/budget_table.py heroes heroes32.npz
    python tests/benchmarks/budget_table.py letters runs/letters.npz
    python tests/benchmarks/budget_table.py emoji emoji64.npz
    python tests/benchmarks/budget_table.py mnist mnist.npz

It is written to `checkpoints/MODEL/steps.csv`, where `diffusion_studio.runs.budget` looks for it. Pictures are
drawn at the model's own guidance from the same seeds in every row. With so few pictures the distance is too
large, so compare it only within one table. An interrupted table continues where it was. It needs the features
of EfficientNet-Lite0, see `scripts/feature_weights.py`.
"""

from __future__ import annotations

import argparse
import sys

from diffusion_studio.__main__ import main as diffusion_studio

SAMPLERS = ("ddim", "dpmpp_2m", "unipc", "ddpm")
STEPS = (3, 5, 8, 12, 20)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled model's name")
    parser.add_argument("data", help="its data, by name or path")
    parser.add_argument("--pictures", default="500")
    parser.add_argument("--real", default="2000")
    parser.add_argument("--out", help="where to write instead")
    given = parser.parse_args()
    out = given.out or f"checkpoints/{given.model}/steps.csv"
    sys.argv[1:] = [
        *("evaluate", given.model, "--data", given.data, "--metrics", "frechet,kernel"),
        *("--pictures", given.pictures, "--real", given.real),
        *("--sampler", *SAMPLERS, "--steps", *map(str, STEPS), "--table", out),
    ]
    diffusion_studio()


if __name__ == "__main__":
    main()
