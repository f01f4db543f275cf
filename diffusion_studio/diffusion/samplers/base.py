"""The types that all samplers share: `Step` and the base class `Sampler`.

Files of samplers do not import torch at run time, so that the command line can read their options quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..prediction import Prediction
    from ..schedule import NoiseLevel

NoiseFunction = Callable[[int], "torch.Tensor"]


@dataclass(frozen=True)
class Step:
    """One state of a run: x at its level, and the denoiser's prediction there.

    n sampling steps give n + 1 Steps. Number 0 is the initial noise and number n the finished picture, whose
    prediction has x as x0, zero as eps and no variance. `calls` is the number of denoiser calls so far,
    including the one for this state; `sample` fills it in.
    """

    index: int
    level: NoiseLevel
    x: torch.Tensor
    prediction: Prediction
    calls: int = 0


class Sampler:
    """Base class of samplers: frozen dataclasses of options whose call is a generator of Steps.

    The generator yields the n states before the last and returns the last x. `levels` are the n + 1 levels to
    visit. `noise(i)` is fresh noise for the arrival at levels[i]; churn before a step uses the noise of its
    arrival. A sampler that needs the noise of an interval calls `noise.over(start, end)` if it exists, and
    one that needs several noises per arrival calls `noise.further(i, number)`. Between two equal levels x
    stays.

    The attributes below describe a sampler, so that other code does not have to check its class.
    """

    # Its name for people, as papers and other programs write it; without one, its name in `SAMPLERS`.
    label: ClassVar[str] = ""
    # The parametrizations that the sampler is made for; empty means all.
    made_for: ClassVar[tuple[str, ...]] = ()
    # Whether a step needs nothing of the steps before but the state: a run can go on exactly from any state.
    memoryless: ClassVar[bool] = False
    # Whether the sampler steps along the network's eps even if x0 is clipped, see `guidance.clamped`.
    keep_eps: bool = False

    @property
    def deterministic(self) -> bool:
        """Whether the sampler adds no fresh noise, so that its steps can be inverted."""
        return not getattr(self, "eta", 0) and not getattr(self, "churn", 0)

    @property
    def ancestral(self) -> bool:
        """Whether each step is a draw from the posterior, whose mean classifier guidance can move."""
        return False

    def variance_share(self, level: NoiseLevel, learned: torch.Tensor | None) -> float | torch.Tensor:
        """The variance of an ancestral step at a level, as a share.

        Its logarithm interpolates from the posterior variance (0) to beta (1). `learned` is the share that
        the network predicts, if it does.
        """
        return 0.0

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        raise NotImplementedError
