"""Runs of a model: recipes and their option groups, edits and branches, the segments of a run, generation,
and recorded trajectories with their cache.
"""
