"""How close does each solver come to the exact solution for its network calls?

    python tests/benchmarks/solver_order.py [--out solver_order.csv]

A mixture of three Gaussians with the exact denoiser, in float64, down the cosine schedule evenly in log-SNR
and then to the clean picture; the start at quantiles of the noise. The error is the root mean square distance
to the exact solution of the probability-flow ODE, by network calls: one line for each solver and number of
steps, and with --out the same as CSV, for a log-log plot.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch
from _timing import ROOT

sys.path.insert(0, str(ROOT / "tests" / "diffusion"))

from closed_forms import Mixture

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import CLEAN, Cosine

SOLVERS = {
    "ddim": s.DDIM(),
    "euler": s.Euler(),
    "heun": s.Heun(),
    "dpmpp_2m": s.DPMPP2M(),
    "dpmpp_3m": s.DPMPP3M(),
    "dpmpp_3m half": s.DPMPP3M("half"),
    "dpmpp_2s": s.DPMPP2S(),
    "unipc 1": s.UniPC(1),
    "unipc 2": s.UniPC(2),
    "unipc 3": s.UniPC(3),
    "plms": s.PLMS(),
    "pndm": s.PNDM(),
    "lms": s.LMS(),
    "deis": s.DEIS(),
    **{f"adaptive {tolerance:g}": s.Adaptive(tolerance) for tolerance in (0.1, 0.01, 0.001)},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 20, 50, 100, 200])
    parser.add_argument("--out", type=Path, help="also write solver, steps, calls, error as CSV")
    asked = parser.parse_args()
    rows = [
        (name, steps, *measured(solver, steps)) for name, solver in SOLVERS.items() for steps in asked.steps
    ]
    for name, steps, calls, error in rows:
        print(f"{name:16s} {steps:4d} steps {calls:5d} calls   error {error:.2e}")
    if asked.out:
        with asked.out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("solver", "steps", "calls", "error"), *rows])


def measured(solver: s.Sampler, steps: int) -> tuple[int, float]:
    """(network calls, error) of a run."""
    schedule, problem = Cosine(), Mixture()
    ends = schedule.level(990).log_snr, schedule.level(0).log_snr
    levels = Levels(
        [*(schedule.level(schedule.timestep(at)) for at in np.linspace(*ends, steps)), CLEAN], schedule
    )
    x = torch.linspace(-2, 2, 41, dtype=torch.float64).view(-1, 1, 1, 1) * levels[0].sigma
    *_, last = sample(solver, problem, x, levels, lambda index: None)
    off = last.x - problem.flow(x, levels[0], levels[-1])
    return last.calls, off.square().mean().sqrt().item()


if __name__ == "__main__":
    main()
