"""Spacings, which choose the levels that a run visits, by name. A new one is a class and an entry below."""

from __future__ import annotations

from ... import options
from ...errors import Given, OptionError
from ..levels import Levels
from ..schedule import NoiseSchedule
from .base import MOST_STEPS, Spacing
from .diffusers import Diffusers
from .even import Leading, Linspace, Quadratic, Trailing
from .listed import Sections, Timesteps
from .sigma import Exponential, Follow, Karras, LogSNR

SPACINGS: dict[str, type[Spacing]] = {
    "trailing": Trailing,
    "leading": Leading,
    "linspace": Linspace,
    "quadratic": Quadratic,
    "karras": Karras,
    "exponential": Exponential,
    "log-snr": LogSNR,
    "follow": Follow,
    "timesteps": Timesteps,
    "sections": Sections,
    "diffusers": Diffusers,
}


def path(schedule: NoiseSchedule, steps: int, spacing: Spacing | str = "trailing") -> Levels:
    """The steps + 1 levels of a run, noisiest first: levels of the schedule, then the clean picture.

    `spacing` is an instance, or a name of `SPACINGS` for its defaults. Raises `OptionError` for a number of
    steps that the spacing cannot make, and for labels that the schedule does not have.
    """
    rule: Spacing = (
        spacing if isinstance(spacing, Spacing) else options.from_json(SPACINGS, "spacing", spacing)
    )
    most = rule.most(schedule)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= most:
        why = ", the timesteps that the model was trained with" if most == schedule.timesteps else ""
        raise OptionError("steps", f"must be a whole number from 1 to {most}{why}", Given(steps, "; "))
    if rule.count not in (None, steps):
        raise OptionError(
            "steps",
            f"The spacing {options.name_of(SPACINGS, rule)} always makes {rule.count} steps, and "
            f"{steps} were asked for. Ask for {rule.count}, or choose another spacing.",
        )
    levels = Levels(rule.levels(schedule, steps), schedule)
    falling = levels[:-1] if levels[-1] == levels[-2] else levels  # `Diffusers` may repeat the last level
    if any(a.log_snr >= b.log_snr for a, b in zip(falling, falling[1:])):
        raise OptionError(
            "steps",
            f"{steps} steps are too many for this spacing on this schedule: some would not lower the noise. "
            "Choose fewer.",
        )
    return levels


__all__ = [
    "MOST_STEPS",
    "SPACINGS",
    "Diffusers",
    "Exponential",
    "Follow",
    "Karras",
    "Leading",
    "Linspace",
    "LogSNR",
    "Quadratic",
    "Sections",
    "Spacing",
    "Timesteps",
    "Trailing",
    "path",
]
