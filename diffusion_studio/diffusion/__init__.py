"""The mathematics of diffusion: torch and numpy only; no files, no networks, no user interface."""
