"""Evaluation: generated pictures compared with real ones by a feature network's features, and bits per
dimension.
"""
