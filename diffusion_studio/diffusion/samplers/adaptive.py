"""A solver that chooses its own substeps by a tolerance."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ... import options
from ...errors import OptionError
from ...options import option
from ..levels import Levels
from .arithmetic import ddim_step, towards
from .base import NoiseFunction, Sampler, Step
from .dpm_solver import advance, usable

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel

MAX_PIECES = 1024


@dataclass(frozen=True)
class _Stretch:
    """The way between two levels of a run, in the pieces that `ends` delimit."""

    levels: Levels
    ends: tuple[NoiseLevel, ...]

    def cut(self, pieces: int) -> _Stretch:
        """The same way in so many pieces, even in log-SNR."""
        now, to = self.ends[0], self.ends[-1]
        inner = (now.log_snr + (to.log_snr - now.log_snr) * k / pieces for k in range(1, pieces))
        return _Stretch(self.levels, (now, *map(self.levels.at, inner), to))


@dataclass(frozen=True)
class Adaptive(Sampler):
    """DPM-Solver++ of orders 1 and 2 as an embedded pair (Lu et al. 2022, DPM-Solver, appendix C), step size
    by tolerance.

    The given levels are all visited, as n steps must give n + 1 states, and each step between two of them is
    cut into 1, 2, 4, ... pieces, even in log-SNR, until the two orders differ by at most the tolerance in
    every piece. Every picture takes the first cut that suffices for itself, so that it does not depend on its
    batch. The step to the clean picture is one piece, as no level lies between it and the network's last one.
    The number of network calls is reported with each state. Choose it for the ODE's exact solution with a
    known error, whatever the levels.
    """

    tolerance: float = option(0.01, "Largest error of a piece, relative to 1 + |x|.", low=1e-5, high=1.0)

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            if not usable(advance(now, to)):
                x = ddim_step(p, to)
                del p
                continue
            x0 = p.x0
            del p
            x = self._cross(denoise, x, x0, _Stretch(levels, (now, to)))
            del x0
        return x

    def _cross(self, denoise: Denoiser, x: torch.Tensor, x0: torch.Tensor, stretch: _Stretch) -> torch.Tensor:
        """x at the end of the stretch; x0 is the prediction at x."""
        kept, good = self._pieces(denoise, x, x0, stretch, None)
        pieces = 1
        while not good.all() and 2 * pieces <= MAX_PIECES:
            pieces *= 2
            found, fine = self._pieces(denoise, x, x0, stretch.cut(pieces), good)
            kept = kept.where(good.view(-1, *[1] * (x.ndim - 1)), found)
            good = good | fine
            del found
        if good.all():
            return kept
        now, to = stretch.ends
        raise OptionError(
            "sampler.tolerance",
            f"The tolerance {self.tolerance:g} was not met between log-SNR {now.log_snr:.2f} and "
            f"{to.log_snr:.2f} with {MAX_PIECES} pieces. Choose a greater tolerance or more steps.",
        )

    def _pieces(
        self,
        denoise: Denoiser,
        x: torch.Tensor,
        x0: torch.Tensor,
        stretch: _Stretch,
        good: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x at the last of the stretch's `ends`, and which pictures kept within the tolerance in every piece.

        Gives up (with all pictures that still wait marked as failed) as soon as none of those can succeed.
        """
        fine = x.new_ones(len(x)).bool() if good is None else ~good
        for k, (now, to) in enumerate(pairwise(stretch.ends)):
            if k:
                x0 = denoise(x, now).x0
            middle = stretch.levels.at((now.log_snr + to.log_snr) / 2)
            ahead = denoise(towards(x, x0, now, middle), middle).x0
            first = towards(x, x0, now, to)
            x = towards(x, ahead, now, to)
            error = first.sub_(x).div_(x.abs().add_(1)).flatten(1).square().mean(1).sqrt()
            fine = fine & (error <= self.tolerance)
            if not fine.any():
                break
        return x, fine
