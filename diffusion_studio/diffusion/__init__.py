"""The mathematics of diffusion, with torch and numpy only: no files, no networks, no user interface."""
