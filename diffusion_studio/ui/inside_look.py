"""One look into a run: which view of which state with which settings, what it costs, and what it gives."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..diffusion.denoiser import Ask, Watched
from ..errors import OptionError
from ..imaging.picture import Picture
from ..inside import attention_view, surprise_view
from ..inside.figure import Film
from ..inside.run import Looking, Run, State
from ..inside.seen import ViewResult
from ..inside.settings import Settings
from ..inside.views import VIEWS, settings_of, view
from ..runs.generate import watched
from ..runs.recipe import Recipe
from ..studio import Studio
from .inside_html import ON_PRESS, ONE_STATE, main_picture
from .newest import NewestRuns
from .price import Prices
from .zero_gpu import on_zero_gpu

MOST_STATES = 60  # of an animation over the run, and of what shows the whole run
MOST_KEPT = 32 << 20  # bytes of the pictures of one visitor's last looks
SETTINGS = (
    "picture",
    "place",
    "word",
    "layer",
    "head",
    "block",
    "part",
    "factor",
    "tolerance",
    "again",
    "terms",
    "by",
)


class FairRun(Run):
    """A run whose network calls take turns with other runs: inside `asking(ask)` they go through `ask`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._turns: Ask | None = None
        super().__init__(*args, **kwargs)

    @contextmanager
    def asking(self, ask: Ask) -> Iterator[None]:
        self._turns = ask
        try:
            yield
        finally:
            self._turns = None

    def segments(self, model: Any, recipe: Recipe | None = None) -> Any:
        return watched(super().segments(model, recipe), self._ask)

    def denoiser(self, recipe: Recipe, levels: Any) -> Any:
        denoiser = super().denoiser(recipe, levels)
        return denoiser if self._turns is None else Watched(denoiser, self._ask)

    def _ask(self, call: Callable[[], Any]) -> Any:
        return call() if self._turns is None else self._turns(call)


def fair_run(studio: Studio, recipe: Recipe) -> FairRun:
    run = FairRun.of(studio, recipe)
    assert isinstance(run, FairRun)  # `of` makes one of its own class where it is given no run
    return run


@dataclass
class Visit:
    """What is kept of one visitor: the run that was looked into, the last looks, what is under way."""

    run: FairRun | None = None
    looks: OrderedDict[tuple[Any, ...], ViewResult] = field(default_factory=OrderedDict)  # by `Look.key`
    shown: tuple[FairRun, ViewResult] | None = None  # what the page shows now; None where it shows a sentence
    whole: tuple[FairRun, ViewResult] | None = None  # what the page shows of the whole run
    following: Recipe | None = None  # the run whose new runs are made again at each step that is chosen
    newest: NewestRuns[str] = field(default_factory=NewestRuns)  # of what is computed: look, save, whole
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while a view is computed
    looks_lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, key: tuple[Any, ...], seen: ViewResult) -> ViewResult:
        """Keep a look without the arrays that are not needed to draw it again; the oldest make room."""
        light = replace(seen, arrays={"x0": main_picture(seen)})
        with self.looks_lock:
            self.looks[key] = light
            while len(self.looks) > 1 and sum(map(_drawn_bytes, self.looks.values())) > MOST_KEPT:
                self.looks.popitem(last=False)
        return light


