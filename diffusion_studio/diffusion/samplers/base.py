"""What all samplers share: the Step and the contract.

No torch at run time here nor in the samplers' files: the command line reads their options without loading it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser
    from ..prediction import Prediction
    from ..schedule import NoiseLevel

NoiseFunction = Callable[[int], "torch.Tensor"]


@dataclass(frozen=True)
class Step:
    """One state of a run: x at its level, and what the denoiser predicts there.

    n sampling steps give n + 1 Steps: number 0 is the pure noise, number n the finished picture, whose
    prediction has x itself as x0, zero as eps and no variance. `calls` is the number of calls of the denoiser
    so far, this state's own prediction included; `sample` fills it in.
    """

    index: int
    level: NoiseLevel
    x: torch.Tensor
    prediction: Prediction
    calls: int = 0


class Sampler:
    """A frozen dataclass of options whose call is a generator: yields the n states before the last, returns
    the last x.

    `levels` are the n + 1 levels to visit; `noise(i)` is fresh noise for the arrival at levels[i] (churn,
    which is added before a step, takes that of its arrival). A sampler that needs the noise of an interval
    asks `noise.over(start, end)` where there is one, one that needs several noises of one arrival
    `noise.further(i, number)`. Where two levels are equal, x stays.

    What a sampler is it says below, so that nobody has to ask for its class.
    """

    # Options that count only beside another one: its name, and the values of it (none: all but 0 and False).
    depends: ClassVar[Mapping[str, tuple[str, tuple[Any, ...]]]] = {}
    # Parametrizations that it is made for; none: every one.
    made_for: ClassVar[tuple[str, ...]] = ()
    # Whether it steps along the network's own eps where x0 is clipped, see `guidance.clamped`.
    keep_eps: bool = False

    @property
    def deterministic(self) -> bool:
        """Whether it draws no fresh noise, so that its way can be walked back."""
        return not getattr(self, "eta", 0) and not getattr(self, "churn", 0)

    @property
    def ancestral(self) -> bool:
        """Whether each step is a draw from the posterior, whose mean classifier guidance can move."""
        return False

    def variance_share(self, level: NoiseLevel, learned: torch.Tensor | None) -> float | torch.Tensor:
        """Where the variance of its ancestral steps lies between the posterior's (0) and beta (1), in
        logarithm; `learned` is what the network predicts of it.
        """
        return 0.0

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        raise NotImplementedError
