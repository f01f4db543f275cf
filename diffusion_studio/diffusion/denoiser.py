"""The `Denoiser` interface between samplers and models, and general wrappers of denoisers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from .prediction import Prediction
from .schedule import NoiseLevel


class Denoiser(Protocol):
    """A callable (x, level) -> Prediction: the x0 and eps predicted for x (N, ...) at a noise level."""

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction: ...


@runtime_checkable
class Batchable(Protocol):
    """A denoiser that can predict for itself and other denoisers in one network call."""

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        """The predictions of self and of `others`, in this order. None if they do not share a network."""
        ...


def ask_all(denoisers: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel) -> list[Prediction]:
    """The prediction of each denoiser for the same x, in one network call if they share a network."""
    first, *others = denoisers
    if isinstance(first, Batchable):
        answers = first.together(others, x, level)
        if answers is not None:
            return answers
    return [denoise(x, level) for denoise in denoisers]


@dataclass(frozen=True)
class Altered:
    """A denoiser whose network is altered during its calls.

    `altering(rows)` is a context manager. Within it the network is altered for these rows of the batch. So
    the denoiser can share a network call with others, whose rows stay unaltered.
    """

    denoise: Denoiser
    altering: Callable[[slice], AbstractContextManager]

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        with self.altering(slice(None)):
            return self.denoise(x, level)


class PairedDenoiser:
    """A denoiser that also evaluates `other` for the same x, in one network call if they share a network.

    `pair` returns both predictions of the last call without computing them again. `is_needed(level)` says
    whether `other` is needed at a level.
    """

    def __init__(self, denoise: Denoiser, other: Denoiser, is_needed: Callable[[NoiseLevel], bool]) -> None:
        self.denoise, self.other, self.is_needed = denoise, other, is_needed
        self._last: tuple[torch.Tensor, NoiseLevel, Prediction, Prediction] | None = None

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return self.pair(x, level)[0] if self.is_needed(level) else self.denoise(x, level)

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        if not isinstance(self.denoise, Batchable):
            return None
        if not self.is_needed(level):
            return self.denoise.together(others, x, level)
        answers = self.denoise.together((self.other, *others), x, level)
        if answers is None:
            return None
        first, second, *more = answers
        self._last = x, level, first, second
        return [first, *more]

    def pair(self, x: torch.Tensor, level: NoiseLevel) -> tuple[Prediction, Prediction]:
        """Both predictions for x. They are computed only if the last call was for another tensor or level."""
        last, self._last = self._last, None
        if last is None or last[0] is not x or last[1] is not level:
            first, second = ask_all((self.denoise, self.other), x, level)
            last = x, level, first, second
            self._last = last
        return last[2], last[3]


class RunEnded(Exception):
    """Raised by an `Ask` to end a run before its end. It does not report an error."""


Ask = Callable[[Callable[[], Prediction]], Prediction]  # makes the given network call, or raises


class Watched:
    """A denoiser that makes each of its calls through `ask`.

    `ask` takes the call as a function and returns its result. It may wait, make the call in another thread,
    count calls, or raise `RunEnded`. Grad mode belongs to a thread, so the caller's is set for the call.
    """

    def __init__(self, denoise: Denoiser, ask: Ask) -> None:
        self.denoise = denoise
        self.ask = ask

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        grad = torch.is_grad_enabled()

        def call() -> Prediction:
            with torch.set_grad_enabled(grad):
                return self.denoise(x, level)

        return self.ask(call)


class Counted:
    """A denoiser that counts its calls in `calls`."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise = denoise
        self.calls = 0

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        self.calls += 1
        return self.denoise(x, level)
