"""The panel "Look inside" under the player: a view of the state that the player shows, see docs/inside.md.

The page asks only while the panel is open and the player rests at a step (inside_panel.js).
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ..diffusion.denoiser import Ask, Watched
from ..errors import OptionError, StudioError
from ..imaging.arrays import to_pil
from ..imaging.picture import Picture
from ..inside import attention_view, network_view, surprise_view, writing
from ..inside.run import Run
from ..inside.seen import Seen, Tile
from ..inside.settings import MOST_AGAIN, Settings
from ..inside.views import VIEWS, settings_of, view
from ..models.model import Model
from ..runs.generate import watched
from ..runs.recipe import Recipe, file_name
from ..studio import Studio
from .compute import Compute, Progress, duration
from .handlers import LABELLED, in_words, show_errors
from .price import Prices
from .scratch import served_file
from .store import Run as Recorded
from .store import RunStore
from .zero_gpu import on_zero_gpu

ON_PRESS = ("decided", "surprise")  # views of many network calls: each waits for a press of its button
ONE_STATE = ("surprise",)  # views of the finished picture, whatever the step
_WIDE = 500  # pixels of a picture that takes the whole width
MOST_STATES = 60  # of an animation over the run
PAUSE = 0.05  # seconds between two answers
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
_ADVICE = {
    "decided": "Ask for fewer new runs, or a later step",
    "surprise": "Ask for fewer steps",
}
_PART = {"block": "its output", "branch": "what it adds", "skip": "the skip into it"}
LABELLED.update(
    {
        "again": "New runs",
        "terms": "Steps",
        "by": "Measured by",
        "place": "Row,column",
        "factor": "Scaled by",
        "head": "Head",
    }
)


class FairRun(Run):
    """A run whose network calls, while `asking(ask)` is entered, go through `ask`, and so take turns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._given: Ask | None = None
        super().__init__(*args, **kwargs)

    @contextmanager
    def asking(self, ask: Ask) -> Iterator[None]:
        self._given = ask
        try:
            yield
        finally:
            self._given = None

    def segments(self, model: Model, recipe: Recipe | None = None) -> Any:
        return watched(super().segments(model, recipe), self._ask)

    def denoiser(self, recipe: Recipe, levels: Any) -> Any:
        found = super().denoiser(recipe, levels)
        return found if self._given is None else Watched(found, self._ask)

    def _ask(self, call: Callable[[], Any]) -> Any:
        return call() if self._given is None else self._given(call)


@dataclass
class Looker:
    """What is kept of one visitor: the run that was looked into, what was seen last, what is under way."""

    run: FairRun | None = None
    shown: tuple[tuple[Any, ...], Seen] | None = None
    drawn: tuple[FairRun, Seen] | None = None  # what the page shows now; None where it shows a sentence
    ended: threading.Event = field(default_factory=threading.Event)
    saving: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


