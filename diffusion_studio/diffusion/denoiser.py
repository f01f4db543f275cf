"""The contract between samplers and everything that can denoise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
