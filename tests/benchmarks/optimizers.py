"""How far each optimizer brings a network with the same pictures, noise and learning rates.

    python tests/benchmarks/optimizers.py fashion-mnist --images 30000
    python tests/benchmarks/optimizers.py checkpoints/emoji/recipe.toml --images 30000 --start-from checkpoints/emoji/model.safetensors

Prints the mean training loss over each tenth of the run, and at its end over the last twentieth as a ratio;
the draws are the same, so small differences count. Seconds per step are for scale: a busy machine disturbs
them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import diffusion_studio as ds
from diffusion_studio.training.config import OPTIMIZERS
from diffusion_studio.training.config_file import read_config


def losses_of(config: ds.TrainConfig, device: str) -> tuple[np.ndarray, float]:
    """The loss of every step, and seconds per step."""
    with tempfile.TemporaryDirectory() as folder:
        began, found = time.perf_counter(), []
        for step in ds.train(
            config, Path(folder) / "run", device=device, sample_every=0, save_every=config.images
        ):
            found.append(step.loss)
        return np.array(found), (time.perf_counter() - began) / len(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a recipe.toml, or the name of a data set")
    parser.add_argument("--images", type=int, default=30_000)
    parser.add_argument("--start-from", default="", help="a model file to begin with")
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS))
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    base = read_config(asked.recipe) if asked.recipe.endswith(".toml") else ds.train_config(data=asked.recipe)
    base = replace(
        base, images=asked.images, warmup=asked.warmup, start_from=asked.start_from, precision=asked.precision
    )
    ends = {}
    for name in asked.optimizers:
        losses, seconds = losses_of(replace(base, optimizer=name), asked.device)
        ends[name] = losses[-max(1, len(losses) // 20) :].mean()
        print(
            f"{name:8}",
            " ".join(f"{part.mean():.5f}" for part in np.array_split(losses, 10)),
            f"  end {ends[name]:.5f}, {1000 * seconds:.0f} ms a step",
            flush=True,
        )
    first = ends[asked.optimizers[0]]
    print("   ".join(f"{name} {end / first:.3f}" for name, end in ends.items()))


if __name__ == "__main__":
    main()
