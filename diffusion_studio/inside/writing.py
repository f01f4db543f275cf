"""Views as files: a picture of one state, or an animation over all states. The files carry the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..export import ExportOptions, check, save
from ..imaging.frame import Frame
from ..runs.recipe import Recipe
from .run import Looking, Run, State, at_once, steps_of
from .seen import ViewResult
from .settings import Settings
from .views import VIEWS, image, settings_of

MOST_BYTES = 1 << 29  # of an animation's pictures together


def save_view(
    source: Any,
    recipe: Recipe | None,
    path: str | Path,
    name: str = "sum",
    step: int = -1,
    side: int = 160,
    explain: bool = True,
    **settings: Any,
) -> ViewResult:
    """Write a view of one state as a PNG (or any format of one picture) and return what was seen."""
    chosen, run = settings_of(name, settings), Run.of(source, recipe)
    _ready(path)
    state = run.state(step)
    seen = VIEWS[name].look(state, chosen)
    _write(path, run, [image(seen, side, explain)], [state.index], 2.0)
    return seen


def save_result(run: Run, seen: ViewResult, path: str | Path, side: int = 160, explain: bool = True) -> None:
    """Write what was already seen of a run as a picture, without asking the network again."""
    _ready(path)
    _write(path, run, [image(seen, side, explain)], [seen.step], 2.0)


def save_over_run(
    source: Any,
    recipe: Recipe | None,
    path: str | Path,
    name: str = "attention",
    steps: Sequence[int] | None = None,
    side: int = 160,
    explain: bool = True,
    fps: float = 4.0,
    ask: Looking = at_once,
    look: Callable[[State, Settings], ViewResult] | None = None,
    **settings: Any,
) -> list[ViewResult]:
    """Write the view at every state (or at `steps`) as an animation: GIF, MP4, WebP, APNG. A PNG is the
    view's one picture of the whole run. `ask` makes each look, see `Looking`; `look` takes the place of the
    view's own.
    """
    settings_of(name, settings)  # an unknown view or setting is said first
    chosen, run = settings_of(name, {**VIEWS[name].over, **settings}), Run.of(source, recipe)
    _ready(path)
    if Path(path).suffix.lower() == ".png":
        summary = VIEWS[name].summary
        if summary is None:
            raise OptionError(
                "view",
                f"The view {name!r} shows one state at a time, so over the run it is an animation. "
                "Name a file that ends in .gif, .mp4, .webp, .apng or .html, or choose one state with --at.",
            )
        seen = summary(run, chosen, steps, ask)
        _write(path, run, [image(seen, side, explain)], [run.total], fps)
        return [seen]
    VIEWS[name].check_over(chosen)
    found, pictures, asked = [], [], steps_of(run, steps)
    for k in asked:
        seen = ask(partial(look or VIEWS[name].look, run.state(k), chosen))
        pictures.append(image(seen, side, explain))
        _fits(pictures[-1], len(asked))
        found.append(seen)
    _write(path, run, pictures, asked, fps)
    return found


def _ready(path: str | Path) -> None:
    check(path, ExportOptions(), None, [(1, "pictures")])


def _fits(pixels: np.ndarray, count: int) -> None:
    if pixels.nbytes * count > MOST_BYTES:
        raise OptionError(
            "side",
            f"{count} pictures of {pixels.shape[1]} by {pixels.shape[0]} take more memory than an "
            "animation may. Choose a smaller side, or fewer states.",
        )


def _write(
    path: str | Path, run: Run, pictures: Sequence[np.ndarray], steps: Sequence[int], fps: float
) -> None:
    height, width = (max(one.shape[axis] for one in pictures) for axis in (0, 1))
    frames = []
    for k, pixels in zip(steps, pictures):
        whole = np.full((1, height, width, 3), 255, np.uint8)
        whole[0, : pixels.shape[0], : pixels.shape[1]] = pixels
        segment, local = run.place(k)
        frames.append(Frame(k, run.total, segment.levels[local], whole, whole))
    save(frames, path, run.recipe.to_json(), ExportOptions(scale=1, fps=fps))
