"""A solver that chooses its substeps by an error tolerance."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...errors import OptionError
from ...options import option
from ..levels import Levels
from .arithmetic import ddim_step, step_with_x0
from .base import NoiseFunction, Sampler, Step
from .dpm_solver import is_finite, lambda_step

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..schedule import NoiseLevel

MAX_PIECES = 1024  # of one step


@dataclass(frozen=True)
class _Interval:
    """The interval between two levels of a run, in pieces whose bounds are `ends`."""

    levels: Levels
    ends: tuple[NoiseLevel, ...]

    def cut(self, pieces: int) -> _Interval:
        """The same interval in the given number of pieces, evenly spaced in log-SNR."""
        now, to = self.ends[0], self.ends[-1]
        inner = (now.log_snr + (to.log_snr - now.log_snr) * k / pieces for k in range(1, pieces))
        return _Interval(self.levels, (now, *map(self.levels.at, inner), to))


@dataclass(frozen=True)
class Adaptive(Sampler):
    """DPM-Solver++ of orders 1 and 2 as an embedded pair (Lu et al. 2022, DPM-Solver, appendix C).

    All given levels are visited, because n steps give n + 1 states. Each step is cut into 1, 2, 4, ...
    pieces, evenly spaced in log-SNR, until both orders differ by at most the tolerance in every piece. Each
    picture uses the first number of pieces that suffices for it, so that it does not depend on its batch. The
    step to the clean picture is one piece, because the process has no levels between. Raises `OptionError` if
    `MAX_PIECES` do not suffice. Choose it for the exact solution of the ODE with a known error, for any
    levels.
    """

    label: ClassVar[str] = "adaptive DPM-Solver++"
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
            if not is_finite(lambda_step(now, to)):
                x = ddim_step(p, to)
                del p
                continue
            x0 = p.x0
            del p
            x = self._solve(denoise, x, x0, _Interval(levels, (now, to)))
            del x0
        return x

    def _solve(
        self, denoise: Denoiser, x: torch.Tensor, x0: torch.Tensor, interval: _Interval
    ) -> torch.Tensor:
        """x at the end of the interval; x0 is the prediction at its start."""
        result, good = self._solve_pieces(denoise, x, x0, interval, None)
        pieces = 1
        while not good.all() and 2 * pieces <= MAX_PIECES:
            pieces *= 2
            refined, fine = self._solve_pieces(denoise, x, x0, interval.cut(pieces), good)
            result = result.where(good.view(-1, *[1] * (x.ndim - 1)), refined)
            good = good | fine
            del refined
        if good.all():
            return result
        now, to = interval.ends
        raise OptionError(
            "sampler.tolerance",
            f"The tolerance {self.tolerance:g} was not met between log-SNR {now.log_snr:.2f} and "
            f"{to.log_snr:.2f} with {MAX_PIECES} pieces. Choose a greater tolerance or more steps.",
        )

    def _solve_pieces(
        self,
        denoise: Denoiser,
        x: torch.Tensor,
        x0: torch.Tensor,
        interval: _Interval,
        good: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x at the end of the interval, and whether each picture met the tolerance in every piece.

        `good` marks the pictures that are done already. Stops early, with all others marked as failed, once
        none of them can meet the tolerance.
        """
        fine = x.new_ones(len(x)).bool() if good is None else ~good
        for k, (now, to) in enumerate(pairwise(interval.ends)):
            if k:
                x0 = denoise(x, now).x0
            middle = interval.levels.at((now.log_snr + to.log_snr) / 2)
            ahead = denoise(step_with_x0(x, x0, now, middle), middle).x0
            first = step_with_x0(x, x0, now, to)
            x = step_with_x0(x, ahead, now, to)
            error = first.sub_(x).div_(x.abs().add_(1)).flatten(1).square().mean(1).sqrt()
            fine = fine & (error <= self.tolerance)
            if not fine.any():
                break
        return x, fine
