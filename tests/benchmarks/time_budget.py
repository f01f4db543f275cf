"""How near a run comes to its time budget: the seconds that it takes, over those that were asked for.

    python tests/benchmarks/time_budget.py

Wanted is 0.8 to 1.2. What is chosen for each budget is printed with it, and how many processes compete for the
processor (the load of the last minute over the number of cores): a budget is kept as far as that stays the same
between the timing and the run. A model is warmed up first, as loading it is not part of the budget.
"""

from __future__ import annotations

import argparse
import os
import time

from diffusion_studio import Studio


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["fashion-mnist", "heroes", "cifar10"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[2.0, 5.0, 10.0])
    given = parser.parse_args()
    studio = Studio()
    for model in given.models:
        asked = studio.recipe(model, seeds=(0, 1, 2, 3))
        next(studio.stream(asked))
        for seconds in given.seconds:
            recipe, said = studio.within(asked, seconds)
            began = time.perf_counter()
            for _ in studio.stream(recipe):
                pass
            took = time.perf_counter() - began
            share, load = took / seconds, os.getloadavg()[0] / (os.cpu_count() or 1)
            taken = f"{model:14} {seconds:4g} s asked, {took:6.2f} s taken: {share:.2f}, load {load:.1f}"
            print(f"{taken}   {said}", flush=True)


if __name__ == "__main__":
    main()
