"""How much quicker is a run that reuses deep features, and how near does it come to the full one?

    python tests/benchmarks/reuse_speed.py checkpoints/cifar10
    python tests/benchmarks/reuse_speed.py checkpoints/heroes --count 4 --reuse 2 3 --precision fp32

Runs with the model's own settings, whole and with features reused in all but every second, third, ... network
call, take turns in one process. Beside them runs of fewer steps that take about as long, which is the other
way to save. A ratio is the median over the turns, of the processor's time and of the clock's. PSNR is of the
finished pictures against the full run's, of the same seeds. How good the pictures are as such is for

    diffusion-studio evaluate cifar10 --data cifar10 --metrics frechet --reuse 3

Target: 1.9 times as fast at a Frechet distance within 3 % of the full run's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from _timing import seconds  # first of what is the project's, as it puts this checkout on the path

import diffusion_studio as ds
from diffusion_studio.device import PRECISIONS, describe
from diffusion_studio.errors import StudioError


def main() -> None:
    asked = arguments()
    path = Path(asked.model)
    studio = ds.Studio(path.parent, "cpu", asked.precision)
    full = studio.recipe(path.name, seeds=tuple(range(asked.count)))
    runs = {"full": full}
    for every in asked.reuse:
        runs[f"reuse {every}"] = ds.Recipe.from_settings({"reuse": every}, vars_of(full))
        runs[f"{steps(full, every)} steps"] = ds.Recipe.from_settings(
            {"steps": steps(full, every)}, vars_of(full)
        )
    made = {name: last_of(studio, recipe) for name, recipe in runs.items()}  # which warms up, too
    taken = {name: [] for name in runs}
    for k in range(asked.repeats):
        for name in list(runs) if k % 2 == 0 else list(runs)[::-1]:
            before = time.process_time()
            wall = seconds(lambda name=name: last_of(studio, runs[name]))
            taken[name].append((time.process_time() - before, wall))
    print(
        f"{path.name}: {full.steps} steps of {asked.count} pictures at guidance {full.guidance:g}, on "
        f"{describe(studio.model(path.name).device)}, precision {asked.precision}"
    )
    for name, times in taken.items():
        ratios = [
            statistics.median(a[clock] / b[clock] for a, b in zip(taken["full"], times)) for clock in (0, 1)
        ]
        print(
            f"{name:10} {ratios[0]:5.2f} times as fast, by the clock {ratios[1]:5.2f}; "
            f"PSNR to the full run {psnr(made[name], made['full']):5.1f} dB"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="the folder of a model with a U-Net")
    parser.add_argument("--reuse", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--count", type=int, default=16, help="pictures in a run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    return parser.parse_args()


def vars_of(recipe: ds.Recipe) -> dict:
    return {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}


def steps(recipe: ds.Recipe, every: int) -> int:
    """How many whole steps take about as long, where a call that reuses takes a quarter of a whole one."""
    return round(recipe.steps * (1 + (every - 1) / 4) / every)


def last_of(studio: ds.Studio, recipe: ds.Recipe) -> np.ndarray:
    *_, last = studio.stream(recipe)
    return last.x0


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.square(a.astype(float) - b).mean()
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
