"""DPM-Solver-2 as in k-diffusion: the midpoint method in log(sigma / alpha)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .dpm_solver import Midpoint


@dataclass(frozen=True)
class DPM2(Midpoint):
    """The midpoint method (DPM-Solver-2 of Lu et al. 2022 with r = 1/2), two network calls per step.

    The eps predicted halfway in log(sigma / alpha) is used for the whole step. With eta above 0 part of the
    noise is replaced by fresh noise ("ancestral"). The step to the clean picture is an Euler step. Its order,
    2, and its uses are those of Heun.
    """

    label: ClassVar[str] = "DPM-Solver-2"
    held: ClassVar[str] = "eps"
