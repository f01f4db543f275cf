"""Samplers: one file per family. To add one, write the class and name it here."""

from .base import NoiseFunction, Sampler, Step
from .ddim import DDIM
from .ddpm import DDPM

SAMPLERS: dict[str, type[Sampler]] = {
    "ddim": DDIM,
    "ddpm": DDPM,
}

__all__ = ["DDIM", "DDPM", "SAMPLERS", "NoiseFunction", "Sampler", "Step"]
