"""The noise processes that can be trained, and what suits each where nothing else is asked for. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diffusion.schedule import (SCHEDULES, TABLES, FlowMatching, NoiseSchedule, TableSchedule, VarianceExploding,
                                  VariancePreserving)


@dataclass(frozen=True)
class Process:
    """A noise schedule, which follows from the number of timesteps alone; what a network then predicts, which noise levels
    a batch has (names of `PARAMETRIZATIONS` and of `TIMESTEP_DRAWS`), and the recipe settings to sample with."""

    schedule: type[NoiseSchedule]
    parametrization: str = "eps"
    draw: str = "uniform"
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def predicts(self, timesteps: int) -> str:
        """The parametrization: eps says nothing at pure noise, so v where a table ends in it."""
        schedule = self.schedule(timesteps=timesteps)
        silent = self.parametrization == "eps" and schedule.level(schedule.t_max).alpha == 0
        return "v" if silent else self.parametrization


PROCESSES: dict[str, Process] = {
    **{name: Process(SCHEDULES[name]) for name in TABLES},
    "vp": Process(VariancePreserving),
    "edm": Process(VarianceExploding, "edm", "log-normal", {"sampler": "heun", "spacing": "karras", "steps": 18}),
    "flow": Process(FlowMatching, "flow", "logit-normal", {"sampler": "euler"}),
}


def is_table(schedule: str) -> bool:
    """Whether a process has timesteps, and not continuous time."""
    return issubclass(PROCESSES[schedule].schedule, TableSchedule)
