from __future__ import annotations

import sys
from pathlib import Path

import pytest

from diffusion_studio.diffusion.samplers import DDIM
from diffusion_studio.runs.recipe import Recipe

sys.path.insert(0, str(Path(__file__).parent))  # in importlib mode pytest does not

from export_runs import make_run


@pytest.fixture(scope="session")
def grey():
    return make_run(channels=1)


@pytest.fixture(scope="session")
def colour():
    return make_run(channels=3)


@pytest.fixture(scope="session")
def recipe():
    """As long and as awkward as one gets: 64 large seeds, a label full of what containers escape."""
    return Recipe(
        model="fashion-mnist",
        label='Schöne = "Schuhe"; #1 \\ 靴\n%d {x} <b>',
        steps=10,
        guidance=2.5,
        seeds=tuple(2**31 + 7 * k for k in range(64)),
        sampler=DDIM(eta=0.25),
    )
