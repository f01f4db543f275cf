"""The mask painter: a picture at the model's own pixels, and what is painted over it."""

from .painter import mask_in, painter, sheet

__all__ = ["mask_in", "painter", "sheet"]
