"""The noise processes that can be trained, with suitable defaults for each. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diffusion.schedule import (
    SCHEDULES,
    TABLES,
    FlowMatching,
    NoiseSchedule,
    TableSchedule,
    VarianceExploding,
    VariancePreserving,
)
from ..errors import OptionError, Setting


@dataclass(frozen=True)
class Process:
    """A noise process and its defaults.

    `schedule` is constructed from the number of timesteps alone. `parametrization` (a name in
    `PARAMETRIZATIONS`) and `draw` (in `TIMESTEP_DRAWS`) are what "auto" stands for. `defaults` are recipe
    settings for sampling.
    """

    schedule: type[NoiseSchedule]
    parametrization: str = "eps"
    draw: str = "uniform"
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def predicts(self, timesteps: int) -> str:
        """The parametrization that "auto" stands for: v if eps would be learnt at pure noise, where it
        says nothing of x0.
        """
        schedule = self.schedule(timesteps=timesteps)
        ends_in_noise = self.parametrization == "eps" and schedule.level(schedule.t_max).alpha == 0
        return "v" if ends_in_noise else self.parametrization


PROCESSES: dict[str, Process] = {
    **{name: Process(SCHEDULES[name]) for name in TABLES},
    "vp": Process(VariancePreserving),
    "edm": Process(
        VarianceExploding, "edm", "log-normal", {"sampler": "heun", "spacing": "karras", "steps": 18}
    ),
    "flow": Process(FlowMatching, "flow", "logit-normal", {"sampler": "euler"}),
}


def is_table(schedule: str) -> bool:
    """Whether a process has discrete timesteps, as opposed to continuous time."""
    return issubclass(PROCESSES[schedule].schedule, TableSchedule)


def check_process(config: Any, learned_variance: bool) -> None:
    """Raise `OptionError` if schedule, parametrization, objective and draws of a TrainConfig cannot be
    combined.
    """
    schedule = config.noise_schedule()
    if config.predicts == "eps" and schedule.level(schedule.t_max).alpha == 0:
        raise OptionError(
            "parametrization",
            f"The schedule {config.schedule} ends in pure noise, where eps says nothing of the picture. "
            "Choose the parametrization v, x0 or flow, or another schedule.",
        )
    needs = {
        "parametrization mean": config.predicts == "mean",
        "draw_t loss": config.draws == "loss",
        f"objective {config.objective}": learned_variance,
    }
    if not is_table(config.schedule) and any(needs.values()):
        what = ", ".join(name for name, needed in needs.items() if needed)
        raise OptionError(
            "schedule",
            f"The {what} needs timesteps, and the schedule {config.schedule} has continuous time. Choose a "
            "table such as linear or cosine, or leave it out.",
        )
    if config.kind == "classifier" and config.schedule == "edm":
        raise OptionError(
            "schedule",
            "A classifier takes noisy pictures of bounded scale, which variance exploding does not make. "
            "Choose another schedule, such as vp: guidance finds the level by its noise.",
        )
    if (config.draw_mean, config.draw_std) != (None, None) and "normal" not in config.draws:
        raise OptionError(
            "draw_mean",
            Setting("draw_mean"),
            " and ",
            Setting("draw_std"),
            " are of log-normal or logit-normal draws; here ",
            Setting("draw_t"),
            f" is {config.draws}. Leave them out, or choose such a ",
            Setting("draw_t"),
            ".",
        )
    if config.min_snr and config.weighting != "output":
        raise OptionError(
            "min_snr",
            Setting("min_snr"),
            " and the weighting edm are two weights for the same error. Choose one.",
        )
    if config.objective == "vlb" and (config.min_snr or config.weighting != "output"):
        raise OptionError(
            "min_snr",
            Setting("min_snr"),
            " and ",
            Setting("weighting"),
            " weigh the squared error, and the objective vlb has none. Leave them out, "
            "or choose the objective simple or hybrid.",
        )
