"""DPM-Solver-2 as k-diffusion has it: the midpoint method in log(sigma / alpha)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .dpm_solver import Midpoint


@dataclass(frozen=True)
class DPM2(Midpoint):
    """The midpoint method (DPM-Solver-2, Lu et al. 2022, with r = 1/2; Karras et al. 2022 call it that), two
    calls a step.

    eps is asked again halfway in log(sigma / alpha) and taken for the whole step. With eta 1 part of the
    arrival's noise is drawn afresh ("ancestral"). The step to the clean picture is Euler's. Choose it as
    Heun, with which it shares its order.
    """

    held: ClassVar[str] = "eps"
