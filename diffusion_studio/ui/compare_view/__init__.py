"""The view of a race or a grid: its runs play and scrub together."""

from .view import compare_view

__all__ = ["compare_view"]
