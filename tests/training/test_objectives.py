"""Every objective against closed forms: optimum on Gaussian data, stop-gradient, weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from diffusion_studio.diffusion.schedule import (
    Cosine,
    FlowMatching,
    Linear,
    VarianceExploding,
    VariancePreserving,
)
from diffusion_studio.training.draws import draw_batch, draw_part
from diffusion_studio.training.objective import (
    OBJECTIVES,
    BoundObjective,
    ClassifierObjective,
    Draw,
    HybridObjective,
    SimpleObjective,
)
from diffusion_studio.training.timesteps import Uniform

F64 = torch.float64
MEAN, DEVIATION = 0.2, 0.5  # of the Gaussian data
PARAMETRIZATIONS = ("eps", "x0", "v", "mean", "edm", "flow")


class Affine(nn.Module):
    """a[t] x + b[t], and a variance share per t: what is optimal for Gaussian data."""

    def __init__(self, timesteps: int, learned: bool) -> None:
        super().__init__()
        self.a, self.b = (
            nn.Parameter(torch.zeros(timesteps).double()),
            nn.Parameter(torch.zeros(timesteps).double()),
        )
        self.v = nn.Parameter(torch.zeros(timesteps).double()) if learned else None

    def forward(self, x, t, label):
        shape = (-1, 1, 1, 1)
        y = self.a[t].view(shape) * x + self.b[t].view(shape)
        return y if self.v is None else torch.cat([y, self.v[t].view(shape).expand_as(x)], dim=1)


def some_draw(timesteps: int, x0: torch.Tensor) -> Draw:
    drawn = draw_batch(0, 0, len(x0), Uniform(Linear(timesteps=timesteps)), 0.0, False)
    return draw_part(drawn, slice(0, len(x0)), 0, 0, x0)


def gaussian_batch(timesteps: int, each: int, skip_first: bool) -> tuple[torch.Tensor, Draw]:
    """`each` samples at every t, with moments that are exact up to second order, so that the loss is the
    closed form.
    """
    generator = torch.Generator().manual_seed(0)
    ts = torch.arange(int(skip_first), timesteps).repeat_interleave(each)
    pairs = torch.randn(2, each, dtype=torch.float64, generator=generator)
    pairs = pairs - pairs.mean(1, keepdim=True)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(pairs @ pairs.T / each), pairs, upper=False
    )
    x0, eps = (row.repeat(timesteps - int(skip_first)).view(-1, 1, 1, 1) for row in whitened)
    return MEAN + DEVIATION * x0, Draw(ts, eps, torch.zeros(len(ts), dtype=torch.bool))


def minimise(objective, network, x0, draw) -> torch.Tensor:
    # What the hybrid descends is no function's gradient, so that a line search would stall
    search = None if isinstance(objective, HybridObjective) else "strong_wolfe"
    optimizer = torch.optim.LBFGS(
        network.parameters(),
        lr=1 if search else 0.5,
        max_iter=300,
        tolerance_grad=1e-9,
        tolerance_change=1e-16,
        history_size=50,
        line_search_fn=search,
    )

    def closure():
        optimizer.zero_grad()
        loss = objective(network, x0, None, draw)
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return objective.losses(network, x0, None, draw)


def left_over(schedule, t: int) -> float:
    """Var[x0 | x_t], the part of the picture that nobody can know."""
    level = schedule.level(t)
    return DEVIATION**2 * level.sigma**2 / (level.alpha**2 * DEVIATION**2 + level.sigma**2)


def squared_gain(schedule, parametrization: str, t: int) -> float:
    """The squared slope of the target in x0 at fixed x."""
    level = schedule.level(t)
    before = schedule.level(t - 1) if t else None
    beta = schedule.betas()[t]
    return {
        "x0": 1.0,
        "eps": level.alpha**2 / level.sigma**2,
        "v": 1 / level.sigma**2,
        "edm": (level.alpha**2 * 0.25 + level.sigma**2) / (level.sigma * 0.5) ** 2,
        "flow": (level.alpha / level.sigma + 1) ** 2,
        "mean": ((before.alpha if t else 1.0) * beta / level.sigma**2) ** 2,
    }[parametrization]


@pytest.mark.parametrize("min_snr", [0.0, 2.0])
@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_simple_optimum_on_gaussian_data_is_the_closed_form(parametrization, min_snr):
    """Posterior variance times the squared gain, at every t; with min-SNR the variance times min(SNR,
    gamma).
    """
    schedule = Linear(timesteps=8, beta_start=0.02, beta_end=0.5)
    objective = SimpleObjective(schedule, parametrization, min_snr=min_snr, dtype=F64)
    x0, draw = gaussian_batch(8, 8, skip_first=False)
    losses = minimise(objective, Affine(8, False), x0, draw).view(8, 8).mean(1)
    for t in range(8):
        level = schedule.level(t)
        gain = (
            squared_gain(schedule, parametrization, t)
            if not min_snr
            else min((level.alpha / level.sigma) ** 2, min_snr)
        )
        assert losses[t].item() == pytest.approx(gain * left_over(schedule, t), rel=1e-4), t


class AffineOf(Affine):
    """The same for a few labels of continuous time."""

    def __init__(self, labels: torch.Tensor) -> None:
        super().__init__(len(labels), False)
        self.labels = labels

    def forward(self, x, t, label):
        return super().forward(x, torch.searchsorted(self.labels, t), label)


CONTINUOUS = {"edm": VarianceExploding(), "flow": FlowMatching(), "vp": VariancePreserving()}


@pytest.mark.parametrize("weighting", ["output", "edm", "min-snr"])
@pytest.mark.parametrize("parametrization", ["edm", "flow", "x0", "v", "eps"])
@pytest.mark.parametrize("process", CONTINUOUS)
def test_the_optimum_in_continuous_time_is_the_closed_form(process, parametrization, weighting):
    """The variance that is left, times lambda(sigma) = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 for
    EDM's weight, with sigma the noise beside a picture of scale 1; times the squared slope of the target
    for the plain error.
    """
    schedule = CONTINUOUS[process]
    snr = torch.tensor([12.0, 2.0, 0.3, 0.05, 0.002], dtype=F64)
    labels = torch.tensor([schedule.timestep(math.log(one)) for one in snr]).float().sort().values
    x0, draw = gaussian_batch(len(labels), 8, skip_first=False)
    draw = Draw(labels[draw.t], draw.eps, draw.drop)
    objective = SimpleObjective(
        schedule,
        parametrization,
        weighting="edm" if weighting == "edm" else "output",
        min_snr=2.0 if weighting == "min-snr" else 0.0,
        dtype=F64,
    )
    losses = minimise(objective, AffineOf(labels), x0, draw).view(-1, 8).mean(1)
    for k, t in enumerate(labels.tolist()):
        level = schedule.level(t)
        alpha, sigma, ratio = level.alpha, level.sigma, level.sigma / level.alpha
        gain = {
            "edm": (ratio**2 + 0.25) / (ratio * 0.5) ** 2,
            "min-snr": min(ratio**-2, 2.0),
            "output": {
                "edm": (ratio**2 + 0.25) / (ratio * 0.5) ** 2,
                "flow": (alpha / sigma + 1) ** 2,
                "x0": 1.0,
                "v": ((alpha**2 + sigma**2) / sigma) ** 2,
                "eps": ratio**-2,
            }[parametrization],
        }[weighting]
        assert losses[k].item() == pytest.approx(
            gain * DEVIATION**2 * sigma**2 / (alpha**2 * DEVIATION**2 + sigma**2), rel=1e-4
        ), t


def test_edms_loss_is_the_papers_by_hand():
    """Karras et al. 2022, eq. 2 with lambda of table 1: the weighted squared error of D, which scales the
    network's input.
    """
    objective = SimpleObjective(VarianceExploding(), "edm", sigma_data=0.7, dtype=F64)
    x0, eps = torch.randn(2, 3, 1, 4, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([-1.5, 0.1, 1.0])
    found = objective.losses(
        lambda x, t, label: torch.tanh(x) + t.view(-1, 1, 1, 1), x0, None, Draw(t, eps, t > 9)
    )
    for k in range(3):
        sigma = math.exp(4 * t[k].item())
        y = x0[k] + sigma * eps[k]
        inner = torch.tanh(y / math.sqrt(sigma**2 + 0.49)) + t[k]
        d = 0.49 / (sigma**2 + 0.49) * y + sigma * 0.7 / math.sqrt(sigma**2 + 0.49) * inner
        wanted = (sigma**2 + 0.49) / (sigma * 0.7) ** 2 * (d - x0[k]).square().mean()
        assert found[k].item() == pytest.approx(wanted.item(), rel=1e-9)


def test_flow_matchings_loss_is_the_papers_by_hand():
    """Lipman et al. 2022, eq. 23, in the direction picture to noise: the network is asked at 1000 times
    the time.
    """
    objective = SimpleObjective(FlowMatching(), "flow", dtype=F64)
    x0, eps = torch.randn(2, 3, 1, 4, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([2.0, 300.0, 1000.0])
    found = objective.losses(
        lambda x, t, label: 0.3 * x + t.view(-1, 1, 1, 1) / 1000, x0, None, Draw(t, eps, t < 0)
    )
    for k in range(3):
        s = t[k].item() / 1000
        wanted = (0.3 * ((1 - s) * x0[k] + s * eps[k]) + s - (eps[k] - x0[k])).square().mean()
        assert found[k].item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_bounds_optimum_on_gaussian_data_is_the_closed_form(parametrization):
    """With the right mean and variance a step costs half the log of by how much it is wider than the
    posterior.
    """
    schedule = Linear(timesteps=8, beta_start=0.05, beta_end=0.4)
    objective = BoundObjective(schedule, parametrization, dtype=F64)
    x0, draw = gaussian_batch(8, 8, skip_first=True)
    network = Affine(8, True)
    losses = minimise(objective, network, x0, draw).view(7, 8).mean(1)
    for t in range(1, 8):
        small = math.exp(objective.posterior.tables["log_small"][t])
        wanted = small + squared_gain(schedule, "mean", t) * left_over(schedule, t)
        assert losses[t - 1].item() == pytest.approx(
            8 * 0.5 * math.log(wanted / small) / math.log(2), rel=1e-4
        ), t
        share = (network.v[t].item() + 1) / 2
        log_variance = share * math.log(schedule.betas()[t]) + (1 - share) * math.log(small)
        assert math.exp(log_variance) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_hybrid_optimum_has_the_simple_mean_and_the_bounds_variance(parametrization):
    schedule = Linear(timesteps=6, beta_start=0.05, beta_end=0.4)
    objective = HybridObjective(schedule, parametrization, bound_weight=0.5, dtype=F64)
    x0, draw = gaussian_batch(6, 8, skip_first=True)
    losses = minimise(objective, Affine(6, True), x0, draw).view(5, 8).mean(1)
    for t in range(1, 6):
        small = math.exp(objective.posterior.tables["log_small"][t])
        unknown = left_over(schedule, t)
        bound = 6 * 0.5 * math.log1p(squared_gain(schedule, "mean", t) * unknown / small) / math.log(2)
        squared = squared_gain(schedule, parametrization, t) * unknown
        assert losses[t - 1].item() == pytest.approx(squared + 0.5 * bound, rel=1e-4), t


def quantised(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(256, (n, 1, 4, 4), generator=generator).double() / 127.5 - 1


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_hybrid_holds_the_mean(parametrization):
    """The gradient with respect to the prediction is L_simple's, that with respect to v is L_vlb's."""
    schedule = Cosine(timesteps=12)
    generator = torch.Generator().manual_seed(2)
    x0 = quantised(6, generator)
    draw = Draw(
        torch.tensor([0, 1, 4, 7, 10, 11]),
        torch.randn(x0.shape, generator=generator).double(),
        torch.zeros(6, dtype=torch.bool),
    )
    outputs = {
        name: torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(3))
        .double()
        .mul(0.3)
        .requires_grad_()
        for name in OBJECTIVES
    }
    for name, cls in OBJECTIVES.items():
        objective = cls(schedule, parametrization, bound_weight=0.7, dtype=F64)
        objective(
            lambda x, t, label: outputs[name] if name != "simple" else outputs[name][:, :1], x0, None, draw
        ).backward()
    grad = {name: output.grad for name, output in outputs.items()}
    torch.testing.assert_close(grad["hybrid"][:, :1], grad["simple"][:, :1], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(grad["hybrid"][:, 1:], 0.7 * grad["vlb"][:, 1:], rtol=1e-12, atol=1e-15)
    assert grad["vlb"][:, :1].abs().max() > 1e-3 and grad["vlb"][:, 1:].abs().max() > 1e-3


def test_the_bounds_loss_is_t_times_the_terms_of_an_independent_computation():
    """L_{t-1} by torch.distributions with sqrt(alpha_bar) written out, for an eps network in float64."""
    schedule = Linear(timesteps=40)
    generator = torch.Generator().manual_seed(5)
    x0 = quantised(3, generator)
    eps = torch.randn(x0.shape, generator=generator).double()
    t = torch.tensor([1, 17, 39])
    objective = BoundObjective(schedule, "eps", dtype=F64)
    found = objective.losses(
        lambda x, t, label: torch.cat([0.9 * x, 0.1 * x], 1), x0, None, Draw(t, eps, t > 99)
    )
    betas = torch.from_numpy(schedule.betas())
    bar = (1 - betas).cumprod(0)
    Normal = torch.distributions.Normal
    for k, step in enumerate(t.tolist()):
        x = bar[step].sqrt() * x0[k] + (1 - bar[step]).sqrt() * eps[k]
        small = betas[step] * (1 - bar[step - 1]) / (1 - bar[step])
        true = bar[step - 1].sqrt() * betas[step] * x0[k] + (1 - betas[step]).sqrt() * (1 - bar[step - 1]) * x
        true = true / (1 - bar[step])
        mean = (x - betas[step] / (1 - bar[step]).sqrt() * 0.9 * x) / (1 - betas[step]).sqrt()  # DDPM, eq. 11
        share = (0.1 * x + 1) / 2
        deviation = (0.5 * (share * betas[step].log() + (1 - share) * small.log())).exp()
        kl = torch.distributions.kl_divergence(
            Normal(true, small.sqrt()), Normal(mean, deviation)
        ).mean() / math.log(2)
        assert found[k].item() == pytest.approx(40 * kl.item(), rel=1e-7)


def test_a_classifiers_loss_is_the_cross_entropy_of_noisy_pictures():
    objective = ClassifierObjective(Linear(timesteps=10), "eps")
    x0 = torch.rand(4, 1, 2, 2) * 2 - 1
    draw = some_draw(10, x0)
    seen = []

    def network(x, t):
        seen.append((x, t))
        return x.flatten(1)[:, :3]

    label = torch.tensor([0, 2, 1, 1])
    found = objective.losses(network, x0, label, draw)
    for k in range(4):
        level = Linear(timesteps=10).level(int(draw.t[k]))
        logits = (level.alpha * x0[k] + level.sigma * draw.eps[k]).flatten()[:3].double()
        assert found[k].item() == pytest.approx(
            (logits.exp().sum().log() - logits[label[k]]).item(), rel=1e-5
        )
    assert torch.equal(seen[0][1], draw.t)
