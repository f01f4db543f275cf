"""A pipeline of diffusers runs as its own scheduler says: class, options, visited levels, limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from scheduler_cases import CASES, STEPS, learned, network, noise

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.diffusers_scheduler import process_of
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.prediction import reading
from diffusion_studio.errors import CheckpointError, StudioError
from diffusion_studio.runs.guidance_builder import limited
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.segments import start_noise

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
        recipe.sampler,
        limited(denoise, recipe, spec),
        start_noise(noise, levels[0], recipe.spacing),
        levels,
        noise,
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


@pytest.mark.parametrize(
    "kind, settings, message",
    [
        ("DDIM", {"steps_offset": 2000}, "steps_offset must be a whole number from 0 to 1000, got 2000"),
        ("DDIM", {"steps_offset": 900}, "^steps_offset leads to timestep 1880, and the schedule ends at 999"),
        ("DDIM", {"clip_sample_range": 0.0}, "clip_sample_range must be a number from 0.01 to 10000, got 0"),
        ("DDPM", {"thresholding": True, "dynamic_thresholding_ratio": 2.0}, "must be a number from 0.5 to 1"),
        ("DDPM", {"trained_betas": [0.1, 0.2]}, "a list of 1,000 numbers.*got 2 numbers"),
        ("DPMSolverMultistep", {"solver_type": "huen"}, "no solver_type .*'huen'.*Did you mean 'heun'"),
        ("DPMSolverSinglestep", {"algorithm_type": "dpm"}, "There is no algorithm_type .*'dpm'"),
        ("UniPCMultistep", {"solver_type": "bh3"}, "no solver_type .*'bh3'.*Choose one of: bh2, bh1"),
        ("DEISMultistep", {"solver_type": "rho"}, "no solver_type .*'rho'.*Choose one of: logrho"),
        (
            "CMStochasticIterative",
            {"sigma_min": 200.0, "sigma_max": 300.0},
            "^sigma_min must be a finite number",
        ),
    ],
)
def test_values_that_no_scheduler_takes(kind, settings, message):
    """Errors name the configuration's own settings, and come before any run."""
    with pytest.raises(StudioError, match=message):
        process_of({"_class_name": f"{kind}Scheduler", **settings}, {}, False)


@pytest.mark.parametrize(
    "kind, given, option, value",
    [
        # what the classes of diffusers 0.42.1 put in the place of another solver's value
        ("DPMSolverMultistep", "bh2", "correction", "midpoint"),
        ("DPMSolverSinglestep", "logrho", "correction", "midpoint"),
        ("UniPCMultistep", "heun", "solver", "bh2"),
    ],
)
def test_a_solver_type_of_another_class_is_the_usual_one(kind, given, option, value):
    found = process_of({"_class_name": f"{kind}Scheduler", "solver_type": given}, {}, False)
    assert found.defaults["sampler"][option] == value


def test_inspection_refuses_a_scheduler_file_that_no_run_could_follow(saved):
    folder = saved("diffusers", "default")
    config = {"_class_name": "DDIMScheduler", "steps_offset": 2000}
    (folder / "scheduler_config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(CheckpointError, match="settings make no model: steps_offset must be .* got 2000"):
        checkpoint.inspect(folder)
