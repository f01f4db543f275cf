"""Distributions of the noise levels of a batch: uniform, by loss, or normal in log(sigma / alpha)."""

from __future__ import annotations

from typing import ClassVar

import torch

from ..diffusion.schedule import NoiseSchedule

HISTORY = 10  # losses that are kept for every timestep (Nichol & Dhariwal 2021, section 3.3)
UNIFORM_SHARE = 0.001  # share of the draws that stays uniform, so that no timestep is forgotten


class Uniform:
    """All labels of the schedule with equal probability: integer timesteps, or a uniform time if it is
    continuous.
    """

    learns: ClassVar[bool] = False  # whether `update` has an effect

    def __init__(self, schedule: NoiseSchedule) -> None:
        self.schedule = schedule
        self.timesteps = schedule.timesteps

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw t (count,), int64 or float32 in continuous time, and weights (count,) float32.

        With the weights the mean loss estimates the objective without bias.
        """
        if self.schedule.discrete:
            return torch.randint(self.timesteps, (count,), generator=generator), torch.ones(count)
        low, high = self.schedule.t_min, self.schedule.t_max
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        return (low + (high - low) * share).float(), torch.ones(count)

    def update(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Record the unweighted losses (N,) of a step at t (N,), both on the CPU."""

    def state(self) -> dict[str, torch.Tensor]:
        """The state to resume from."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Load what `state` returned. Raises `KeyError` or `RuntimeError` if it does not fit."""


class LogNormal(Uniform):
    """log(sigma / alpha) is normal (Karras et al. 2022, table 1, P_mean and P_std): middle noise levels are
    the most frequent.

    The weights are 1: the objective is the mean over this distribution. Values beyond the schedule's ends are
    clamped, and labels of a table are rounded.
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
    """The logit of flow matching's time is normal (Esser et al. 2024, eq. 19).

    Since sigma / alpha = t / (1 - t), this is `LogNormal` with another mean and deviation.
    """

    MEAN = 0.0
    DEVIATION = 1.0


class ByLoss(Uniform):
    """Importance sampling: in proportion to the root mean squared loss at t (Nichol & Dhariwal 2021, eq. 18).
    It lowers the variance of L_vlb.

    Uniform until every timestep has had ten draws. For tables of timesteps only.
    """

    learns = True

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__(schedule)
        self.losses = torch.zeros(self.timesteps, HISTORY, dtype=torch.float64)
        self.counts = torch.zeros(self.timesteps, dtype=torch.int64)

    def probabilities(self) -> torch.Tensor:
        """The probabilities of the timesteps, (T,) float64."""
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
        # in order, so that the newest replace the oldest
        for at, loss in zip(t.tolist(), losses.tolist(), strict=True):
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
