"""The walk of one recipe: which functions, files and rooms a reader passes from `Studio.stream(recipe)` to its frames.

    python tests/benchmarks/recipe_walk.py [--model fashion-mnist] [--root CHECKOUT] [--list]

A run of a few steps is traced. Each function counts once, at its first call, as it is read once. A stay is a
row of functions in one room; a return is a stay in a room that the walk had left. A room is a folder of the
package, or a module at its root. The model is loaded before, and all of a network is one function,
so neither the reading of weights nor layers count. `--root` measures another checkout, to compare.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("networks", "nets")  # the second is the folder's name before November 2026


class Walk:
    """The package's functions in the order of their first calls: (file, name, line). Pass it to `sys.setprofile`."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.functions: dict[tuple[str, str, int], None] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(f"{self.package}/"):
            return
        if code.co_name.startswith("<"):  # comprehensions and lambdas are part of their function
            return
        file = Path(code.co_filename).relative_to(self.package)
        if file.parts[0] in NETWORKS:
            if all(one[0].split("/")[0] not in NETWORKS for one in self.functions):
                self.functions[str(file), "a network", 0] = None
            return
        name = getattr(code, "co_qualname", code.co_name)
        self.functions[str(file), name, code.co_firstlineno] = None

    def rooms(self) -> list[str]:
        """The room of each stay, in order."""
        return stays([Path(file).parts[0].removesuffix(".py") for file, *_ in self.functions])


def stays(places: Sequence[str]) -> list[str]:
    """Places in order, with repeats in a row taken together."""
    return [place for place, _ in groupby(places)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout of this repository")
    parser.add_argument("--list", action="store_true", help="print every function, in order")
    args = parser.parse_args()
    root = args.root.resolve()
    sys.path.insert(0, str(root))
    import diffusion_studio as ds

    if not str(ds.__file__).startswith(f"{root}/"):
        parser.error(f"Python imports {ds.__file__}. Set PYTHONPATH to {root}.")
    studio = ds.Studio(root / "checkpoints", precision="fp32")
    list(studio.stream(studio.recipe(args.model, guidance=2.0, steps=4)))  # loads the model, imports modules
    walk = Walk(root / "diffusion_studio")
    recipe = studio.recipe(args.model, guidance=2.0, steps=4, seeds=(7,))  # no cached states of the first
    sys.setprofile(walk)
    try:
        frames = list(studio.stream(recipe))
    finally:
        sys.setprofile(None)
    if args.list:
        for file, name, line in walk.functions:
            print(f"  {file}:{line}  {name}")
    rooms, files = walk.rooms(), {file for file, *_ in walk.functions}
    print(
        f"{len(walk.functions)} functions in {len(files)} files and {len(set(rooms))} rooms for "
        f"{len(frames)} frames: {len(rooms)} stays in rooms, {len(rooms) - len(set(rooms))} returns"
    )


if __name__ == "__main__":
    main()
