"""The views of one state, by name. To add one, write its `look` in a file here and name it below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .. import options
from ..errors import OptionError, unknown
from ..runs.recipe import Recipe
from . import attention_view, decided_view, guidance_view, network_view, sum_view, surprise_view
from .run import Looking, Run, State, at_once, steps_of
from .seen import Tile, ViewResult
from .settings import Settings


@dataclass(frozen=True)
class View:
    """`look(state, settings)` is the view of one state; `takes` names the settings that it reads.

    `about` explains it in two sentences, `paper` is where it comes from. `summary(run, settings, steps,
    ask)`, where there is one, is the whole run in one picture. `over` are settings that an animation over all
    states takes by default; `check_over(settings)` raises an `OptionError` for those that it cannot take.
    """

    title: str
    about: tuple[str, str]
    paper: str
    takes: tuple[str, ...]
    look: Callable[[State, Settings], ViewResult]
    summary: Callable[[Run, Settings, Sequence[int] | None, Looking], ViewResult] | None = None
    over: Mapping[str, Any] = field(default_factory=dict)
    check_over: Callable[[Settings], None] = lambda settings: None


def _words_over_run(run: Run, settings: Settings, steps: Sequence[int] | None, ask: Looking) -> ViewResult:
    mean, tokens, seen = attention_view.over_run(run, settings, steps, ask)
    arrays = {"x0": seen[-1]["x0"], "words": mean}
    tiles = attention_view.tiles(arrays, tokens, settings, (0, 0))
    said = [f"Averaged over {len(seen)} steps; the picture is the last one's predicted x0."]
    if len(seen) < len(steps_of(run, steps)):
        said.append(f"They are those with this prompt, from state {seen[0].step} on.")
    return ViewResult("attention", seen[-1].step, arrays, {"tokens": tokens}, said, tiles, seen[0].notes)


VIEWS: dict[str, View] = {
    "sum": View(
        "Sum",
        (
            "A state x of the run is alpha times x0, the clean picture that the network predicts, plus sigma "
            "times eps, the noise that it predicts.",
            "The sampler, the rule of the run, makes the next state as a sum of a few such terms, shown with "
            "this step's numbers.",
        ),
        "Ho et al. 2020, Denoising Diffusion Probabilistic Models, eq. 4 and 7; Salimans & Ho 2022",
        ("picture", "place"),
        sum_view.look,
    ),
    "guidance": View(
        "Guidance",
        (
            "The network predicts the picture x0 twice, with the condition (the label or the prompt) and "
            "without it, and guidance pushes the prediction further along the difference.",
            "Red and blue mark where the condition makes it brighter or darker; a classifier (a second "
            "network, which names what it sees) can push it too.",
        ),
        "Ho & Salimans 2022, Classifier-Free Diffusion Guidance; Dhariwal & Nichol 2021",
        ("picture",),
        guidance_view.look,
        guidance_view.summary,
    ),
    "attention": View(
        "Attention",
        (
            "In an attention layer each place of the picture gathers information from the words of the "
            "prompt, or from all other places, with weights that sum to one.",
            "A word's map is bright where the network reads that word at this step; the map of the marked "
            "place is bright where that place looks.",
        ),
        "Tang et al. 2023, What the DAAM: Interpreting Stable Diffusion Using Cross Attention",
        ("picture", "word", "place", "layer", "head"),
        attention_view.look,
        _words_over_run,
    ),
    "network": View(
        "Network",
        (
            "Each box is a block of layers of the U-Net, lower where its maps are smaller; thin lines are "
            "skips, which hand detail from the way down to the way up.",
            "Below are the maps (channels) of the marked block that vary most, and how the predicted picture "
            "x0 changes without the block.",
        ),
        "Ronneberger et al. 2015, U-Net; Si et al. 2024, FreeU: Free Lunch in Diffusion U-Net",
        ("picture", "block", "part", "factor"),
        network_view.look,
    ),
    "decided": View(
        "Decided",
        (
            "A pixel is decided at the step from which the predicted picture x0 stays near its final value "
            "there.",
            "New runs put as much fresh noise on the finished picture as there was at this step, and denoise "
            "it again: what they share was decided by then, what varies was still open.",
        ),
        "Li & Chen 2024, Critical windows; Sclocchi, Favero & Wyart 2024, A phase transition in diffusion "
        "models",
        ("picture", "tolerance", "again", "seed"),
        decided_view.look,
        over={"again": 0},
    ),
    "surprise": View(
        "Surprise",
        (
            "How many bits each pixel of the finished picture would cost if the model compressed it: at most "
            "so many by the variational bound, about so many by the flow (the path without noise).",
            "What the model expects is cheap and dark; what it has not learned is bright.",
        ),
        "Ho et al. 2020, eq. 5; Song et al. 2021, Score-Based Generative Modeling, appendix D.2",
        ("picture", "terms", "by", "seed"),
        surprise_view.look,
        check_over=surprise_view.check_over_run,
    ),
}


def settings_of(name: str, given: dict[str, Any]) -> Settings:
    """The settings of a view; an `OptionError` for one that it does not read."""
    if name not in VIEWS:
        raise unknown("view", name, VIEWS)
    takes = VIEWS[name].takes
    known = [one.name for one in fields(Settings)]
    for one, value in given.items():
        if one not in known:
            raise unknown("setting of a view", one, takes)
        if one not in takes and value != getattr(Settings(), one):
            raise OptionError("view", f"The view {name!r} has no {one}; it reads: {', '.join(takes)}.")
    return options.build(Settings, given, "setting of a view")


def view(
    source: Any, recipe: Recipe | None = None, name: str = "sum", step: int = -1, **settings: Any
) -> ViewResult:
    """A view of state number `step` of a recipe's run; -1 is the last state that has a prediction.

    `source` is a Studio, a Model or a `Run`; `settings` are those of `Settings` that the view reads.
    """
    chosen = settings_of(name, settings)
    run = Run.of(source, recipe)
    return VIEWS[name].look(run.state(step), chosen)


def over_run(
    source: Any,
    recipe: Recipe | None = None,
    name: str = "attention",
    steps: Sequence[int] | None = None,
    **settings: Any,
) -> ViewResult:
    """A view of the whole run in one picture, for those views that have one."""
    chosen = settings_of(name, settings)
    summary = VIEWS[name].summary
    if summary is None:
        having = ", ".join(one for one, made in VIEWS.items() if made.summary is not None)
        raise OptionError(
            "view", f"The view {name!r} shows one state at a time. Over the run there is: {having}."
        )
    return summary(Run.of(source, recipe), chosen, steps, at_once)


def image(seen: ViewResult, side: int = 160, explain: bool = True) -> np.ndarray:
    """A view as one RGB picture (H, W, 3) uint8; with `explain` its sentences and its paper stand below."""
    if not explain:
        return seen.image(side)
    about = VIEWS[seen.view]
    said = [*seen.lines, *(f"Note: {note}" for note in seen.notes), " ".join(about.about), about.paper]
    return seen.sheet(said, side)


__all__ = ["VIEWS", "ViewResult", "Tile", "View", "image", "over_run", "settings_of", "view"]