class InsidePanel:
    """Renders into the surrounding Blocks. The player's button "Inside" opens it."""

    def __init__(
        self, studio: Studio, store: RunStore, compute: Compute, prices: Prices, player: gr.HTML
    ) -> None:
        self.studio, self.store, self.compute, self.prices = studio, store, compute, prices
        self.lookers: dict[str, Looker] = {}
        here = Path(__file__).parent
        with gr.Column(elem_id="inside", min_width=0):
            with gr.Row(elem_id="inside-top"):
                self.view = gr.Radio(
                    [(one.title, name) for name, one in VIEWS.items()],
                    value="sum",
                    label="Look inside this step",
                    elem_id="inside-view",
                )
                self.close = gr.Button("Close", elem_id="inside-close", size="sm", min_width=60)
            controls = self._render_settings()
            with gr.Row(elem_id="inside-press", elem_classes=[f"of-{name}" for name in ON_PRESS]):
                self.press = gr.Button("Compute", elem_id="inside-compute", variant="primary", size="sm")
            self.status = gr.HTML(
                "", elem_id="inside-status", js_on_load=(here / "inside_panel.js").read_text("utf-8")
            )
            self.seen = gr.HTML("", elem_id="inside-seen")
            with gr.Row(elem_id="inside-save"):
                self.save = gr.Button("Save this picture", elem_id="inside-save-picture", size="sm")
                over = [f"of-{name}" for name in VIEWS if name not in ONE_STATE]
                self.save_over = gr.Button(
                    "Save over the run", elem_id="inside-save-over", size="sm", elem_classes=over
                )
            self.file = gr.File(label="Your file", interactive=False, height=80, elem_id="inside-file")
            self.look = gr.Button("Look", elem_id="inside-look")  # inside_panel.js presses it
        self._connect([player, self.view, *controls.values(), self.given])

    def _render_settings(self) -> dict[str, Any]:
        def of(name: str) -> list[str]:
            return [f"of-{view}" for view, one in VIEWS.items() if name in one.takes]

        def number(name: str, label: str, value: float | None, **more: Any) -> gr.Number:
            return gr.Number(
                value=value,
                label=label,
                elem_id=f"inside-{name}",
                elem_classes=of(name),
                min_width=90,
                **more,
            )

        def menu(
            name: str, label: str, choices: list[tuple[str, str]], value: str = "", **more: Any
        ) -> gr.Dropdown:
            return gr.Dropdown(
                choices,
                value=value,
                label=label,
                elem_id=f"inside-{name}",
                elem_classes=of(name),
                min_width=150,
                **more,
            )

        plain = Settings()
        with gr.Row(elem_id="inside-settings"):
            self.word = menu("word", "Word", _ALL_WORDS)
            self.layer = menu("layer", "Layer", _AVERAGED)
            self.head = menu("head", "Head", _AVERAGED)
            # typed as well, by a click on the drawing (inside_panel.js)
            self.block = menu("block", "Block", _MIDDLE, allow_custom_value=True)
            controls = {
                "picture": number("picture", "Picture", 1, precision=0),
                "place": gr.Textbox(
                    label="Row,column",
                    placeholder="middle",
                    max_lines=1,
                    elem_id="inside-place",
                    elem_classes=of("place"),
                    min_width=110,
                ),
                "word": self.word,
                "layer": self.layer,
                "head": self.head,
                "block": self.block,
                "part": menu(
                    "part",
                    "Scale",
                    [(said, name) for name, said in _PART.items()],
                    plain.part,
                    allow_custom_value=True,
                ),
                "factor": number("factor", "By", plain.factor),
                "tolerance": number("tolerance", "Tolerance", plain.tolerance),
                "again": number(
                    "again", "New runs (K)", plain.again, precision=0, minimum=0, maximum=MOST_AGAIN
                ),
                "terms": number("terms", "Steps", plain.terms, precision=0),
                "by": menu("by", "Measured by", _MEASURES, plain.by),
            }
            self.given = gr.File(
                label="Another picture",
                file_types=["image"],
                height=90,
                elem_id="inside-given",
                elem_classes=["of-surprise"],
                min_width=180,
            )
        return {name: controls[name] for name in SETTINGS}

    def _connect(self, inputs: list[Any]) -> None:
        shown = [self.seen, self.status, self.word, self.layer, self.head, self.block]
        common = {
            "show_progress": "hidden",
            "trigger_mode": "multiple",  # a newer look ends the older one
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        done: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        for button, handler in ((self.look, self._look), (self.press, self._computed)):
            button.click(handler, inputs, shown, js=_WHERE, **common).then(None, js=_DONE, **done)
        self.look.click(None, None, self.file, js="() => null", **done)  # a file is of what was seen before
        alone = {"concurrency_id": "export", "concurrency_limit": 2, "api_visibility": "private"}
        self.save.click(
            self._save, inputs[:2], self.file, show_progress="hidden", js=_BUSY.format("(...v) => v"), **alone
        ).then(None, js=_DONE, **done).then(None, js=_DOWNLOAD, **done)
        self.save_over.click(
            self._save_over, inputs, [self.file, self.status], js=_WHERE, show_progress="hidden", **alone
        ).then(None, js=_DONE, **done).then(None, js=_DOWNLOAD, **done)

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed, and end what is under way."""
        if (found := self.lookers.pop(visitor, None)) is not None:
            found.ended.set()
            found.saving.set()

    def _look(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view, or for one of many network calls what it would cost."""
        yield from self._answers(request.session_hash or "", values, pressed=False)

    def _computed(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view, whatever it costs."""
        yield from self._answers(request.session_hash or "", values, pressed=True)

    def _answers(self, visitor: str, values: tuple[Any, ...], pressed: bool) -> Iterator[Any]:
        looker = self.lookers.setdefault(visitor, Looker())
        looker.ended.set()
        looker.ended = ended = threading.Event()
        name, same = str(values[1]), [gr.skip()] * 4
        try:
            for found in self._seen(looker, ended, values, pressed):
                if looker.ended is not ended:  # there is a newer look
                    break
                if isinstance(found, Seen):
                    looker.drawn = looker.run, found
                    yield as_html(found, looker.run), "", *self._menus(looker.run, found)
                else:
                    said, working = found
                    looker.drawn = looker.drawn if working else None
                    yield gr.skip() if working else said, said if working else "", *same
        except StudioError as error:
            if looker.ended is ended:
                looker.drawn = None
                yield in_frame(name, "", f'<p class="why">{escape(in_words(error))}</p>'), "", *same
        if looker.ended is not ended:
            yield (gr.skip(), gr.skip(), *same)  # Gradio wants an answer

    def _seen(
        self, looker: Looker, ended: threading.Event, values: tuple[Any, ...], pressed: bool
    ) -> Iterator[Seen | tuple[str, bool]]:
        """What is seen; before it (HTML, whether it is a word about the work)."""
        asked = self._asked(looker, values)
        if looker.shown is not None and looker.shown[0] == asked.key:
            yield looker.shown[1]
            return
        calls = asked.calls(self.prices)
        if asked.name in ON_PRESS and not pressed:
            yield (
                in_frame(asked.name, asked.key_step, f'<p class="cost">{self._cost(asked, calls)}</p>'),
                False,
            )
            return
        title = VIEWS[asked.name].title
        advice = _ADVICE.get(asked.name, "Look into a run of fewer pictures or steps")
        turn = self.prices.turn_for(asked.recipe, calls, f"The view {title}", advice, ended)

        def items() -> Iterator[Seen]:
            with looker.lock:
                yield asked.seen(turn.ask)

        for found in self.compute.watched(items(), PAUSE, turn):
            if isinstance(found, Progress):
                yield f"<p>{_working(found)}</p>", True
            else:
                # the arrays are not needed to draw it again
                looker.shown = asked.key, replace(found, arrays={"x0": _picture(found)})
                yield found

    def _asked(self, looker: Looker, values: tuple[Any, ...]) -> Asked:
        recorded, index = self._at(values[0])
        recipe, name = recorded.recipe, values[1]
        if name not in VIEWS:
            raise OptionError("view", f"There is no view {name!r:.40}. Choose one of: {', '.join(VIEWS)}.")
        run = looker.run
        if run is None or run.recipe != recipe or run.model is not self._model(recipe):
            run = looker.run = self.compute.call(lambda: FairRun.of(self.studio, recipe))
        said = dict(zip(SETTINGS, values[2:]))
        given = settings_for(name, said, run)
        missing = str(said["block"]) if name == "network" and said["block"] and "block" not in given else ""
        file = values[2 + len(SETTINGS)] if len(values) > 2 + len(SETTINGS) else None
        return Asked(run, name, index, given, missing, file if name == "surprise" else None)

    def _model(self, recipe: Recipe) -> Model:
        return self.compute.call(lambda: self.studio.model(recipe.model))

    def _at(self, value: object) -> tuple[Recorded, int]:
        """The run that the player shows, and the number of the shown state."""
        run = value.get("run") if isinstance(value, dict) else None
        found = self.store.get(run)
        if found is None or not found.frames:
            raise OptionError(
                "run",
                "There is no run to look into yet. Press Generate, and stop at a step."
                if not run
                else "This run is no longer kept on the server. Press Generate to make it again.",
            )
        place = value.get("shown")
        place = place if type(place) is int and place >= 0 else 0
        return found, found.frames[min(place, len(found.frames) - 1)].index

    def _cost(self, asked: Asked, calls: float) -> str:
        seconds = self.prices.seconds(asked.recipe, calls)
        what = {
            "decided": "Press Compute to see when this picture was decided, and what new runs from this step "
            "make.",
            "surprise": "Press Compute to measure "
            + ("your picture." if asked.file is not None else "the finished picture."),
        }[asked.name]
        many = f"This takes as much computing as {max(1, round(calls)):,} network calls about one picture"
        return escape(f"{what} {many}" + ("." if seconds is None else f", about {duration(seconds)}."))

    def _menus(self, run: FairRun | None, seen: Seen) -> list[Any]:
        """Updates of the menus of words, layers and blocks to those of this run."""
        same = gr.skip()
        if seen.view == "network" and "blocks" in seen.numbers:
            names = [one.name for one in seen.numbers["blocks"]]
            return [same, same, same, gr.update(choices=[*_MIDDLE, *((name, name) for name in names)])]
        if seen.view != "attention" or "tokens" not in seen.numbers:
            return [same, same, same, same]
        words = [
            *dict.fromkeys(one for one in (seen.numbers["tokens"] or [])[1:] if any(map(str.isalnum, one)))
        ]
        kept = run.memo if run is not None else {}  # one look has the layers that it was asked for
        layers = kept.setdefault("layers", [])
        layers += [name for name in dict.fromkeys(seen.numbers["layers"]) if name not in layers]
        heads = [len(one) for name, one in seen.arrays.items() if name.startswith(("cross ", "self "))]
        kept["heads"] = max([*heads, kept.get("heads", 0)])
        return [
            gr.update(choices=[*_ALL_WORDS, *((one, one) for one in words)]),
            gr.update(choices=[*_AVERAGED, *((one, one) for one in layers)]),
            gr.update(choices=[*_AVERAGED, *((f"{k + 1}", f"{k}") for k in range(kept["heads"]))]),
            same,
        ]

    @show_errors
    def _save(self, request: gr.Request, value: Any, name: str) -> str:
        """The picture that is shown, as a file."""
        looker = self.lookers.get(request.session_hash or "")
        if looker is None or looker.drawn is None or looker.drawn[1].view != name:
            raise OptionError("view", "There is no picture of this view yet. Look first, then save it.")
        run, seen = looker.drawn
        return _written(
            run.recipe, f"-{seen.view}-{seen.step}.png", lambda path: writing.save_seen(run, seen, path)
        )

    def _save_over(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view at every state of the run, as an animation, and words about the work."""
        try:
            yield from self._saved_over(request.session_hash or "", values)
        except StudioError as error:
            yield gr.skip(), f'<p class="why">{escape(in_words(error))}</p>'

    def _saved_over(self, visitor: str, values: tuple[Any, ...]) -> Iterator[Any]:
        looker = self.lookers.setdefault(visitor, Looker())
        looker.saving = ended = threading.Event()
        asked = self._asked(Looker(), values)  # a run of its own, so that one can look meanwhile
        run, name = asked.run, asked.name
        if name in ONE_STATE:
            raise OptionError("view", f"The view {VIEWS[name].title} is about the finished picture alone.")
        steps = sorted({round(k) for k in np.linspace(0, run.total - 1, min(run.total, MOST_STATES))})
        every = self.prices.calls(asked.recipe) * asked.recipe.pictures
        calls = 2 * len(steps) + (0 if run.known(run.total) is not None else every)
        advice = "Save one picture, or look into a run of fewer pictures or steps"
        turn = self.prices.turn_for(asked.recipe, calls, "This animation", advice, ended)
        given = {**asked.given, **VIEWS[name].over}

        def items() -> Iterator[str]:
            with run.asking(turn.ask):
                _kept(run)
            yield _written(
                run.recipe,
                f"-{name}.gif",
                lambda path: writing.save_over_run(run, None, path, name, steps, ask=turn.ask, **given),
            )

        for found in self.compute.watched(items(), PAUSE, turn):
            if isinstance(found, Progress):
                yield gr.skip(), f"<p>Saving {len(steps)} states. {_working(found)}</p>"
            else:
                fewer = f"<p>The animation has {len(steps)} of the run's {run.total} states.</p>"
                yield found, fewer if len(steps) < run.total else ""


@dataclass(frozen=True)
class Asked:
    """A view of a run at the shown state `index`, with the settings `given`."""

    run: FairRun
    name: str
    index: int
    given: dict[str, Any]
    missing: str = ""  # a block that was named, and that this network does not have
    file: str | None = None  # of another picture, whose surprise is measured

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def step(self) -> int:
        """The state that is looked into: of the finished picture, about which no network is asked, the last
        one before it.
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
            self.missing,
            self.file,
            tuple(sorted(self.given.items())),
        )

    @property
    def needs(self) -> int:
        """The state up to which the run has to be known; a step's sum is held against the state after it."""
        if self.file is not None:  # nothing of the run but its label and prompt
            return 0
        return self.run.total if self.name in ON_PRESS else self.step + (self.name == "sum")

    def calls(self, prices: Prices) -> float:
        """About how many network calls, times the pictures in each."""
        run = self.run
        whole = prices.calls(self.recipe)
        replay = 0 if run.known(self.needs) is not None else whole * self.recipe.pictures
        if self.name == "decided":
            return replay + whole / run.total * (run.total - self.step) * self.given.get("again", 0)
        if self.name == "surprise":
            schedule, terms = run.model.schedule, self.given.get("terms", Settings().terms)
            if self.given.get("by") == "flow":
                return replay + 4 * terms
            return replay + (min(terms, schedule.timesteps) if schedule.discrete else terms)
        if run.model.spec.network.self_condition:  # each look replays the run
            return replay + whole * self.recipe.pictures
        return replay + 2 * self.recipe.pictures

    def seen(self, ask: Ask) -> Seen:
        """Look. What is many calls takes turns with other runs at each of them, the rest is one turn."""
        run = self.run
        with run.asking(ask):
            run.x(self.needs)
            if self.name in ON_PRESS:
                return self._view()
        return ask(self._view)

    def _view(self) -> Seen:
        if self.file is None:
            found = view(self.run, None, self.name, self.key_step, **self.given)
        else:
            settings = settings_of(self.name, self.given)
            found = surprise_view.look(self.run.state(self.key_step), settings, Picture.open(self.file))
            found = replace(found, numbers={**found.numbers, "given": True})
        notes = [*found.notes, *self._notes(found)]
        return replace(found, notes=notes)

    def _notes(self, found: Seen) -> Iterator[str]:
        if self.index > self.step and self.name != "surprise":
            yield "No network is asked about the finished picture, so this is the last step before it."
        if self.file is not None:
            yield "This is your picture, under the label and prompt of the run."
        if self.missing:
            yield f"This network has no block {self.missing:.60}, so its middle is shown."
        if self.name == "attention" and found.numbers["tokens"] is None:
            yield (
                f"{self.run.model.spec.name} reads no text, so no word has a map. The maps show where the "
                "marked place looks; press on the picture to choose another place."
            )
        if on_zero_gpu():
            yield "The run was made on a GPU; this view made it again on the CPU, which can differ a little."


def settings_for(name: str, values: dict[str, Any], run: Run) -> dict[str, Any]:
    """What the page's controls say, as settings of a view. A name of another model or prompt is left out."""
    takes = VIEWS[name].takes
    given = {one: value for one, value in values.items() if one in takes and value not in (None, "")}
    count = run.recipe.pictures
    number = given.pop("picture", 1)
    if type(number) is not int or not 1 <= number <= count:
        raise OptionError("picture", f"This run has the pictures 1 to {count}, got {number!r:.20}.")
    if "head" in given:
        given["head"] = int(given["head"])
    modules = dict(run.model.network.named_modules())
    for one in ("block", "layer"):
        if one in given and given[one] not in modules:
            del given[one]
    tokens = attention_view.words_of(run.state(0), number - 1) if "word" in given else None
    if "word" in given and given["word"] not in (tokens or []):
        del given["word"]
    return {**given, "picture": number - 1}


def as_html(seen: Seen, run: Run | None) -> str:
    """A view for the page: its tiles with their titles, its lines and notes. All texts are escaped."""
    picture = _picture(seen)
    size = picture.shape[-2:] if picture is not None and picture.ndim == 3 else None
    pointed = size is not None and "place" in VIEWS[seen.view].takes
    drawn = _drawn_network(seen, run) if seen.view == "network" and run is not None else ""
    shown = seen.tiles[1:] if drawn else seen.tiles  # the drawing answers to the pointer, a picture does not
    tiles = "".join(_tile(one, pointed and one.pixels.shape[:2] == size) for one in shown)
    said = "".join(f"<p>{escape(line)}</p>" for line in seen.lines)
    notes = "".join(f'<p class="note">Note: {escape(note)}</p>' for note in seen.notes)
    wordless = seen.view == "attention" and not seen.numbers.get("tokens")
    marked = f'<div class="tiles{" wordless" * wordless}">{tiles}</div>'
    about = "your picture" if seen.numbers.get("given") else "the finished picture"
    return in_frame(seen.view, seen.step, f"{drawn}{marked}{said}{notes}", run, about)


def _drawn_network(seen: Seen, run: Run) -> str:
    """The network between what enters it and what leaves it, to click on, with a legend."""
    blocks = seen.numbers["blocks"]
    drawn = network_view.svg(blocks, marked=seen.numbers["block"], explain=False)
    kinds = [network_view.KINDS[kind] for kind in network_view.kinds_in(blocks)]
    marks = "".join(
        f'<span><i style="background: #{bytes(colour).hex()}"></i>{said}</span>' for colour, said in kinds
    )
    return (
        f'<div class="network">{_THROUGH.format(drawn)}</div><p class="legend">{marks}'
        '<span><i class="line"></i>skip</span></p>'
        f'<p class="what">{escape(network_view.entering(run.model))} Click a box, or a skip, to choose it. '
        "Taller boxes have more channels.</p>"
    )


def in_frame(
    name: str, step: object, inner: str, run: Run | None = None, of: str = "the finished picture"
) -> str:
    """A view's title, what it is in two sentences, and its paper around what is shown. `of` is what a view of
    no state is about.
    """
    about = VIEWS[name]
    where = "" if run is None else f" at step {step} of {run.total}"
    where = f" of {of}" if run is not None and name in ONE_STATE else where
    return (
        f'<section class="view-seen" data-view="{escape(name)}" data-step="{escape(str(step))}">'
        f"<h2>{escape(about.title)}{where}</h2>{inner}"
        f'<p class="what">{escape(" ".join(about.about))} <cite>{escape(about.paper)}</cite></p></section>'
    )


def _tile(tile: Tile, pointed: bool) -> str:
    height, width = tile.pixels.shape[:2]
    data = io.BytesIO()
    to_pil(np.ascontiguousarray(tile.pixels)).save(data, "PNG")
    kinds = {"tile": True, "whole": tile.whole, "wide": tile.whole and width > _WIDE, "pointed": pointed}
    title, marks = escape(tile.title), " ".join(kind for kind, on in kinds.items() if on)
    said = title or "curves over the run"
    source = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return (
        f'<figure class="{marks}"><figcaption>{title}</figcaption>'
        f'<img alt="{said}" width="{width}" height="{height}" src="{source}"></figure>'
    )


def _picture(seen: Seen) -> np.ndarray | None:
    found = seen.arrays.get("x0", seen.arrays.get("result", seen.arrays.get("picture")))
    return found[0] if found is not None and found.ndim == 4 else found


def _kept(run: FairRun) -> None:
    """Make all states known. A `StudioError` where they are too large to be kept."""
    for _ in run.states():
        pass
    if run.known(run.total) is None or run.known(0) is None:
        raise OptionError(
            "run",
            "The states of this run are too large to be kept together, so it has no animation. Save one "
            "picture, or make the run with fewer pictures or steps.",
        )


def _written(recipe: Recipe, ending: str, write: Callable[[Path], Any]) -> str:
    """The path of a file in a folder that Gradio serves from. A failure leaves no folder."""
    return served_file(file_name(recipe, ending), write)


def _working(progress: Progress) -> str:
    if progress.place:
        return f"Waiting for {progress.place} other run{'s' * (progress.place > 1)}."
    left = "" if progress.seconds is None else f", about {duration(progress.seconds)} left"
    return f"Working: {progress.calls:,} network call{'s' * (progress.calls != 1)}{left}."


# The state before the network and its x0 after it are drawn by inside_panel.js, as the player shows them.
_THROUGH = (
    '<figure class="end into"><canvas width="1" height="1" aria-hidden="true"></canvas>'
    "<figcaption>x_t</figcaption></figure>"
    '<div class="drawing" tabindex="0">{}</div>'
    '<figure class="end out"><canvas width="1" height="1" aria-hidden="true"></canvas>'
    "<figcaption>x0</figcaption></figure>"
)
_ALL_WORDS = [("all words", "")]
_AVERAGED = [("all, averaged", "")]
_MEASURES = [("the bound", "bound"), ("the flow", "flow")]
_MIDDLE = [("the middle", "")]
# Says that the server is asked, until _DONE. No count: of looks that overlap Gradio may tell one end.
_BUSY = (
    """(...given) => {{ document.querySelector('#stage').dataset.insideAsked = 1; return ({})(...given); }}"""
)
_DONE = """() => { document.querySelector('#stage').dataset.insideAsked = 0; }"""
_WHERE = _BUSY.format("""(v, ...rest) => { const p = document.querySelector('#player .player').dataset;
  return [v && v.run ? {run: v.run, shown: Number(p.shown)} : v, ...rest]; }""")
_DOWNLOAD = """() => { const end = Date.now() + 3000, d = document.querySelector('#stage').dataset;
  const go = () => { const link = document.querySelector('#inside-file a[download]');
    if (link && link.href !== d.insideFile) { d.insideFile = link.href; link.click(); }
    else if (Date.now() < end) setTimeout(go, 100); };
  go(); }"""
