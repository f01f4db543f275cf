"""What does a grid cost, whose cells share their network calls?

    python tests/benchmarks/grid_speed.py checkpoints/heroes

A grid of 4 x 4 cells over guidance (2, 4, 6, 8) and seed, each cell one picture, against one run of 16
pictures at guidance 4: as many pictures, and batches of the same size. In turns, in one process, every state
kept. The ratio is of the processor's time, which other programs on the machine disturb less; that of the time
by the clock stands beside it.

Target: the grid takes at most 1.3 times as long as the run. The scales leave out 1, which asks the network
about half as much and would make the grid look better than it is.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from _timing import against, interleaved, spread

import diffusion_studio as ds
from diffusion_studio.errors import StudioError

MOST = 1.3
SCALES = (2.0, 4.0, 6.0, 8.0)


def main() -> None:
    asked = arguments()
    path = Path(asked.model)
    studio = ds.Studio(path.parent, asked.device)
    recipe = studio.recipe(path.name, seeds=(0,), steps=asked.steps, guidance=4.0)
    one = ds.Recipe.from_settings(
        {"seeds": tuple(range(16))}, {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    )

    def grid() -> None:
        made = ds.grid(recipe, ("guidance", SCALES), ("seed", range(4)), studio=studio)
        assert made.network_calls == asked.steps and len(made.cells) == 16

    def run() -> None:
        assert len(list(studio.stream(one))) == asked.steps + 1

    runs = {"grid": grid, "run": run}
    interleaved(runs, 1)  # warm up
    taken = interleaved(runs, asked.repeats, time.process_time)
    wall = interleaved(runs, asked.repeats)
    ratio, by_clock = (
        statistics.median(one["grid"]) / statistics.median(one["run"]) for one in (taken, wall)
    )
    print(f"{path.name}: {asked.steps} DDIM steps")
    print(f"grid of 4 x 4          {spread(taken['grid'])}")
    print(f"one run of 16 pictures {spread(taken['run'])}")
    print(f"ratio of medians       {ratio:.3f}, by the clock {by_clock:.3f}   {against(ratio, MOST)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="the folder of a bundled model that takes a label or a prompt")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
