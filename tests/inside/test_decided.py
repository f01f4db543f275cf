"""When a picture was decided: the run's own map, and new runs, against a network known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.samplers import DDPM
from diffusion_studio.diffusion.schedule import Cosine
from diffusion_studio.errors import OptionError
from diffusion_studio.inside import decided_view
from diffusion_studio.inside.decided_view import decided_at, history, look, new_runs
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.settings import Settings
from diffusion_studio.inside.sum_view import look as look_at_sum
from diffusion_studio.inside.views import view
from diffusion_studio.models.model import Model
from diffusion_studio.networks.mlp import MLP
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.runs.recipe import Recipe

SPREAD = 0.05


class TwoModes(torch.nn.Module):
    """Data of two pictures, all -0.5 and all 0.5, each with the spread 0.05 in every pixel: E[x0 | x] is the
    mean of the modes' posterior means by their shares of x.
    """

    def __init__(self, schedule) -> None:
        super().__init__()
        self.schedule = schedule

    def forward(self, x, t, label=None, text=None):
        level = self.schedule.level(float(t[0]))
        variance = (level.alpha * SPREAD) ** 2 + level.sigma**2
        apart = [((x - level.alpha * c) ** 2).flatten(1).sum(1) / -2 / variance for c in (-0.5, 0.5)]
        shares = torch.stack(apart, dim=1).softmax(1)
        gain = level.alpha * SPREAD**2 / variance
        means = [c + gain * (x - level.alpha * c) for c in (-0.5, 0.5)]
        return sum(shares[:, k].view(-1, 1, 1, 1) * mean for k, mean in enumerate(means))


@pytest.fixture
def two_modes(tiny_spec):
    spec = tiny_spec(
        network={"classes": None, "null_class": False},
        labels=(),
        schedule=Cosine(timesteps=100),
        parametrization="x0",
    )
    return Model(spec, TwoModes(spec.schedule), torch.device("cpu"), torch.float64)


def switched_share(level, pixels: int) -> float:
    """How often a picture of one mode, noised to the level, is taken for the other: its log-odds are normal
    with mean m and variance 2 m, so sampling from the posterior switches with probability E[1 / (1 + e^z)].
    """
    variance = (level.alpha * SPREAD) ** 2 + level.sigma**2
    # the finished picture is near its mode: of its own spread nothing is left to draw
    m = (level.alpha**2 / variance) * pixels / 2
    spread = math.sqrt(level.alpha**2 * pixels * level.sigma**2) / variance
    z = m + spread * np.linspace(-6, 6, 2001)
    weight = np.exp(-(np.linspace(-6, 6, 2001) ** 2) / 2)
    return float((weight / (1 + np.exp(z.clip(-500, 500)))).sum() / weight.sum())


def test_new_runs_stay_with_their_mode_as_often_as_theory_says(two_modes):
    """Ancestral sampling in many steps draws from the posterior of the two modes."""
    run = Run(two_modes, Recipe("tiny", seeds=(5,), steps=50, sampler=DDPM()))
    home = math.copysign(1, float(run.x(run.total).mean()))
    shares = [switched_share(run.state(k).level, 64) for k in range(50)]
    window = [k for k, one in enumerate(shares) if 0.1 < one < 0.4][:2]  # the critical window
    assert window
    for k in (0, *window, 24, 40):
        made = torch.cat([new_runs(run.state(k), Settings(again=64, seed=64 * j)) for j in range(3)])
        switched = float((made.flatten(1).mean(1).sign() != home).double().mean())
        expected = shares[k]
        assert abs(switched - expected) < 4 * math.sqrt(max(expected * (1 - expected), 0.01) / 192), (
            k,
            expected,
        )
    late = look(run.state(40), Settings(tolerance=0.2))
    assert late.numbers["open"] == 0 and late["spread"].shape == (8, 8)
    assert look(run.state(0), Settings()).numbers["spread"] > 0.3  # of +-0.5 half and half


def test_another_tolerance_makes_no_new_runs(tiny_model, monkeypatch):
    run = Run(tiny_model(), Recipe("tiny", seeds=(1, 2), steps=4))
    first = view(run, None, "decided", 2, again=3)
    with monkeypatch.context() as patched:
        patched.delattr(decided_view, "new_runs")  # a call would fail
        second = view(run, None, "decided", 2, again=3, tolerance=0.5)
    np.testing.assert_array_equal(first["pictures"], second["pictures"])
    for other in ({"seed": 1}, {"picture": 1}):
        assert (view(run, None, "decided", 2, again=3, **other)["pictures"] != first["pictures"]).any()
    assert (view(run, None, "decided", 1, again=3)["pictures"] != first["pictures"]).any()


def test_the_map_is_the_state_after_which_x0_stays(tiny_model):
    x0 = np.zeros((6, 1, 1, 3), np.float32)
    x0[:, 0, 0, 1] = [1, 1, 0, 1, 0, 0]  # comes back once: decided from 4 on
    x0[:, 0, 0, 2] = [1, 1, 1, 1, 1, 0]
    np.testing.assert_array_equal(decided_at(x0, 0.1), [[0, 4, 5]])
    run = Run(tiny_model(), Recipe("tiny", "Dog", (1, 2), 6))
    seen = look(run.state(3), Settings(picture=1, again=0, tolerance=0.05))
    x0 = history(run, 1)
    for row, column in ((0, 0), (3, 5)):
        k = seen["decided"][row, column]
        far = np.abs(x0[:, 0, row, column] - x0[-1, 0, row, column]) > 0.05
        assert not far[k:].any() and (k == 0 or far[k - 1])
    assert seen["moved"].shape == (6,) and seen["apart"][-1] == 0 and seen["share"][-1] == 1


def test_points_are_decided_too():
    config = MLPConfig(width=16, layers=1)
    spec = ModelSpec(name="points", network=config, schedule=Cosine(), parametrization="x0")
    model = Model(spec, MLP(config).eval(), torch.device("cpu"), torch.float32)
    run = Run(model, Recipe("points", seeds=(1,), steps=4, points=30))
    seen = look(run.state(1), Settings(again=3))
    assert seen["decided"].shape == (30,) and seen["pictures"].shape == (3, 30, 2)
    assert seen.image().ndim == 3 and look_at_sum(run.state(1), Settings()).image().ndim == 3


def test_states_from_which_no_run_starts(tiny_model):
    recipe = Recipe("tiny", "Dog", (1,), 6).continued(3, label="Cat")
    run = Run(tiny_model(), recipe)
    with pytest.raises(OptionError, match="Choose a state from 3 on"):
        look(run.state(1), Settings())
    assert look(run.state(4), Settings(again=2))["pictures"].shape == (2, 1, 8, 8)
