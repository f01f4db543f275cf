"""Weight files: safetensors only, checked before memory is taken, loaded strictly."""

from .native import Weights, read, read_spec, write

__all__ = ["Weights", "read", "read_spec", "write"]
