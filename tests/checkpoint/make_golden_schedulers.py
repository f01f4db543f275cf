"""What diffusers' schedulers make of a small problem: writes golden_schedulers.json. Not part of the test
suite.

    python tests/checkpoint/make_golden_schedulers.py       # in an environment with diffusers 0.42.1 and torch 2.x, not ours

Each case of scheduler_cases.py is run as its pipeline runs it, in float64 where the scheduler allows it. Kept
are the pictures after each number of steps, in the network's own scale.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import diffusers
import torch
from scheduler_cases import CASES, ILL_CONDITIONED, STEPS, learned, network, noise


def run(kind: str, settings: dict, steps: int) -> list[float] | None:
    """The last x, or None where the origin itself cannot make so many steps."""
    scheduler = getattr(diffusers, f"{kind}Scheduler")(**settings)
    module = importlib.import_module(type(scheduler).__module__)
    arrival = 1
    module.randn_tensor = lambda *args, **kwargs: noise(arrival)
    scheduler.set_timesteps(steps)
    x = noise(0) * float(scheduler.init_noise_sigma)
    first_order = getattr(type(scheduler), "state_in_first_order", None) is not None
    for t in scheduler.timesteps:
        if kind == "DPMSolverSDE":
            scheduler.noise_sampler = lambda start, end: noise(arrival)
        asked = scheduler.scale_model_input(x, t)
        output = network(asked.double(), float(t))
        if learned(settings):  # -0.4 is 0.3 of the way from small to large
            output = torch.cat([output, torch.full_like(output, -0.4)], 1)
        x = scheduler.step(output, t, x).prev_sample.double()
        if not first_order or scheduler.state_in_first_order:
            arrival += 1
    if hasattr(scheduler, "sigmas") and kind.startswith(("LMS", "Euler", "Heun", "KDPM2", "DPMSolverSDE")):
        x = x / math.hypot(1, float(scheduler.sigmas[-1]))  # these keep x / alpha
    return [round(value, 7) for value in x.flatten().tolist()] if x.isfinite().all() else None


def main() -> None:
    found = {}
    for name, (kind, settings) in CASES.items():
        found[name] = {}
        for steps in STEPS:
            found[name][str(steps)] = None
            if name in ILL_CONDITIONED and steps == 2:
                continue
            try:
                found[name][str(steps)] = run(kind, dict(settings), steps)
            except Exception as error:  # what the origin cannot do is no case
                print(f"{name}, {steps} steps: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
            if found[name][str(steps)] is None:
                print(f"{name}, {steps} steps: nothing", file=sys.stderr)
    lines = [
        f" {json.dumps(name)}: {json.dumps(runs, separators=(',', ':'))}" for name, runs in found.items()
    ]
    Path(__file__).with_name("golden_schedulers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
