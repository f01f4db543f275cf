"""Which noise levels a batch has: draws against their distributions, and importance sampling by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from diffusion_studio.diffusion.schedule import FlowMatching, Linear, VarianceExploding, VariancePreserving
from diffusion_studio.training.timesteps import HISTORY, ByLoss, LogitNormal, LogNormal, Uniform


@pytest.mark.parametrize("schedule", [VarianceExploding(), VariancePreserving(), FlowMatching()], ids=str)
def test_uniform_draws_in_continuous_time_cover_all_labels_evenly(schedule):
    t, weight = Uniform(schedule).draw(20_000, torch.Generator().manual_seed(0))
    share = (t.double() - schedule.t_min) / (schedule.t_max - schedule.t_min)
    assert stats.kstest(share.numpy(), "uniform").pvalue > 1e-3 and weight.unique().tolist() == [1]


@pytest.mark.parametrize("schedule", [VarianceExploding(), VariancePreserving(), FlowMatching()], ids=str)
@pytest.mark.parametrize(
    "cls, options, mean, deviation",
    [
        (LogNormal, {}, -1.2, 1.2),
        (LogNormal, {"mean": 0.4, "deviation": 0.5}, 0.4, 0.5),
        (LogitNormal, {}, 0.0, 1.0),
    ],
    ids=str,
)
def test_normal_draws_have_a_normal_log_noise(schedule, cls, options, mean, deviation):
    """As scipy's distribution function has it, whatever the schedule; held at the ends, where hardly any
    draw comes.
    """
    t, weight = cls(schedule, **options).draw(20_000, torch.Generator().manual_seed(1))
    log_ratio = np.array(
        [-schedule.level(min(max(one, schedule.t_min), schedule.t_max)).log_snr / 2 for one in t.tolist()]
    )
    assert stats.kstest(
        log_ratio, stats.norm(mean, deviation).cdf
    ).pvalue > 1e-3 and weight.unique().tolist() == [1]


def test_logit_normal_draws_are_the_flows():
    """The time itself is the sigmoid of a normal (Esser et al. 2024)."""
    t, _ = LogitNormal(FlowMatching()).draw(20_000, torch.Generator().manual_seed(2))
    assert stats.kstest(np.log(t / (1000 - t)), "norm").pvalue > 1e-3


def test_normal_draws_on_a_table_are_whole_timesteps():
    schedule = Linear(timesteps=100, beta_end=0.2)
    t, _ = LogNormal(schedule).draw(5000, torch.Generator().manual_seed(3))
    assert t.dtype == torch.int64 and t.min() >= 0 and t.max() <= 99
    middle = schedule.timestep(2.4)  # half of the draws lie below
    assert abs((t < round(middle)).float().mean() + (t == round(middle)).float().mean() / 2 - 0.5) < 0.04


# --- importance sampling


def table(timesteps: int) -> Linear:
    return Linear(timesteps=timesteps)


def test_timesteps_are_drawn_uniformly_until_all_have_their_history():
    by_loss = ByLoss(table(3))
    for t, count in ((0, 10), (1, 10), (2, 9)):
        by_loss.update(torch.full((count,), t), torch.full((count,), 5.0 + t))
    assert by_loss.probabilities().tolist() == [1 / 3] * 3
    t, weight = by_loss.draw(6, torch.Generator().manual_seed(0))
    assert weight.tolist() == pytest.approx([1.0] * 6)


def test_timesteps_are_drawn_by_the_root_of_their_mean_squared_loss():
    """Over the last ten losses alone (Nichol & Dhariwal 2021, eq. 18)."""
    by_loss = ByLoss(table(3))
    by_loss.update(
        torch.zeros(30, dtype=torch.long), torch.cat([torch.full((20,), 100.0), torch.arange(10.0)])
    )
    by_loss.update(torch.ones(10, dtype=torch.long), torch.full((10,), 2.0))
    by_loss.update(torch.full((10,), 2), torch.full((10,), 4.0))
    root = torch.tensor(
        [math.sqrt(28.5), 2.0, 4.0], dtype=torch.float64
    )  # mean of the squares of 0..9 is 28.5
    wanted = 0.999 * root / root.sum() + 0.001 / 3
    torch.testing.assert_close(by_loss.probabilities(), wanted, rtol=1e-12, atol=0)
    t, weight = by_loss.draw(200_000, torch.Generator().manual_seed(1))
    share = torch.bincount(t, minlength=3) / 200_000
    assert (share - wanted).abs().max() < 5 * math.sqrt(0.25 / 200_000)
    torch.testing.assert_close(weight, (1 / (3 * wanted[t])).float())
    something = torch.tensor([7.0, -1.0, 3.0])  # the weights make its mean the uniform one
    assert (something[t] * weight).mean().item() == pytest.approx(3.0, abs=0.05)


def test_a_history_survives_and_losses_of_zero_do_no_harm():
    by_loss = ByLoss(table(2))
    by_loss.update(torch.arange(2).repeat(HISTORY), torch.zeros(2 * HISTORY))
    assert by_loss.probabilities().tolist() == [0.5, 0.5]
    by_loss.update(torch.tensor([0, 0, 1]), torch.tensor([1.0, 2.0, 5.0]))
    other = ByLoss(table(2))
    other.restore({name: tensor.clone() for name, tensor in by_loss.state().items()})
    assert torch.equal(other.probabilities(), by_loss.probabilities()) and other.counts.tolist() == [12, 11]
    with pytest.raises(KeyError):
        other.restore({})
    Uniform(table(2)).restore({})