@dataclass(frozen=True)
class Look:
    """The view `name` of a run at the shown state `index`, with its settings."""

    run: FairRun
    name: str
    index: int
    settings: dict[str, Any]
    missing_block: str = ""  # a block that was named, and that this network does not have
    picture_file: str | None = None  # another picture, whose surprise is measured
    made: int | None = None  # the last state that the player has; None where it has all

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def step(self) -> int:
        """The state that is looked into. No network call is about the finished picture, so it is the state
        before it there.
        """
        return min(self.index, self.run.total - 1)

    @property
    def key_step(self) -> int:
        return self.run.total - 1 if self.name in ONE_STATE else self.step

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal where the same is seen."""
        return (
            self.recipe,
            self.name,
            self.key_step,
            self.missing_block,
            self.picture_file,
            tuple(sorted(self.settings.items())),
        )

    @property
    def goes_on(self) -> bool:
        """Whether the view needs the end of a run that was stopped, or still works."""
        unfinished = self.made is not None and self.made < self.run.total
        return unfinished and self.name in ON_PRESS and self.picture_file is None

    @property
    def new_runs(self) -> int:
        """How many new runs the view 'decided' makes."""
        return self.settings.get("again", Settings().again) if self.name == "decided" else 0

    @property
    def without_new_runs(self) -> Look:
        return replace(self, settings={**self.settings, "again": 0})

    @property
    def free(self) -> bool:
        """Whether the view without new runs makes no network call: all states of the run are kept."""
        return self.name == "decided" and self.run.all_cached

    @property
    def needed_state(self) -> int:
        """The state up to which the run has to be known; a step's sum is compared with the state after it."""
        if self.picture_file is not None:  # nothing of the run but its label and prompt
            return 0
        return self.run.total if self.name in ON_PRESS else self.step + (self.name == "sum")

    def calls(self, prices: Prices) -> float:
        """About how many network calls, times the pictures in each."""
        run = self.run
        whole = prices.calls(self.recipe)
        replay = 0 if run.cached_state(self.needed_state) is not None else whole * self.recipe.pictures
        if self.name == "decided":
            return replay + whole / run.total * (run.total - self.step) * self.new_runs
        if self.name == "surprise":
            schedule, terms = run.model.schedule, self.settings.get("terms", Settings().terms)
            if self.settings.get("by") == "flow":
                return replay + 4 * terms
            return replay + (min(terms, schedule.timesteps) if schedule.discrete else terms)
        if run.model.spec.network.self_condition:  # each look replays the run
            return replay + whole * self.recipe.pictures
        return replay + 2 * self.recipe.pictures

    def seen(self, ask: Looking) -> ViewResult:
        """Look. A view of many network calls takes turns with other runs at each of them, another is one
        turn.
        """
        run = self.run
        with run.asking(ask):
            run.x(self.needed_state)
            if self.name in ON_PRESS:
                return self._view()
        return ask(self._view)

    def _view(self) -> ViewResult:
        if self.picture_file is None:
            seen = view(self.run, None, self.name, self.key_step, **self.settings)
        else:
            settings = settings_of(self.name, self.settings)
            seen = look_at_picture(self.run.state(self.key_step), settings, self.picture_file)
        return replace(seen, notes=[*seen.notes, *self._notes(seen)])

    def noted(self, seen: ViewResult) -> ViewResult:
        """What is seen, with a note where the player has only a part of the run."""
        if not self.goes_on:
            return seen
        note = (
            f"The player has the run up to step {self.made} of {self.run.total}. This view is about the "
            "finished run, whose other steps it made itself."
        )
        return replace(seen, notes=[*seen.notes, note])

    def _notes(self, seen: ViewResult) -> Iterator[str]:
        if self.index > self.step and self.name != "surprise":
            yield "The network is not called for the finished picture, so this is the last step before it."
        if self.picture_file is not None:
            yield "This is your picture, under the label and prompt of the run."
        if self.missing_block:
            yield f"This network has no block {self.missing_block:.60}, so its middle is shown."
        if self.name == "attention" and seen.numbers["tokens"] is None:
            yield (
                f"{self.run.model.spec.name} reads no text, so no word has a map. The maps show where the "
                "marked place looks; press on the picture to choose another place."
            )
        if on_zero_gpu():
            yield "The run was made on a GPU; this view made it again on the CPU, which can differ a little."


def settings_for(name: str, values: dict[str, Any], run: Run) -> dict[str, Any]:
    """The values of the page's controls as settings of a view. A name of another model or prompt is left
    out.
    """
    takes = VIEWS[name].takes
    settings = {one: value for one, value in values.items() if one in takes and value not in (None, "")}
    count = run.recipe.pictures
    number = settings.pop("picture", 1)
    if type(number) is not int or not 1 <= number <= count:
        raise OptionError("picture", f"This run has the pictures 1 to {count}, got {number!r:.20}.")
    if "head" in settings:
        settings["head"] = int(settings["head"])
    modules = dict(run.model.network.named_modules())
    for one in ("block", "layer"):
        if one in settings and settings[one] not in modules:
            del settings[one]
    ends = (run.state(0), run.state(-1)) if "word" in settings else ()  # a branch may have other words
    tokens = [word for one in ends for word in attention_view.words_of(one, number - 1) or ()]
    if "word" in settings and settings["word"] not in tokens:
        del settings["word"]
    return {**settings, "picture": number - 1}


def look_at_picture(state: State, settings: Settings, picture_file: str | None) -> ViewResult:
    """The surprise of a visitor's picture, or of the run's."""
    if picture_file is None:
        return surprise_view.look(state, settings)
    seen = surprise_view.look(state, settings, Picture.open(picture_file))
    return replace(seen, numbers={**seen.numbers, "given": True})


def steps_over(run: Run) -> list[int]:
    """The states of an animation, or of what shows the whole run: all, or evenly spaced ones."""
    return sorted({round(k) for k in np.linspace(0, run.total - 1, min(run.total, MOST_STATES))})


def make_all_states(run: FairRun) -> None:
    """Make all states known. A `StudioError` where they are too large to be kept."""
    for _ in run.states():
        pass
    if run.cached_state(run.total) is None or run.cached_state(0) is None:
        raise OptionError(
            "run",
            "The states of this run are too large to be kept together, so it has no animation. Save one "
            "picture, or make the run with fewer pictures or steps.",
        )


def _drawn_bytes(seen: ViewResult) -> int:
    films = (tile.plays.pictures.nbytes for tile in seen.tiles if isinstance(tile.plays, Film))
    return sum(tile.pixels.nbytes for tile in seen.tiles) + sum(films)
