"""Which noise levels a batch trains: all labels alike, those with the larger losses more often, or
middling noise.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from ..diffusion.schedule import NoiseSchedule

HISTORY = 10  # losses that are kept of every timestep (Nichol & Dhariwal 2021, section 3.3)
UNIFORM_SHARE = 0.001  # of the draws that stay uniform, so that no timestep is forgotten


class Uniform:
    """Every label of the schedule as often as another: whole timesteps, or any time where it is
    continuous.
    """

    learns: ClassVar[bool] = False  # whether `update` makes a difference

    def __init__(self, schedule: NoiseSchedule) -> None:
        self.schedule = schedule
        self.timesteps = schedule.timesteps

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """(t (count,) int64, or float32 in continuous time; weights (count,) float32).

        The weights make the mean an estimate of the mean that is asked for.
        """
        if self.schedule.discrete:
            return torch.randint(self.timesteps, (count,), generator=generator), torch.ones(count)
        low, high = self.schedule.t_min, self.schedule.t_max
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        return (low + (high - low) * share).float(), torch.ones(count)

    def update(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Take note of the unweighted losses (N,) that a step had at t (N,), both on the CPU."""

    def state(self) -> dict[str, torch.Tensor]:
        """What resuming needs."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`; a KeyError or RuntimeError where it does not fit."""


class LogNormal(Uniform):
    """log(sigma / alpha) is normal (Karras et al. 2022, table 1: P_mean and P_std): most often where there is
    most to learn.

    The weights are 1: the objective is the mean over this distribution. What falls beyond the schedule's ends
    is held there, and a table's labels are rounded.
    """

    MEAN: ClassVar[float] = -1.2
    DEVIATION: ClassVar[float] = 1.2

    def __init__(
        self, schedule: NoiseSchedule, mean: float | None = None, deviation: float | None = None
    ) -> None:
        super().__init__(schedule)
        self.mean = self.MEAN if mean is None else mean
        self.deviation = self.DEVIATION if deviation is None else deviation

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        log_ratio = self.mean + self.deviation * torch.randn(count, generator=generator, dtype=torch.float64)
        t = [self.schedule.timestep(-2 * one) for one in log_ratio.tolist()]
        whole = self.schedule.discrete
        return torch.tensor(
            [round(one) for one in t] if whole else t, dtype=torch.int64 if whole else torch.float32
        ), torch.ones(count)


class LogitNormal(LogNormal):
    """The logit of flow matching's time is normal (Esser et al. 2024, eq. 19): since sigma / alpha = t /
    (1 - t), that is `LogNormal` with another centre.
    """

    MEAN = 0.0
    DEVIATION = 1.0


class ByLoss(Uniform):
    """In proportion to the root of the mean squared loss at t (Nichol & Dhariwal 2021, eq. 18): lower
    variance of L_vlb.

    Uniform until every timestep has had ten draws. For tables of timesteps.
    """

    learns = True

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__(schedule)
        self.losses = torch.zeros(self.timesteps, HISTORY, dtype=torch.float64)
        self.counts = torch.zeros(self.timesteps, dtype=torch.int64)

    def probabilities(self) -> torch.Tensor:
        """(T,) float64, which sum to one."""
        even = torch.full((self.timesteps,), 1 / self.timesteps, dtype=torch.float64)
        if (self.counts < HISTORY).any():
            return even
        by_loss = self.losses.square().mean(1).sqrt()
        total = by_loss.sum()
        return torch.lerp(by_loss / total, even, UNIFORM_SHARE) if total > 0 else even

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        p = self.probabilities()
        at = torch.rand(count, generator=generator, dtype=torch.float64)
        t = torch.searchsorted(p.cumsum(0), at).clamp(max=self.timesteps - 1)
        return t, (1 / (self.timesteps * p[t])).float()

    def update(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        for at, loss in zip(
            t.tolist(), losses.tolist(), strict=True
        ):  # in order: the newest push out the oldest
            self.losses[at, self.counts[at] % HISTORY] = loss
            self.counts[at] += 1

    def state(self) -> dict[str, torch.Tensor]:
        return {"losses": self.losses, "counts": self.counts}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.losses.copy_(state["losses"])
        self.counts.copy_(state["counts"])


TIMESTEP_DRAWS: dict[str, type[Uniform]] = {
    "uniform": Uniform,
    "loss": ByLoss,
    "log-normal": LogNormal,
    "logit-normal": LogitNormal,
}
