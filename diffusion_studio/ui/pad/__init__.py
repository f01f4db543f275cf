"""The drawing pad: black on white by mouse, pen or finger, or a picture dropped onto it."""

from .pad import drawing, pad

__all__ = ["drawing", "pad"]
