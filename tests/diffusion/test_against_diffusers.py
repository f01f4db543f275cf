"""Every state of a run beside diffusers 0.42.1 (with torch 2.x, in an environment of its own:
make_golden.py).

Same network function, noise and levels, 10 steps; the largest difference of any state is stated for each as
measured. diffusers computes its tables in float32, which is what the differences come from.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.prediction import Prediction, from_eps
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Linear, NoiseLevel

GOLDEN = json.loads(Path(__file__).with_name("golden_diffusers.json").read_text("utf-8"))
RUNS = GOLDEN["runs"]

OURS = {
    "ddpm small": s.DDPM(),
    "ddpm large": s.DDPM("large"),
    "ddpm learned": s.DDPM("learned"),
    "ddim 0.0": s.DDIM(),
    "ddim 0.7": s.DDIM(0.7),
    "euler": s.Euler(),
    "heun": s.Heun(),
    "euler_ancestral": s.EulerAncestral(),
    "lms": s.LMS(),
    "dpmpp_2m": s.DPMPP2M(),
    "dpmpp_2m heun": s.DPMPP2M("heun"),
    "dpmpp_3m": s.DPMPP3M(difference="half"),
    "deis 2": s.DEIS(2),
    "deis 3": s.DEIS(3),
    "dpmpp_2m_sde midpoint": s.DPMPP2MSDE(),
    "dpmpp_2m_sde heun": s.DPMPP2MSDE(correction="heun"),
    **{f"unipc {order} {solver}": s.UniPC(order, solver) for order in (1, 2, 3) for solver in ("bh1", "bh2")},
    "plms": s.PLMS(),
    "pndm": s.PNDM(),
}


def network(x: torch.Tensor, t: float) -> torch.Tensor:
    angle = t / 999 * math.pi / 2  # about right for data of unit variance, and a nonlinear part
    return math.sin(angle) * x + 0.5 * math.cos(angle) * (torch.tanh(1.3 * x.flip(-1)) + 0.3 * torch.cos(x))


def noise(index: int) -> torch.Tensor:
    return 1.2 * torch.sin(torch.arange(2, dtype=torch.float64).view(1, 1, 1, 2) * 2.3 + 1.7 * index + 0.4)


def denoise(x: torch.Tensor, level: NoiseLevel) -> Prediction:
    p = from_eps(network(x, level.t), x, level.alpha, level.sigma)
    return Prediction(p.x0, p.eps, torch.full_like(x, 0.3))  # diffusers' -0.4 in [-1, 1]


def levels_of(name: str) -> list[NoiseLevel]:
    return [NoiseLevel(*level) for level in GOLDEN["levels"][RUNS[name]["levels"]]]


def differences(name: str) -> list[float]:
    run = RUNS[name]
    levels = Levels(levels_of(name), Linear())  # PNDM asks for levels between them
    states = list(sample(OURS[name], denoise, noise(0), levels, noise))
    assert len(states) == len(run["states"]) == 11
    return [
        (state.x.flatten() - torch.tensor(wanted, dtype=torch.float64)).abs().max().item()
        for state, wanted in zip(states, run["states"])
    ]


def test_all_of_them_are_compared():
    assert set(OURS) == set(RUNS) and GOLDEN["made with"]["diffusers"] == "0.42.1"


@pytest.mark.parametrize("name", OURS)
def test_every_state_is_theirs(name):
    found = differences(name)
    assert max(found) < 1e-5, found


def test_the_comparison_can_fail():
    """States differ far more than the tolerance between methods: 3M as it should be and as released."""
    ours = list(sample(s.DPMPP3M(), denoise, noise(0), levels_of("dpmpp_3m"), noise))
    assert (ours[-1].x.flatten() - torch.tensor(RUNS["dpmpp_3m"]["states"][-1])).abs().max() > 1e-3
