"""The axes of a grid, each a setting from a menu with its values."""

from .axes import axes_value, axis_rows

__all__ = ["axes_value", "axis_rows"]
