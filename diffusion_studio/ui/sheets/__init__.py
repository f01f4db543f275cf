"""The sheets of samples of a training, with their timeline."""

from .sheets import sheets, shown_value

__all__ = ["sheets", "shown_value"]
