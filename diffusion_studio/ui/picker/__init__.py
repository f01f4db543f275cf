"""Cards and chips to choose from."""

from .picker import picker

__all__ = ["picker"]
