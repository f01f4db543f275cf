"""A classroom: what one page shows plays in every page that opens the room's link."""

from .classroom import classroom
from .rooms import Rooms

__all__ = ["Rooms", "classroom"]
