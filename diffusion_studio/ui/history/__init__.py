"""The visitor's last runs as thumbnails, kept in the browser."""

from .history import history

__all__ = ["history"]
