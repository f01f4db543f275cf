"""The configuration of a training run, and its objective."""

from __future__ import annotations

import math
import shlex

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Cosine, Linear
from diffusion_studio.errors import OptionError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.draws import draw_batch, draw_part
from diffusion_studio.training.ema import EMA
from diffusion_studio.training.objective import Draw, SimpleObjective
from diffusion_studio.training.timesteps import Uniform

# --- configuration


def test_learning_rate_rises_stays_and_falls():
    config = TrainConfig(images=1000, batch=10, warmup=20, cooldown=0.4, lr=0.5)
    rates = [config.learning_rate(10 * step) for step in range(100)]
    np.testing.assert_allclose(rates[:20], 0.5 * np.arange(1, 21) / 20)
    np.testing.assert_allclose(rates[19:61], 0.5)
    np.testing.assert_allclose(rates[60:], 0.5 * np.arange(40, 0, -1) / 40)
    assert config.learning_rate(1000) == config.learning_rate(5000) == 0


def test_learning_rate_without_warmup_or_cooldown():
    config = TrainConfig(images=100, batch=10, warmup=0, cooldown=0.0, lr=0.25)
    assert {config.learning_rate(seen) for seen in range(0, 100, 10)} == {0.25}


@pytest.mark.parametrize(
    "schedule, parametrization, draws, sampler",
    [
        ("linear", "eps", "uniform", None),
        ("jsd", "v", "uniform", None),
        ("vp", "eps", "uniform", None),
        ("edm", "edm", "log-normal", "heun"),
        ("flow", "flow", "logit-normal", "euler"),
    ],
)
def test_what_suits_a_schedule_follows_from_it(config, schedule, parametrization, draws, sampler):
    given = config(schedule=schedule)
    assert (given.predicts, given.draws) == (parametrization, draws)
    spec = given.spec("m", 1, (), {})
    assert spec.parametrization == parametrization and spec.schedule == given.noise_schedule()
    assert spec.defaults.get("sampler") == sampler
    other = config(schedule=schedule, parametrization="x0", draw_t="uniform")
    assert (other.predicts, other.draws) == ("x0", "uniform")


def test_configuration_round_trip(config):
    for one in (
        TrainConfig(),
        config(),
        config(schedule="edm", draw_mean=-1.0, draw_std=1.5),
        config(schedule="cosine", resample="residual", parametrization="v"),
    ):
        assert TrainConfig.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"multipliers": "1,two"},
            "multipliers must be numbers with commas between them, such as 1,2,2; got '1,two'",
        ),
        ({"multipliers": "1,nan"}, "multipliers must be numbers"),
        ({"multipliers": "inf"}, "multipliers must be numbers"),
        ({"attention": "4.5"}, "attention must be numbers"),
        ({"attention": "5"}, "attention at size 5 is not possible: the network's levels have the sizes 8, 4"),
        (
            {"patch": 2, "attention": "8"},
            "attention at size 8 is not possible: the network's levels have the sizes 4, 2",
        ),
        ({"size": 9}, "size must be a multiple of 2 for this network's levels and patches, got 9"),
        (
            {"size": 10, "patch": 2, "attention": ""},
            "size must be a multiple of 4 for this network's levels and patches, got 10",
        ),
        (
            {"patch": 2, "attention": "", "kind": "classifier"},
            "A classifier reads single pixels; patch is 2. Leave it out.",
        ),
        ({"batch": 0}, "batch must be"),
        ({"lr": 2}, "lr must be a finite number"),
        ({"schedule": "sine"}, "There is no schedule 'sine'. Choose one of: linear, cosine"),
        (
            {"schedule": "jsd", "parametrization": "eps"},
            "The schedule jsd ends in pure noise, where eps says nothing of the picture. "
            "Choose the parametrization v",
        ),
        (
            {"schedule": "flow", "parametrization": "eps"},
            "The schedule flow ends in pure noise, where eps says nothing",
        ),
        (
            {"schedule": "vp", "parametrization": "mean"},
            "The parametrization mean needs timesteps, and the schedule vp has continuous",
        ),
        (
            {"schedule": "edm", "objective": "hybrid", "draw_t": "loss"},
            "The draw_t loss, objective hybrid needs timesteps",
        ),
        ({"schedule": "edm", "kind": "classifier"}, "A classifier takes noisy pictures of bounded scale"),
        (
            {"draw_mean": 0.5},
            "draw_mean and draw_std are of log-normal or logit-normal draws; here draw_t is uniform. Leave",
        ),
        (
            {"weighting": "edm", "min_snr": 5},
            "min_snr and the weighting edm are two weights for the same error. Choose one",
        ),
        (
            {"weighting": "edm", "objective": "vlb"},
            "min_snr and weighting weigh the squared error, and the objective vlb has none",
        ),
        ({"label_dropout": 1.5}, "label_dropout must be"),
        ({"precision": "int8"}, "There is no precision"),
    ],
)
def test_configurations_that_cannot_be(config, changes, message):
    with pytest.raises(OptionError, match=message):
        config(**changes)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"lerning": 1}', '{"lr": "fast"}'])
def test_texts_that_are_no_configuration(text):
    with pytest.raises(OptionError):
        TrainConfig.from_json(text)


