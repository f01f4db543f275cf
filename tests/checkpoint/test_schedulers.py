"""A pipeline of diffusers runs as its own scheduler says: class, options, visited levels, limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from scheduler_cases import CASES, STEPS, learned, network, noise

import diffusion_studio as ds
from diffusion_studio.checkpoint.diffusers_scheduler import process_of
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.prediction import reading
from diffusion_studio.runs.guidance_builder import limited
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.segments import begun

GOLDEN = json.loads(Path(__file__).with_name("golden_schedulers.json").read_text("utf-8"))


def run(kind: str, settings: dict, steps: int) -> torch.Tensor:
    """The last x of our own run, as the scheduler's configuration says."""
    process = process_of({"_class_name": f"{kind}Scheduler", **settings}, {}, learned(settings))
    recipe = Recipe.from_settings({**process.defaults, "steps": steps})

    def denoise(x, level):
        said = reading(process.parametrization, level, process.schedule, process.sigma_data)
        share = torch.full_like(x, 0.3) if learned(settings) else None
        return said.read(network(said.input(x), level.t), x, share)

    levels = ds.path(process.schedule, steps, recipe.spacing)
    spec = ModelSpec(schedule=process.schedule, parametrization=process.parametrization)
    *_, last = ds.sample(
        recipe.sampler, limited(denoise, recipe, spec), begun(noise, levels[0], recipe.spacing), levels, noise
    )
    return last.x


# without the numbers of steps that the origin itself cannot make
MADE = [(name, steps) for name in CASES for steps in STEPS if GOLDEN[name][str(steps)] is not None]


def test_the_cases_are_those_of_the_golden_file():
    assert GOLDEN.keys() == CASES.keys()
    assert {name for name in CASES if GOLDEN[name]["10"] is None} == set()
    assert len(MADE) > 0.9 * len(CASES) * len(STEPS)


@pytest.mark.parametrize("name, steps", MADE)
def test_as_the_origins_own_scheduler(name, steps):
    """Within 1e-4 of what diffusers 0.42.1 computes, its single precision included."""
    wanted = GOLDEN[name][str(steps)]
    found = run(*CASES[name], steps).flatten().tolist()
    scale = max(1.0, *map(abs, wanted))
    assert found == pytest.approx(wanted, abs=1e-4 * scale)
