"""The card that says what was saved, shows it, and offers the same for other uses."""

from .saved import saved

__all__ = ["saved"]
