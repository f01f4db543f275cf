"""Show a run in a notebook (Jupyter, Colab, VS Code) while it is made."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable

from ..errors import StudioError
from ..export import ExportOptions, as_shown
from ..export.render import canvas, scale_of
from ..imaging.arrays import enlarge, to_pil
from ..imaging.frame import Frame
from .recipe import Recipe
from .trajectory import Trajectory

PAUSE = 0.1  # least seconds between two updates: a notebook draws no faster
SIDE = 384  # pixels to which small pictures are enlarged


def play(frames: Iterable[Frame], recipe: Recipe, view: str = "both") -> Trajectory:
    """Show the states of a run in the current cell as they are made, then a player of the whole run.

    `view` is x, x0 or both. An interrupted run (the kernel's stop button) keeps the states made so far.
    Raises `StudioError` outside of IPython.
    """
    options = ExportOptions(view=view)
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import Image, display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        raise StudioError(
            "play shows a run in a notebook, and this is no notebook. Use Studio.run and Trajectory.save, or "
            "`diffusion-studio generate`."
        )
    place, frames_so_far, drawn = None, [], float("-inf")
    try:
        for frame in frames:
            frames_so_far.append(frame)
            if time.monotonic() - drawn < PAUSE:
                continue
            picture = Image(_png(frame, options))
            if place is None:
                place = display(picture, display_id=True)
            else:
                place.update(picture)
            drawn = time.monotonic()
    except KeyboardInterrupt:
        if not frames_so_far:
            raise
    trajectory = Trajectory(recipe, frames_so_far)
    if place is not None:
        place.update(trajectory)
    return trajectory


def _png(frame: Frame, options: ExportOptions) -> bytes:
    (one,), options = as_shown([frame], options, "png")
    file = io.BytesIO()
    to_pil(enlarge(canvas(one, options), scale_of(one, options, SIDE))).save(file, "png")
    return file.getvalue()
