"""A run that is watched in a notebook (Jupyter, Colab, VS Code) while it is made."""

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

PAUSE = 0.1  # seconds between two pictures: a notebook draws no more
SIDE = 384  # pixels to which small pictures are enlarged


def play(frames: Iterable[Frame], recipe: Recipe, view: str = "both") -> Trajectory:
    """Show the states of a run in the present cell as they are made, and a player of all when it is over.

    `view` is x, x0 or both. An interrupted run (the kernel's stop button) leaves the states made so far.
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
            "play shows a run in a notebook, and this is none. Use Studio.run and Trajectory.save, or "
            "`diffusion-studio generate`."
        )
    place, kept, drawn = None, [], float("-inf")
    try:
        for frame in frames:
            kept.append(frame)
            if time.monotonic() - drawn < PAUSE:
                continue
            picture = Image(_png(frame, options))
            if place is None:
                place = display(picture, display_id=True)
            else:
                place.update(picture)
            drawn = time.monotonic()
    except KeyboardInterrupt:
        if not kept:
            raise
    made = Trajectory(recipe, kept)
    if place is not None:
        place.update(made)
    return made


def _png(frame: Frame, options: ExportOptions) -> bytes:
    (one,), options = as_shown([frame], options, "png")
    file = io.BytesIO()
    to_pil(enlarge(canvas(one, options), scale_of(one, options, SIDE))).save(file, "png")
    return file.getvalue()
