"""The walk of one recipe: what code is passed through from `Studio.stream(recipe)` to the first frame.

    python tests/benchmarks/recipe_walk.py [--model fashion-mnist] [--list]

Counts the package's functions (each once), the files and rooms that they stand in, and the stays: each time
that the walk enters another file than the one before. The model is loaded first, so that reading a checkpoint
is not counted; what happens inside a network is one stay.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from _timing import ROOT  # first, as it puts this checkout on the path

import diffusion_studio as ds

PACKAGE = Path(ROOT) / "diffusion_studio"


class Walk:
    """The calls of the package's functions, in their order: (file, function)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.returns = 0  # entries of a file that the walk had left before

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(PACKAGE)):
            return
        if code.co_name.startswith("<"):  # comprehensions and lambdas are no functions to pass through
            return
        file = str(Path(code.co_filename).relative_to(PACKAGE))
        self.calls.append((file, f"{getattr(code, 'co_qualname', code.co_name)}:{code.co_firstlineno}"))

    def stays(self) -> list[str]:
        """The files in the order in which they are entered; networks are one place."""
        places = ["networks" if file.startswith("networks") else file for file, _ in self.calls]
        return [place for k, place in enumerate(places) if k == 0 or places[k - 1] != place]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("--list", action="store_true", help="print every function, in order")
    args = parser.parse_args()
    studio = ds.Studio(Path(ROOT) / "checkpoints", precision="fp32")
    recipe = studio.recipe(args.model, guidance=2.0, steps=4)
    list(studio.stream(recipe))  # whatever is imported or loaded once
    walk = Walk()
    sys.setprofile(walk)
    try:
        next(studio.stream(recipe))
    finally:
        sys.setprofile(None)
    outside = [one for one in walk.calls if not one[0].startswith(("networks", "checkpoint"))]
    functions, stays = (
        list(dict.fromkeys(outside)),
        [s for s in walk.stays() if not s.startswith("checkpoint")],
    )
    stays = [place for k, place in enumerate(stays) if k == 0 or stays[k - 1] != place]
    if args.list:
        for file, name in dict.fromkeys(walk.calls):
            print(f"  {file}  {name}")
    files = {file for file, _ in functions}
    print(
        f"{len(functions)} functions in {len(files)} files, {len(stays)} stays ({len(stays) - len(set(stays))} "
        f"returns); with checkpoints and networks {len(set(walk.calls))} functions, {len(walk.stays())} stays"
    )


if __name__ == "__main__":
    main()
