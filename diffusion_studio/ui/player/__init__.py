"""The frame player: a canvas in the page that pulls frames from the server and then needs it no more."""

from .player import encode, opening_recipe, packed, player, tick

__all__ = ["encode", "opening_recipe", "packed", "player", "tick"]
