"""Pixels: arrays, pictures as values, fitting them to a size, palettes, one state of a run as pictures,
points as pixels.
"""
