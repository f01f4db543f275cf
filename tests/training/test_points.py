"""Training on points: defaults that suit them, files, resuming bit for bit, the bound, and looks at it
while it runs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import POINTS
from diffusion_studio.data import points
from diffusion_studio.diffusion.posterior import Posterior
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import OptionError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.config_file import command, from_toml, train_config
from diffusion_studio.training.live import watched

SMALL = {"channels": 16, "blocks": 2, "batch": 32, "images": 32 * 20, "timesteps": 50, "warmup": 3}


@pytest.fixture
def table(tmp_path):
    """77 labelled points: epochs do not end with a batch."""
    path = tmp_path / "points.npz"
    np.savez(
        path,
        points=np.random.default_rng(0).normal(size=(77, 2)),
        labels=np.arange(77) % 2,
        classes=["odd", "even"],
    )
    return str(path)


def test_a_name_of_points_brings_what_suits_them():
    config = train_config(data="moons")
    assert config.kind == "points" and config.batch > TrainConfig().batch and config.parametrization == "v"
    assert train_config(data="moons", lr=1e-4).lr == 1e-4 and train_config() == TrainConfig()
    assert from_toml('data = "moons"\nlr = 1e-4') == train_config(data="moons", lr=1e-4)
    assert command(config, "runs/moons") == "diffusion-studio train --data moons --out runs/moons"
    assert (
        command(train_config(data="moons", lr=1e-4), "a")
        == "diffusion-studio train --data moons --lr 0.0001 --out a"
    )
    assert command(TrainConfig(lr=1e-4), "a") == "diffusion-studio train --lr 0.0001 --out a"


def test_a_run_writes_a_model_and_its_card(table, tmp_path, finish):
    steps = finish(train_config(data=table, **SMALL), tmp_path / "run")
    assert len(steps) == 20 and math.isfinite(steps[-1].loss)
    model = ds.load(tmp_path / "run")
    assert (
        model.spec.makes == POINTS and model.spec.labels == ("odd", "even") and model.spec.network.null_class
    )
    card = (tmp_path / "run" / "card.md").read_text()
    assert (
        "A diffusion model of 2-D points, of unit variance." in card
        and "| Points seen | 640 in batches of 32 |" in card
    )
    assert (tmp_path / "run" / "samples" / "final.png").is_file()


@pytest.mark.parametrize(
    "changes",
    [
        {"parametrization": "eps", "schedule": "linear"},
        {"parametrization": "x0"},
        {"objective": "hybrid"},
        {"objective": "vlb", "draw_t": "loss"},
        {"min_snr": 5.0},
        {"schedule": "edm", "parametrization": ""},
        {"schedule": "flow", "parametrization": ""},
    ],
    ids=str,
)
def test_every_objective_and_process_trains_and_draws(changes, tmp_path, finish):
    changes = {
        name: value if value != "" else TrainConfig.__dataclass_fields__["parametrization"].default
        for name, value in changes.items()
    }
    finish(train_config(data="moons", **{**SMALL, **changes}), tmp_path / "run")
    studio = ds.Studio(tmp_path, "cpu")
    made = studio.run(studio.recipe("run", points=50, steps=4)).images
    assert made.shape == (1, 50, 2) and np.isfinite(made.astype(float)).all()


def test_a_resumed_run_is_the_run_that_was_never_stopped(table, tmp_path, finish):
    config = train_config(data=table, **SMALL)
    whole = finish(config, tmp_path / "whole")
    steps = ds.train(config, tmp_path / "parts", device="cpu", sample_every=0)
    first = [next(steps).loss for _ in range(7)]
    steps.close()
    rest = finish(config, tmp_path / "parts", resume=True)
    assert first + [one.loss for one in rest] == [one.loss for one in whole]
    a, b = (ds.load(tmp_path / name).network.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_in_parts_is_the_batch(table, tmp_path, finish):
    losses = [
        [
            one.loss
            for one in finish(train_config(data=table, accumulate=parts, **SMALL), tmp_path / str(parts))
        ]
        for parts in (1, 3)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_bounds_last_term_is_a_density_where_x0_is_no_bytes():
    schedule, torch_mean = Linear(timesteps=20), torch.tensor([[0.3, -0.2], [1.7, 0.0]], dtype=torch.float64)
    x0, t = torch_mean + 0.05, torch.zeros(2, dtype=torch.int64)
    log_variance = torch.full_like(x0, math.log(0.04))
    found = Posterior(schedule, dtype=torch.float64, bytes=False).bound_term(
        x0, x0, t, torch_mean, log_variance
    )
    nats = -torch.distributions.Normal(torch_mean, 0.2).log_prob(x0).mean(1)
    torch.testing.assert_close(found, nats / math.log(2), rtol=1e-12, atol=1e-12)


def test_flips_are_not_for_points(tmp_path):
    with pytest.raises(OptionError, match="flips mirror pictures; points are trained on as they are"):
        ds.train(train_config(data="moons", flips=True), tmp_path / "run")


def test_looks_at_a_network_in_training(tmp_path):
    """The first look is before any step; the last has the model, which draws what its look shows."""
    looks = list(watched("rings", tmp_path / "run", 9, "mine"))
    assert [looks[0].frame.index, looks[-1].frame.index, looks[-1].frame.total] == [0, 9, 9]
    assert all(one.model is None for one in looks[:-1]) and looks[-1].model.spec.name == "mine"
    true = points.load("rings", "test", 1000).points
    assert all(np.allclose(one.frame.x0[0], true, atol=2e-3) for one in looks)
    assert not np.array_equal(looks[0].frame.x, looks[-1].frame.x)
    assert list(watched("rings", tmp_path / "short", 10_000, "mine", max_seconds=0.0))[-1].frame.index == 1
