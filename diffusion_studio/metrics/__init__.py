"""Figures of quality: pictures against pictures in a feature network's eyes, and bits per dimension."""