def test_the_command_names_what_differs_and_survives_a_shell(config):
    given = config(data="my pictures/a'b.npz", schedule="cosine")
    words = shlex.split(given.command("runs/a b"))
    assert words[:2] == ["diffusion-studio", "train"] and words[-2:] == ["--out", "runs/a b"]
    flags = dict(zip(words[2:-2:2], words[3:-2:2], strict=True))
    assert (
        flags["--data"] == "my pictures/a'b.npz"
        and flags["--schedule"] == "cosine"
        and flags["--norm-groups"] == "4"
    )
    assert "--blocks" not in flags
    back = {name[2:].replace("-", "_"): value for name, value in flags.items()}
    kinds = {f.name: type(f.default) for f in ds.options.fields_of(TrainConfig)}
    assert TrainConfig(**{name: kinds[name](value) for name, value in back.items()}) == given


def test_the_network_that_a_configuration_makes(config):
    network = config(label_dropout=0.0).network(3, 5)
    assert (network.in_channels, network.classes, network.null_class) == (3, 5, False)
    network = config().network(1, 5)
    assert network.null_class and network.widths == (8, 16) and network.attention_levels == (1,)
    assert config().network(1, None).null_class is False
    patched = config(patch=2, attention="2", objective="hybrid").network(3, 5)
    assert (patched.patch, patched.attention_levels, patched.in_channels, patched.out_channels) == (
        2,
        (1,),
        3,
        6,
    )
    assert config(schedule="cosine", timesteps=7).noise_schedule() == Cosine(timesteps=7)


# --- objective


def posterior_mean(schedule, t, clean, noisy):
    """Ho et al. 2020, eq. 7, written with alpha_bar and beta."""
    betas = schedule.betas()
    bar = np.cumprod(1 - betas)
    before = bar[t - 1] if t else 1.0
    return (math.sqrt(before) * betas[t] * clean + math.sqrt(1 - betas[t]) * (1 - before) * noisy) / (
        1 - bar[t]
    )


@pytest.mark.parametrize("parametrization", ["eps", "x0", "v", "mean"])
def test_the_loss_is_the_papers(parametrization):
    """Ho et al. 2020, eq. 14, by hand in float64 for every picture of the batch."""
    schedule = Linear(timesteps=50)
    objective = SimpleObjective(schedule, parametrization, 3)
    torch.manual_seed(0)
    x0, eps = torch.rand(4, 1, 8, 8) * 2 - 1, torch.randn(4, 1, 8, 8)
    draw = Draw(torch.tensor([0, 7, 30, 49]), eps, torch.tensor([False, True, False, True]))
    asked = []

    def network(x, t, label):
        asked.append((x, t, label))
        return 0.3 * x + 0.1

    loss = objective(network, x0, torch.tensor([0, 1, 2, 0]), draw)
    ((x, t, label),) = asked
    assert t.tolist() == [0, 7, 30, 49] and label.tolist() == [0, 3, 2, 3]
    total = 0.0
    for k in range(4):
        level = schedule.level(int(t[k]))
        clean, noise = x0[k].double(), eps[k].double()
        noisy = level.alpha * clean + level.sigma * noise
        assert (x[k] - noisy).abs().max() < 1e-6
        target = {
            "eps": noise,
            "x0": clean,
            "v": level.alpha * noise - level.sigma * clean,
            "mean": posterior_mean(schedule, int(t[k]), clean, noisy),
        }[parametrization]
        total += (0.3 * noisy + 0.1 - target).square().sum().item()
    assert loss.item() == pytest.approx(total / (4 * 64), rel=1e-5)


def some_draw(x0, timesteps=10, label_dropout=0.0, seed=0):
    drawn = draw_batch(seed, 0, len(x0), Uniform(Linear(timesteps=timesteps)), label_dropout, False)
    return draw_part(drawn, slice(0, len(x0)), seed, 0, x0)


def test_a_perfect_network_has_no_loss():
    objective = SimpleObjective(Linear(timesteps=50), "eps")
    draw = some_draw(torch.zeros(4, 1, 8, 8), 50)
    assert objective(lambda x, t, label: draw.eps, torch.zeros(4, 1, 8, 8), None, draw).item() == 0


def test_draws_are_repeatable_uniform_and_drop_their_share():
    x0 = torch.zeros(20_000, 1, 1, 1)
    a, b = (some_draw(x0, 10, 0.1, seed=5) for _ in range(2))
    assert torch.equal(a.t, b.t) and torch.equal(a.eps, b.eps) and torch.equal(a.drop, b.drop)
    counts = torch.bincount(a.t, minlength=10)
    assert len(counts) == 10 and (counts - 2000).abs().max() < 5 * math.sqrt(1800)  # binomial, 5 sigma
    assert abs(a.drop.float().mean() - 0.1) < 5 * math.sqrt(0.09 / 20_000)
    assert abs(a.eps.mean()) < 5 / math.sqrt(20_000)


def test_labels_are_never_dropped_without_a_null_class():
    objective = SimpleObjective(Linear(timesteps=10), "eps")
    draw = some_draw(torch.zeros(4, 1, 8, 8), 10, 1.0)
    assert draw.drop.all()
    seen = []
    objective(
        lambda x, t, label: seen.append(label.tolist()) or x,
        torch.zeros(4, 1, 8, 8),
        torch.tensor([0, 1, 2, 0]),
        draw,
    )
    assert seen == [[0, 1, 2, 0]]


def test_ema_is_the_recurrence():
    network = torch.nn.Linear(3, 2)
    ema = EMA(network, 0.75)
    wanted = network.weight.detach().double().clone()
    for step in range(40):
        with torch.no_grad():
            network.weight.copy_(torch.randn(2, 3, generator=torch.Generator().manual_seed(step)))
        decay = min(0.75, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * network.weight.detach().double()
        ema.update(network, step)
        assert (ema.state["weight"] - wanted).abs().max() < 1e-5
    assert not ema.state["weight"].requires_grad and ema.state["weight"] is not network.weight
