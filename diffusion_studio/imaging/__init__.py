"""Pixels: arrays, pictures as values, fitting to a size, palettes, frames of a run, and plots of points."""
