"""What does a sampler itself cost, in time and in memory?

    python tests/benchmarks/sampler_arithmetic.py

16 pictures of 3x64x64 in float32, 20 steps down the cosine schedule, with a network that answers at once with
tensors made beforehand and noise made beforehand: what remains is the samplers' own arithmetic. Samplers take
turns; beside them goes the plainest step there can be, x0 * a + eps * b, which tells a busy machine from a
slow sampler. Then the most states (tensors as large as x) that are alive at a time, counted from torch's own
allocations without the start, which is the caller's: all of them, and those but for the two of the network's
newest answer (three with a learned variance). The target is for what a sampler itself holds. With the answer
PNDM comes to seven, the least that it can do with: three eps to be remembered, the state where the fourth is
predicted, what else the step consists of, and the answer.

Times are the CPU's, of one thread: what else runs on the machine is not in them, but for the caches that it
spoils.

Targets: at most 1.5 ms a step, in the median of the repeats, and at most 6 states of the sampler's own.
"""

from __future__ import annotations

import argparse
import statistics
import time
import weakref
from collections import deque

import torch
from _timing import against, interleaved
from torch.utils._python_dispatch import TorchDispatchMode

from diffusion_studio.device import keep_freed_memory
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.prediction import Prediction
from diffusion_studio.diffusion.samplers import DDPM, DPMPP2S, LMS, SAMPLERS, Adaptive, Euler, Heun, UniPC
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Cosine, NoiseLevel
from diffusion_studio.diffusion.spacing import path

SHAPE = (16, 3, 64, 64)
MOST_MS = 1.5
MOST_STATES = 6


class Live(TorchDispatchMode):
    """The most tensors of a state's size that were alive at a time; views and in-place results count once."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.made: list[weakref.ref] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.shape == SHAPE:
            self.made = [one for one in self.made if one() is not None]
            if not any(one() is found for one in self.made):
                self.made.append(weakref.ref(found))
            self.most = max(self.most, len({one().data_ptr() for one in self.made}))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as models do
    schedule = Cosine()
    levels = Levels(path(schedule, asked.steps), schedule)
    x, x0, eps, z, v = (torch.randn(SHAPE) for _ in range(5))
    answer = Prediction(x0, eps, v.sigmoid())

    samplers = {
        **{name: cls() for name, cls in SAMPLERS.items()},
        "ddpm learned": DDPM("learned"),
        "unipc 3": UniPC(3),
        "lms 4": LMS(4),
        "heun churn": Heun(churn=10.0),
        "euler churn": Euler(churn=10.0),
        "dpmpp_2s eta=1": DPMPP2S(1.0),
        "adaptive": Adaptive(tolerance=1.0),
    }

    def run(sampler, denoise):
        deque(sample(sampler, denoise, x, levels, lambda index: z), maxlen=0)

    def plain():
        for _ in range(asked.steps):
            x0 * 0.9 + eps * 0.1

    at_once = lambda given, level: answer
    steady = lambda given, level: Prediction(x, eps)
    runs = {
        "(plain)": plain,
        **{
            name: (lambda s=one: run(s, steady if isinstance(s, Adaptive) else at_once))
            for name, one in samplers.items()
        },
    }
    interleaved(runs, 2)
    taken = interleaved(runs, asked.repeats, time.process_time)
    for name, times in taken.items():
        ms = statistics.median(times) / asked.steps * 1e3
        line = (
            f"{name:18s} {ms:6.3f} ms a step ({min(times) / asked.steps * 1e3:.3f} at best)   "
            f"{against(ms, MOST_MS)}"
        )
        if name in samplers:
            live = Live()
            with torch.no_grad(), live:
                run(samplers[name], lambda given, level: fresh(given, level, name == "ddpm learned"))
            own = live.most - (3 if name == "ddpm learned" else 2)
            line += (
                f"   {own} states of its own, {live.most} with the network's answer   "
                f"{against(own, MOST_STATES)}"
            )
        print(line)


def fresh(x: torch.Tensor, level: NoiseLevel, learned: bool) -> Prediction:
    """A network's answer in tensors of its own, with nothing else left of it."""
    x0 = torch.tanh(x)
    eps = torch.add(x, x0, alpha=-level.alpha).div_(level.sigma)
    return Prediction(x0, eps, torch.sigmoid(x) if learned else None)


if __name__ == "__main__":
    main()
