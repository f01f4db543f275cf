"""What does recording every state cost, and how long does a run take?

    python tests/benchmarks/engine_speed.py checkpoints/fashion-mnist

One run is 50 DDIM steps of 4 pictures at guidance 2, every state kept as uint8 pictures. Beside it, in turns:
the bare network called as often with batches of the same shape, and the run with a network that answers at
once, which tells the engine's share on a busy machine too. All with torch's own number of threads.

Targets: a recorded run takes at most 1.05 times as long as the network alone, and at most 2.5 s for the
bundled Fashion-MNIST model on 2 cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import torch
from _timing import against, interleaved, spread
from torch import nn

import diffusion_studio as ds
from diffusion_studio.device import describe
from diffusion_studio.errors import StudioError
from diffusion_studio.runs.generate import stream

MOST_OVERHEAD = 1.05
MOST_SECONDS = 2.5


def main() -> None:
    asked = arguments()
    model = ds.load(asked.model, asked.device)
    recipe = ds.Recipe.from_settings(
        {
            "label": model.spec.labels[0] if model.spec.labels else None,
            "seeds": tuple(range(asked.count)),
            "steps": asked.steps,
            "guidance": asked.guidance,
        }
    )
    guided = recipe.label is not None and recipe.guidance not in (0, 1)
    batch = asked.count * (2 if guided else 1)

    instant = ds.Model(model.spec, Instant(1 + model.spec.learned_variance), model.device, model.dtype)

    def recorded(by: ds.Model) -> None:
        frames = list(stream(by, recipe))
        assert len(frames) == asked.steps + 1

    runs = {
        "recorded": lambda: recorded(model),
        "bare": lambda: network_alone(model, batch, asked.steps),
        "rest": lambda: recorded(instant),
    }
    interleaved(runs, 1)  # warm up
    taken = interleaved(runs, asked.repeats)
    run, alone, rest = (statistics.median(taken[name]) for name in runs)
    fastest = min(taken["recorded"]) / min(taken["bare"])
    print(
        f"{model.spec.name}: {asked.steps} DDIM steps of {asked.count} pictures at guidance "
        f"{asked.guidance:g}, on {describe(model.device)}"
    )
    print(f"recorded run       {spread(taken['recorded'])}   {against(run, MOST_SECONDS)}")
    print(f"bare network calls {spread(taken['bare'])}, batches of {batch}")
    print(
        f"ratio of medians   {run / alone:.3f}, of the fastest {fastest:.3f}   "
        f"{against(run / alone, MOST_OVERHEAD)}"
    )
    print(f"all else           {spread(taken['rest'])}, {rest / alone:.1%} of the bare calls")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a checkpoint file, or its folder")
    parser.add_argument("--count", type=int, default=4, help="pictures in a run")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


class Instant(nn.Module):
    """In place of the network: takes no time, so that what remains of a run is what the engine adds."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies  # of x in an output: 2 with learned variance

    def forward(self, x: torch.Tensor, t: torch.Tensor, *conditions: torch.Tensor | None) -> torch.Tensor:
        return x if self.copies == 1 else x.repeat(1, self.copies, 1, 1)


@torch.no_grad()
def network_alone(model: ds.Model, batch: int, steps: int) -> None:
    """The network's calls of a run, with nothing around them."""
    x = torch.randn(batch, *model.shape, device=model.device).to(
        model.dtype, memory_format=torch.channels_last
    )
    label = (
        None
        if model.spec.network.classes is None
        else torch.zeros(batch, dtype=torch.long, device=model.device)
    )
    for k in range(steps):
        model.network(x, torch.full((batch,), float(k), device=model.device), label)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
