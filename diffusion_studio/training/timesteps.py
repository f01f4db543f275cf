"""Which timesteps a batch trains: all alike, or those with the larger losses more often."""

from __future__ import annotations

import torch

HISTORY = 10                    # losses that are kept of every timestep (Nichol & Dhariwal 2021, section 3.3)
UNIFORM_SHARE = 0.001           # of the draws that stay uniform, so that no timestep is forgotten


class Uniform:
    """Every timestep as often as another."""

    def __init__(self, timesteps: int) -> None:
        self.timesteps = timesteps

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """(t (count,) int64, weights (count,) float32): the weights make the mean an estimate of the uniform mean."""
        return torch.randint(self.timesteps, (count,), generator=generator), torch.ones(count)

    def update(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Take note of the unweighted losses (N,) that a step had at t (N,), both on the CPU."""

    def state(self) -> dict[str, torch.Tensor]:
        """What resuming needs."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`; a KeyError or RuntimeError where it does not fit."""


class ByLoss(Uniform):
    """In proportion to the root of the mean squared loss at t (Nichol & Dhariwal 2021, eq. 18): lower variance of L_vlb.

    Uniform until every timestep has had ten draws.
    """

    def __init__(self, timesteps: int) -> None:
        super().__init__(timesteps)
        self.losses = torch.zeros(timesteps, HISTORY, dtype=torch.float64)
        self.counts = torch.zeros(timesteps, dtype=torch.int64)

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
        for at, loss in zip(t.tolist(), losses.tolist(), strict=True):      # in order: the newest push out the oldest
            self.losses[at, self.counts[at] % HISTORY] = loss
            self.counts[at] += 1

    def state(self) -> dict[str, torch.Tensor]:
        return {"losses": self.losses, "counts": self.counts}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.losses.copy_(state["losses"])
        self.counts.copy_(state["counts"])


TIMESTEP_DRAWS: dict[str, type[Uniform]] = {"uniform": Uniform, "loss": ByLoss}
