"""The frame player: a canvas in the page that pulls frames from the server and then needs it no more."""

from .player import STOPPED, encode, opening_recipe, player, player_script, tick

__all__ = ["STOPPED", "encode", "opening_recipe", "player", "player_script", "tick"]
