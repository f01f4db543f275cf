"""What can be seen inside one state of a run: the step's sum, guidance, attention and more.

    import diffusion_studio as ds
    studio = ds.Studio("checkpoints")
    recipe = studio.recipe("heroes", prompt="elf, robe white, staff ruby")
    seen = ds.inside.attention(studio, recipe, step=12)
    seen["words"]        # (words, H, W)
    seen.image()         # (H, W, 3) uint8

Every function takes a Studio (or a Model) and a recipe, and the number of a state. The state comes from the
studio's cache or from a replay; the network is asked once more, and the sampling loop knows nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runs.recipe import Recipe
    from .seen import ViewResult

NAMES = ("sum", "guidance", "attention", "network", "decided", "surprise")
_HOME = {
    "VIEWS": "views",
    "view": "views",
    "over_run": "views",
    "image": "views",
    "leave_out": "attention_view",
    "of_picture": "surprise_view",
    "process": "forward_pictures",
    "save_forward": "forward_pictures",
    "save_view": "writing",
    "save_result": "writing",
    "save_over_run": "writing",
    "Run": "run",
    "ViewResult": "seen",
    "Settings": "settings",
}
__all__ = [*NAMES, *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]  read on first use


def __getattr__(name: str) -> Any:
    """Import on first use, as the package does, so that parsing arguments does not load torch."""
    from importlib import import_module

    if name in NAMES:

        def seen(source: Any, recipe: Recipe | None = None, step: int = -1, **settings: Any) -> ViewResult:
            return import_module(f"{__name__}.views").view(source, recipe, name, step, **settings)

        seen.__name__ = name
        seen.__doc__ = f"The view {name!r} of one state; see `view`, and docs/inside.md for its arrays."
        return seen
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
