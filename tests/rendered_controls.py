"""The settings of a run, rendered on a page of their own."""

from __future__ import annotations

from diffusion_studio.ui.controls import RecipeControls


def render_outside_drawer(controls: RecipeControls) -> None:
    """Render all controls but those of the drawer, in the page's order of focus."""
    controls.render_models()
    controls.render_tries()
    controls.render_asked()
    controls.render_numbers()
