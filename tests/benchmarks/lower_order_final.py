"""Should the last steps of short runs fall to lower order? Measured on the bundled models.

    python tests/benchmarks/lower_order_final.py                        # heroes, fashion-mnist, cifar10
    python tests/benchmarks/lower_order_final.py mnist --steps 6 10

Each solver that has the option makes the same eight pictures without it ("never") and with it ("always",
which in runs of fewer than 15 steps is the same as "short"). Printed is the root mean square distance of x to
that of a fine reference run from the same noise (DPM-Solver++ 2M, 400 steps), and the ratio with / without:
below 1, lower order at the end is better.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

from _timing import ROOT  # first of what is the project's, as it puts this checkout on the path

import diffusion_studio as ds
from diffusion_studio.diffusion.samplers import DEIS, DPMPP2M, DPMPP3M, UniPC
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.runs.generate import plan

SOLVERS = {
    "dpmpp_2m": DPMPP2M(),
    "dpmpp_3m": DPMPP3M(),
    "unipc 2": UniPC(2),
    "unipc 3": UniPC(3),
    "deis 3": DEIS(3),
}
SPACINGS = ("trailing", "log-snr")
REFERENCE = 400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["heroes", "fashion-mnist", "cifar10"])
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 8, 10, 14])
    parser.add_argument("--pictures", type=int, default=8)
    asked = parser.parse_args()
    studio = ds.Studio(ROOT / "checkpoints", "cpu", "fp32")
    print(f"{'model':14} {'spacing':9} {'solver':9} " + " ".join(f"{f'{n} steps':>22}" for n in asked.steps))
    ratios: dict[str, list[float]] = {}
    for name in asked.models:
        for spacing in SPACINGS:
            base = studio.recipe(name, seeds=tuple(range(asked.pictures)), spacing=spacing)
            fine = last(studio, replace(base, sampler=DPMPP2M(), steps=REFERENCE))
            for solver, sampler in SOLVERS.items():
                cells = []
                for steps in asked.steps:
                    off = [
                        (
                            last(
                                studio,
                                replace(base, sampler=replace(sampler, lower_order_final=rule), steps=steps),
                            )
                            - fine
                        )
                        .square()
                        .mean()
                        .sqrt()
                        .item()
                        for rule in ("never", "always")
                    ]
                    ratios.setdefault(solver, []).append(off[1] / off[0])
                    cells.append(f"{off[0]:.4f} {off[1]:.4f} ({off[1] / off[0]:.2f})")
                print(
                    f"{name:14} {spacing:9} {solver:9} " + " ".join(f"{cell:>22}" for cell in cells),
                    flush=True,
                )
    for solver, found in ratios.items():
        print(
            f"{solver}: with / without {statistics.geometric_mean(found):.3f}, from {min(found):.2f} to "
            f"{max(found):.2f}"
        )


def last(studio: ds.Studio, recipe: ds.Recipe):
    """The finished x, unrounded."""
    made = plan(studio.model(recipe.model), recipe)
    *_, step = sample(recipe.sampler, made.denoise, made.start(), made.levels, made.noise)
    return step.x


if __name__ == "__main__":
    main()
