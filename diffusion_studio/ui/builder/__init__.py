"""A prompt that is put together from parts."""

from .builder import builder

__all__ = ["builder"]
