"""The contract between samplers and everything that can denoise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from .prediction import Prediction
from .schedule import NoiseLevel


class Denoiser(Protocol):
    """`denoise(x, level)`: x (N, C, H, W) at a noise level -> what is picture in it and what is noise."""

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction: ...


@runtime_checkable
class Batchable(Protocol):
    """A denoiser that can answer for itself and others of its kind in one network call."""

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        """The predictions of self and others, or None where they do not share a network."""
        ...


def ask_all(denoisers: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel) -> list[Prediction]:
    """Each denoiser's prediction for the same x: one network call where they share a network, else one
    each.
    """
    first, *others = denoisers
    if isinstance(first, Batchable):
        answers = first.together(others, x, level)
        if answers is not None:
            return answers
    return [denoise(x, level) for denoise in denoisers]


@dataclass(frozen=True)
class Altered:
    """A denoiser whose network computes something else while it is asked. `altering(rows)` is a context in
    which the network is altered for these rows of the batch; where the denoiser is asked together with others
    of its network, the others' rows stay as they are.
    """

    denoise: Denoiser
    altering: Callable[[slice], AbstractContextManager]

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        with self.altering(slice(None)):
            return self.denoise(x, level)


class Alongside:
    """A denoiser whose every call asks `other` about the same x, too: in the same network call where the two
    share a network. `pair` gives both answers of the last call. `wanted(level)` says where `other` is needed.
    """

    def __init__(self, denoise: Denoiser, other: Denoiser, wanted: Callable[[NoiseLevel], bool]) -> None:
        self.denoise, self.other, self.wanted = denoise, other, wanted
        self._last: tuple[torch.Tensor, NoiseLevel, Prediction, Prediction] | None = None

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return self.pair(x, level)[0] if self.wanted(level) else self.denoise(x, level)

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        if not isinstance(self.denoise, Batchable):
            return None
        if not self.wanted(level):
            return self.denoise.together(others, x, level)
        answers = self.denoise.together((self.other, *others), x, level)
        if answers is None:
            return None
        first, second, *more = answers
        self._last = x, level, first, second
        return [first, *more]

    def pair(self, x: torch.Tensor, level: NoiseLevel) -> tuple[Prediction, Prediction]:
        """Both answers about x: those of the last call where it was about this tensor, else new ones."""
        last, self._last = self._last, None
        if last is None or last[0] is not x or last[1] is not level:
            first, second = ask_all((self.denoise, self.other), x, level)
            last = x, level, first, second
            self._last = last
        return last[2], last[3]


class RunEnded(Exception):
    """Raised from a network call to end its run. It is no error: whoever raised it wanted the end."""


Ask = Callable[[Callable[[], Prediction]], Prediction]  # makes the network call that it is given, or raises


class Watched:
    """A denoiser whose every call goes through `ask`.

    `ask` gets the call as a function and returns its result. It may wait first, make the call in another
    thread, count it, or raise `RunEnded`. The call keeps the caller's grad mode, which belongs to a thread.
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
    """A denoiser that counts how often it is asked: `calls`."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise = denoise
        self.calls = 0

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        self.calls += 1
        return self.denoise(x, level)
