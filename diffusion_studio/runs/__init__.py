"""Runs: recipes and their option groups, edits and branches, segments of a run, generation, trajectories
and their cache.
"""
