"""Spacings given as lists. They determine the number of steps, with which a run's `steps` must agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np

from ...errors import Given, OptionError
from ...options import option
from ..schedule import NoiseSchedule
from .base import MOST_STEPS, Spacing


@dataclass(frozen=True)
class Timesteps(Spacing):
    """Exactly the listed labels, which may be fractional."""

    timesteps: str = option(
        "999,749,499,249",
        "The labels t to visit, noisiest first, with commas between them. Their "
        "number is the number of steps.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._labels

    @property
    def _labels(self) -> tuple[float, ...]:
        """The listed labels. Raises `OptionError` unless they are falling numbers."""
        try:
            times = tuple(float(part) for part in self.timesteps.split(","))
        except ValueError:
            times = ()
        if not times or not all(map(math.isfinite, times)) or any(b >= a for a, b in zip(times, times[1:])):
            raise OptionError(
                "spacing.timesteps",
                "must be falling numbers with commas between them, such as 999,749,499,249",
                Given(self.timesteps[:80], "; "),
            )
        if len(times) > MOST_STEPS:
            raise OptionError(
                "spacing.timesteps", f"timesteps may name at most {MOST_STEPS} labels, got {len(times)}."
            )
        return times

    @property
    def count(self) -> int:
        return len(self._labels)

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        return np.array(self._labels)

    def most(self, schedule: NoiseSchedule) -> int:
        return MOST_STEPS


@dataclass(frozen=True)
class Sections(Spacing):
    """The respacing strings of OpenAI's programs (Nichol & Dhariwal 2021, section 4, and their code).

    "10,15,20" divides the T timesteps into three equal sections, the cleanest first, and spreads that many
    steps over each section with both its ends. "ddim50" is every k-th timestep from 0 up, with the smallest
    whole k that gives 50 of them. In continuous time the T timesteps are spread evenly over the labels.
    """

    sections: str = option(
        "10,15,20",
        "Steps in each of as many equal sections, cleanest first, such as 10,15,20; or "
        "ddim50 for a fixed stride. Their sum is the number of steps.",
    )
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._counts

    @property
    def _strided(self) -> bool:
        return self.sections.startswith("ddim")

    @property
    def _counts(self) -> tuple[int, ...]:
        """The steps of each section. Raises `OptionError` for any other text."""
        parts = [self.sections[4:]] if self._strided else self.sections.split(",")
        if not all(part.strip().isdecimal() and len(part) < 10 for part in parts) or not sum(map(int, parts)):
            raise OptionError(
                "spacing.sections",
                "must be whole numbers with commas between them, such as 10,15,20, or ddim and a "
                "number, such as ddim50",
                Given(self.sections[:80], "; "),
            )
        return tuple(map(int, parts))

    @property
    def count(self) -> int:
        return sum(self._counts)

    def __call__(self, schedule: NoiseSchedule, steps: int) -> np.ndarray:
        total = schedule.timesteps
        labels = np.array((self._stride if self._strided else self._spread)(total), np.float64)[::-1]
        if schedule.discrete:
            return labels
        return schedule.t_min + labels / max(total - 1, 1) * (schedule.t_max - schedule.t_min)

    def _stride(self, total: int) -> range:
        """The timesteps of "ddimN" among `total`. Raises `OptionError` if no stride gives N of them."""
        stride = -(-total // self.count)  # a smaller stride makes more than `count`
        if len(range(0, total, stride)) != self.count:
            raise OptionError(
                "spacing.sections",
                f"No whole stride makes exactly {self.count} of {total} timesteps; {self.sections} would "
                f"make {len(range(0, total, stride))}. Choose ddim{len(range(0, total, stride))}, or the "
                f"spacing leading with {self.count} steps.",
            )
        return range(0, total, stride)

    def _spread(self, total: int) -> list[int]:
        """The timesteps of all sections, among `total`. Raises `OptionError` if a section is too small."""
        counts, labels, start = self._counts, [], 0
        for k, count in enumerate(counts):
            size = total // len(counts) + (k < total % len(counts))
            if count > size:
                raise OptionError(
                    "spacing.sections",
                    f"Section {k + 1} of {self.sections!r} has {size} of the {total} timesteps, too few for "
                    f"{count} steps. Give smaller numbers.",
                )
            # summed and not multiplied: the rounding errors of the sum decide halves as in OpenAI's code
            strides = [0.0, *[(size - 1) / max(count - 1, 1)] * (count - 1)][:count]
            labels += [start + round(place) for place in accumulate(strides)]
            start += size
        return labels
