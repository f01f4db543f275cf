"""How long do the bundled models take to finish four pictures, as people find them?

    python tests/benchmarks/model_speed.py              # all in checkpoints/
    python tests/benchmarks/model_speed.py emoji heroes --repeats 9
    python tests/benchmarks/model_speed.py letters --precision fp32     # as on a processor without bf16

Each model with its own default settings (sampler, steps, guidance, label or prompt; of a model of prompts
without a default one its first example), four seeds, through the Studio with every state recorded, as the app
does it. The first run, which also loads the weights, is told apart and not counted. The models take turns.
With torch's own number of threads. Processor time is that of all threads together: two free cores take half
of it at best, however busy this machine is.

Targets, on two cores without GPU: median at most 4 s for emoji, 2 s for heroes and cifar10, 1.5 s for grey
pictures, and 0.6 s for letters with --precision fp32. Models of points have none.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from _timing import (  # first of what is the project's, as it puts this checkout on the path
    ROOT,
    interleaved,
    seconds,
)

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import POINTS, ModelSpec
from diffusion_studio.device import PRECISIONS, describe, pick_device
from diffusion_studio.errors import OptionError, StudioError

COUNT = 4
BOUNDS = {"emoji": 4.0, "heroes": 2.0, "cifar10": 2.0, "letters": 0.6}  # seconds
GREY = 1.5


def main() -> None:
    asked = arguments()
    studio = ds.Studio(asked.checkpoints, asked.device, asked.precision)
    known = [card.name for card in studio.models()]
    for name, why in studio.problems().items():
        print(f"{name} cannot be used: {why}", file=sys.stderr)
    if not known:
        raise OptionError(
            "checkpoints",
            f"No model lies in {asked.checkpoints}. Name the folder of the models with --checkpoints.",
        )
    recipes = {name: recipe_of(studio, name) for name in asked.models or known}
    # one keeps only a few models loaded
    studios = {name: ds.Studio(asked.checkpoints, asked.device, asked.precision) for name in recipes}
    busy: dict[str, list[float]] = {name: [] for name in recipes}

    def run(name: str) -> None:
        before = time.process_time()
        studios[name].run(recipes[name])
        busy[name].append(time.process_time() - before)

    runs = {name: lambda name=name: run(name) for name in recipes}
    first = {name: seconds(one) for name, one in runs.items()}
    taken = interleaved(runs, asked.repeats)

    print(
        f"{COUNT} pictures with each model's default settings, on {describe(pick_device(asked.device))}, "
        f"precision {asked.precision}, {asked.repeats} runs each\n"
    )
    print(
        f"{'model':20} {'settings':36} {'first':>8} {'median':>9} {'range':>18} {'processor':>10} "
        f"{'bound':>7}"
    )
    missed = []
    for name, times in taken.items():
        median, bound = statistics.median(times), bound_of(studio.card(name).spec, name)
        verdict = "" if bound is None else "met" if median <= bound else "MISSED"
        missed += [name] if verdict == "MISSED" else []
        limit = "-" if bound is None else f"{bound:g} s"
        span, worked = f"{min(times):.2f} to {max(times):.2f} s", statistics.median(busy[name][1:])
        print(
            f"{name:20} {told(recipes[name]):36} {first[name]:6.2f} s {median:7.2f} s {span:>18} "
            f"{worked:8.2f} s {limit:>7} {verdict}"
        )
    if missed:
        sys.exit(f"over the bound: {', '.join(missed)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="names of models; all by default")
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", help="where the models lie")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu, which the targets are for, or another one")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="auto is what people get: bf16 where the processor is quick at it",
    )
    asked = parser.parse_args()
    if asked.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {asked.repeats}")
    return asked


def recipe_of(studio: ds.Studio, name: str) -> ds.Recipe:
    """What the app would run, for four pictures."""
    spec = studio.card(name).spec
    prompt = (
        {"prompt": spec.prompts[0]}
        if spec.takes_text and spec.prompts and "prompt" not in spec.defaults
        else {}
    )
    return studio.recipe(name, seeds=tuple(range(COUNT)), **prompt)


def bound_of(spec: ModelSpec, name: str) -> float | None:
    """The most seconds, where there is a target."""
    if spec.makes == POINTS:
        return None
    return BOUNDS.get(name, GREY if spec.channels == 1 else None)


def told(recipe: ds.Recipe) -> str:
    """The settings that time depends on."""
    sampler = next(name for name, kind in ds.SAMPLERS.items() if type(recipe.sampler) is kind)
    return f"{sampler}, {recipe.steps} steps, guidance {recipe.guidance:g}"


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
