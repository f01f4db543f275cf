"""The lanes of a race, each chosen from menus."""

from .lanes import lane_rows, lanes_value

__all__ = ["lane_rows", "lanes_value"]
