"""The contract between samplers and everything that can denoise."""

from __future__ import annotations

from collections.abc import Sequence
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


class Counted:
    """A denoiser that counts how often it is asked: `calls`."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise = denoise
        self.calls = 0

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        self.calls += 1
        return self.denoise(x, level)
