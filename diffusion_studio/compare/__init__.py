"""Several runs on one clock: races of recipes, and grids of settings."""
