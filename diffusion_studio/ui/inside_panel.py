"""The panel "Look inside" under the player: a view of the state that the player shows, see docs/inside.md.

The page asks the server only while the panel is open and the player rests at a step (inside_panel.js).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import OptionError, StudioError
from ..inside import surprise_view, writing
from ..inside.seen import ViewResult
from ..inside.settings import MOST_AGAIN, Settings
from ..inside.views import VIEWS, settings_of
from ..models.model import Model
from ..runs.recipe import Recipe, file_name
from ..studio import Studio
from .compute import Compute, Progress, Turn, duration
from .handlers import LABELLED, always_answers, in_words, show_errors
from .inside_html import (
    ON_PRESS,
    ONE_STATE,
    awaited_views,
    error_html,
    figure_parts,
    framed,
    view_html,
    whole_run_html,
)
from .inside_look import (
    SETTINGS,
    FairRun,
    Look,
    Visit,
    fair_run,
    look_at_picture,
    make_all_states,
    settings_for,
    steps_over,
)
from .page_script import call_action, call_mount
from .price import Prices
from .scratch import served_file
from .store import Run as Recorded
from .store import RunStore

PAUSE = 0.05  # seconds between two answers
FOLLOW_SECONDS = 30.0  # new runs that would take longer wait for a press at each step
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
        "place": "Row, column",
        "factor": "Scaled by",
        "head": "Head",
    }
)


@dataclass(frozen=True)
class Answer:
    """One answer to a look: a view with HTML `more` below it, or `more` alone. With `working`, `more` is
    about the work and stands above what the page shows already.
    """

    seen: ViewResult | None = None
    more: str = ""
    working: bool = False


class InsidePanel:
    """Renders into the surrounding Blocks. The player's button "Inside" opens it."""

    def __init__(
        self, studio: Studio, store: RunStore, compute: Compute, prices: Prices, player: gr.HTML
    ) -> None:
        self.studio, self.store, self.compute, self.prices = studio, store, compute, prices
        self.visits: dict[str, Visit] = {}
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
                "",
                elem_id="inside-status",
                js_on_load=call_mount("inside"),
                server_functions=[figure_parts, awaited_views],
            )
            self.output = gr.HTML("", elem_id="inside-seen")
            with_summary = [f"of-{name}" for name, one in VIEWS.items() if one.summary is not None]
            with gr.Row(elem_id="inside-over-row"):
                self.show_whole = gr.Button(
                    "Show the whole run", elem_id="inside-whole", size="sm", elem_classes=with_summary
                )
            self.whole = gr.HTML("", elem_id="inside-over")
            with gr.Row(elem_id="inside-save"):
                self.save = gr.Button("Save this picture", elem_id="inside-save-picture", size="sm")
                self.save_over = gr.Button("Save as an animation", elem_id="inside-save-over", size="sm")
                self.save_whole = gr.Button(
                    "Save the whole run", elem_id="inside-save-whole", size="sm", elem_classes=with_summary
                )
            self.file = gr.File(label="Your file", interactive=False, height=80, elem_id="inside-file")
            self.look = gr.Button("Look", elem_id="inside-look")  # inside_panel.js presses it
        self._connect([player, self.view, *controls.values(), self.picture_file])

    def _render_settings(self) -> dict[str, Any]:
        def classes_of(name: str) -> list[str]:
            return [f"of-{view}" for view, one in VIEWS.items() if name in one.takes]

        def number(name: str, label: str, value: float | None, **more: Any) -> gr.Number:
            return gr.Number(
                value=value,
                label=label,
                elem_id=f"inside-{name}",
                elem_classes=classes_of(name),
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
                elem_classes=classes_of(name),
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
                    label="Row, column",
                    placeholder="middle",
                    max_lines=1,
                    elem_id="inside-place",
                    elem_classes=classes_of("place"),
                    min_width=110,
                ),
                "word": self.word,
                "layer": self.layer,
                "head": self.head,
                "block": self.block,
                "part": menu(
                    "part",
                    "Scale",
                    [(label, name) for name, label in _PART.items()],
                    plain.part,
                    allow_custom_value=True,
                ),
                "factor": number("factor", "By", plain.factor),
                "tolerance": number("tolerance", "Tolerance", plain.tolerance),
                "again": number("again", "New runs", plain.again, precision=0, minimum=0, maximum=MOST_AGAIN),
                "terms": number("terms", "Steps", plain.terms, precision=0),
                "by": menu("by", "Measured by", _MEASURES, plain.by),
            }
            self.picture_file = gr.File(
                label="Another picture",
                file_types=["image"],
                height=90,
                elem_id="inside-given",
                elem_classes=["of-surprise"],
                min_width=180,
            )
        return {name: controls[name] for name in SETTINGS}

    def _connect(self, inputs: list[Any]) -> None:
        outputs = [self.output, self.status, self.word, self.layer, self.head, self.block]
        common = {
            "show_progress": "hidden",
            "trigger_mode": "multiple",  # a newer look ends the older one
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        after: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        for button, handler in ((self.look, self._look), (self.press, self._compute)):
            button.click(handler, inputs, outputs, js=call_action("beginInsideState"), **common).then(
                None, js=call_action("endInside"), **after
            )
        self.look.click(None, None, self.file, js="() => null", **after)  # a file is of what was seen before
        self.show_whole.click(
            self._show_whole, inputs, [self.whole, self.status], js=call_action("beginInsideState"), **common
        ).then(None, js=call_action("endInside"), **after)
        export: dict[str, Any] = {
            "concurrency_id": "export",
            "concurrency_limit": 2,
            "api_visibility": "private",
            "show_progress": "hidden",
        }
        for button, handler, given, to, action in (
            (self.save, self._save, inputs[:2], self.file, "beginInsideState"),
            (self.save_whole, self._save_whole, inputs[:2], self.file, "beginInside"),
            (self.save_over, self._save_over, inputs, [self.file, self.status], "beginInsideState"),
        ):
            saved = button.click(handler, given, to, js=call_action(action), **export)
            shown = saved.then(None, js=call_action("endInside"), **after)
            shown.then(None, js=call_action("downloadInside"), **after)

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed, and end what is under way."""
        if (visit := self.visits.pop(visitor, None)) is not None:
            visit.newest.end_all()

    def _look(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view, or for one of many network calls what it would cost."""
        yield from self._updates(request.session_hash or "", values, pressed=False)

    def _compute(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view, whatever it costs."""
        yield from self._updates(request.session_hash or "", values, pressed=True)

    @always_answers(6)
    def _updates(self, visitor: str, values: tuple[Any, ...], pressed: bool) -> Iterator[Any]:
        visit = self.visits.setdefault(visitor, Visit())
        active = visit.newest.begin("look")
        same_menus = [gr.skip()] * 4
        try:
            for answer in self._answers(visit, active.ended, values, pressed):
                if active.replaced:
                    break
                if answer.seen is not None and visit.run is not None:
                    visit.shown = visit.run, answer.seen
                    html = view_html(answer.seen, visit.run, answer.more)
                    yield html, "", *self._menus(visit.run, answer.seen)
                elif answer.working:
                    yield gr.skip(), answer.more, *same_menus
                else:
                    visit.shown = None
                    yield answer.more, "", *same_menus
        except StudioError as error:
            if not active.replaced:
                yield *self._failure(visit, values, error), *same_menus

    def _failure(self, visit: Visit, values: tuple[Any, ...], error: StudioError) -> tuple[Any, str]:
        """What the page shows of an error: beside the last picture of the same view of the same run, or in
        its place where there is none.
        """
        sentence = in_words(error)
        recorded = self.store.get(values[0].get("run")) if isinstance(values[0], dict) else None
        if visit.shown is not None and recorded is not None:
            run, seen = visit.shown
            if seen.view == values[1] and run.recipe == recorded.recipe:
                return gr.skip(), error_html(sentence, kept=True)
        visit.shown = None
        shown = error_html(sentence)
        return framed(str(values[1]), "", shown) if values[1] in VIEWS else shown, ""

    def _answers(
        self, visit: Visit, ended: threading.Event, values: tuple[Any, ...], pressed: bool
    ) -> Iterator[Answer]:
        """The view, and before it sentences about the work. A view of many network calls that was not
        computed yet says what it costs; `decided` shows meanwhile what is free.
        """
        look, offer = self._requested(visit, values), ""
        if pressed and look.new_runs:
            visit.following = look.recipe
        if (remembered := visit.looks.get(look.key)) is not None:
            yield Answer(look.noted(remembered))
            return
        if look.name in ON_PRESS and not pressed and not self._follows(visit, look):
            offer = f'<p class="cost">{self._cost_text(look, look.calls(self.prices))}</p>'
            if not look.free:
                yield Answer(more=framed(look.name, look.key_step, offer))
                return
            offer = "" if look.key == look.without_new_runs.key else offer
            look = look.without_new_runs
            if (remembered := visit.looks.get(look.key)) is not None:
                yield Answer(look.noted(remembered), offer)
                return
        title = VIEWS[look.name].title
        advice = _ADVICE.get(look.name, "Look into a run of fewer pictures or steps")
        turn = self.prices.turn_for(look.recipe, look.calls(self.prices), f"The view {title}", advice, ended)

        def items() -> Iterator[ViewResult]:
            with visit.lock:
                seen = look.seen(turn.ask)
            yield seen

        for item in self.compute.watched(items(), PAUSE, turn):
            if isinstance(item, Progress):
                yield Answer(more=f"<p>{_progress_text(item)}</p>", working=True)
            else:
                yield Answer(look.noted(visit.remember(look.key, item)), offer)

    def _follows(self, visit: Visit, look: Look) -> bool:
        """Whether new runs are made without a press: once pressed they follow the player's step, as long as
        one look does not take long.
        """
        if not look.new_runs or visit.following != look.recipe:
            return False
        seconds = self.prices.seconds(look.recipe, look.calls(self.prices))
        return seconds is None or seconds <= FOLLOW_SECONDS

    def _requested(self, visit: Visit, values: tuple[Any, ...]) -> Look:
        recorded, index = self._recorded(values[0])
        recipe, name = recorded.recipe, values[1]
        if name not in VIEWS:
            raise OptionError("view", f"There is no view {name!r:.40}. Choose one of: {', '.join(VIEWS)}.")
        run = visit.run
        if run is None or run.recipe != recipe or run.model is not self._model(recipe):
            run = visit.run = self.compute.call(lambda: fair_run(self.studio, recipe))
        controls: dict[str, Any] = dict(zip(SETTINGS, values[2:]))
        settings = settings_for(name, controls, run)
        block = controls["block"] if name == "network" else ""
        missing = str(block) if block and "block" not in settings else ""
        file = values[2 + len(SETTINGS)] if len(values) > 2 + len(SETTINGS) else None
        given = file if name == "surprise" else None
        return Look(run, name, index, settings, missing, given, recorded.frames[-1].index)

    def _model(self, recipe: Recipe) -> Model:
        return self.compute.call(lambda: self.studio.model(recipe.model))

    def _recorded(self, player_value: object) -> tuple[Recorded, int]:
        """The run that the player shows, and the number of the shown state."""
        value: dict[str, Any] = player_value if isinstance(player_value, dict) else {}
        key = value.get("run")
        recorded = self.store.get(key)
        if recorded is None or not recorded.frames:
            raise OptionError(
                "run",
                "There is no run to look into yet. Press Generate, and stop at a step."
                if not key
                else "This run is no longer kept on the server. Press Generate to make it again.",
            )
        place = value.get("shown")
        place = place if type(place) is int and place >= 0 else 0
        return recorded, recorded.frames[min(place, len(recorded.frames) - 1)].index

    def _cost_text(self, look: Look, calls: float) -> str:
        seconds = self.prices.seconds(look.recipe, calls)
        runs = f"{look.new_runs} new runs from step {look.step}"
        action = {
            "decided": f"Press Compute to see what {runs} make."
            if look.free
            else f"Press Compute to see when this picture was decided, and what {runs} make.",
            "surprise": "Press Compute to measure "
            + ("your picture." if look.picture_file is not None else "the finished picture."),
        }[look.name]
        cost = f"This takes as much computing as {max(1, round(calls)):,} network calls about one picture"
        cost += "." if seconds is None else f", about {duration(seconds)}."
        if look.goes_on:
            cost += f" The player has the run up to step {look.made} of {look.run.total}; "
            cost += "this view goes on to its end."
        follow = " After that the new runs follow the timeline." if look.new_runs else ""
        return escape(f"{action} {cost}{follow}")

    def _menus(self, run: FairRun, seen: ViewResult) -> list[Any]:
        """Updates of the menus of words, layers and blocks to those of this run."""
        same = gr.skip()
        if seen.view == "network" and "blocks" in seen.numbers:
            names = [block.name for block in seen.numbers["blocks"]]
            return [same, same, same, gr.update(choices=[*_MIDDLE, *((name, name) for name in names)])]
        if seen.view != "attention" or "tokens" not in seen.numbers:
            return [same, same, same, same]
        tokens = (seen.numbers["tokens"] or [])[1:]
        words = list(dict.fromkeys(word for word in tokens if any(map(str.isalnum, word))))
        layers = run.memo.setdefault("layers", [])  # one look has only the layers that it was asked for
        layers += [name for name in dict.fromkeys(seen.numbers["layers"]) if name not in layers]
        heads = [len(one) for name, one in seen.arrays.items() if name.startswith(("cross ", "self "))]
        run.memo["heads"] = max([*heads, run.memo.get("heads", 0)])
        return [
            gr.update(choices=[*_ALL_WORDS, *((word, word) for word in words)]),
            gr.update(choices=[*_AVERAGED, *((name, name) for name in layers)]),
            gr.update(choices=[*_AVERAGED, *((f"{k + 1}", f"{k}") for k in range(run.memo["heads"]))]),
            same,
        ]

    @show_errors
    def _save(self, request: gr.Request, value: Any, name: str) -> str:
        """The picture that is shown, as a file."""
        visit = self.visits.get(request.session_hash or "")
        if visit is None or visit.shown is None or visit.shown[1].view != name:
            raise OptionError("view", "There is no picture of this view yet. Look first, then save it.")
        run, seen = visit.shown
        if name in ONE_STATE:  # the page moves its pictures over the run without the server
            seen = surprise_view.at_state(seen, min(self._recorded(value)[1], run.total))
        return _picture_file(run, seen, f"{name}-{seen.step}")

    @show_errors
    def _save_whole(self, request: gr.Request, value: Any, name: str) -> str:
        """What is shown of the whole run, as a file."""
        visit = self.visits.get(request.session_hash or "")
        if visit is None or visit.whole is None or visit.whole[1].view != name:
            raise OptionError(
                "view", "This view of the whole run is not there yet. Press Show the whole run first."
            )
        return _picture_file(*visit.whole, f"{name}-run")

    @always_answers(2)
    def _show_whole(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view of the whole run in one picture, and sentences about the work."""
        visit = self.visits.setdefault(request.session_hash or "", Visit())
        active = visit.newest.begin("whole")
        try:
            for html, status in self._whole(visit, active.ended, values):
                if not active.replaced:
                    yield html, status
        except StudioError as error:
            if not active.replaced:
                yield gr.skip(), error_html(in_words(error))

    def _whole(self, visit: Visit, ended: threading.Event, values: tuple[Any, ...]) -> Iterator[Any]:
        look = self._requested(Visit(), values)  # with a run of its own, so that one can look meanwhile
        run, name, summary = look.run, look.name, VIEWS[look.name].summary
        if summary is None:
            raise OptionError("view", f"The view {VIEWS[name].title} has no picture of the whole run.")
        turn = self._turn_over(look, "This view of the whole run", ended)
        steps, settings = steps_over(run), settings_of(name, look.settings)

        def items() -> Iterator[ViewResult]:
            with run.asking(turn.ask):
                make_all_states(run)
            yield summary(run, settings, steps, turn.ask)

        for item in self.compute.watched(items(), PAUSE, turn):
            if isinstance(item, Progress):
                yield gr.skip(), f"<p>Looking at {len(steps)} steps. {_progress_text(item)}</p>"
            else:
                visit.whole = run, replace(item, arrays={})
                yield whole_run_html(item, run, len(steps)), ""

    def _turn_over(self, look: Look, what: str, ended: threading.Event) -> Turn:
        """The place among all runs for a look at every state."""
        run = look.run
        calls = look.calls(self.prices) if look.name in ONE_STATE else 2 * len(steps_over(run))
        if run.cached_state(run.total) is None:
            calls += self.prices.calls(look.recipe) * look.recipe.pictures
        advice = "Save one picture, or look into a run of fewer pictures or steps"
        return self.prices.turn_for(look.recipe, calls, what, advice, ended)

    @always_answers(2)
    def _save_over(self, request: gr.Request, *values: Any) -> Iterator[Any]:
        """The view at every state of the run, as an animation, and sentences about the work."""
        try:
            yield from self._animation(request.session_hash or "", values)
        except StudioError as error:
            yield gr.skip(), error_html(in_words(error))

    def _animation(self, visitor: str, values: tuple[Any, ...]) -> Iterator[Any]:
        visit = self.visits.setdefault(visitor, Visit())
        ended = visit.newest.begin("save").ended
        look = self._requested(Visit(), values)  # with a run of its own, so that one can look meanwhile
        run, name = look.run, look.name
        settings = {**look.settings, **VIEWS[name].over}
        VIEWS[name].check_over(settings_of(name, settings))
        if visit.run is not None and visit.run.recipe == run.recipe:
            run.memo |= visit.run.memo  # what was measured once
        steps = steps_over(run)
        turn = self._turn_over(look, "This animation", ended)
        of_picture = partial(look_at_picture, picture_file=look.picture_file)

        def items() -> Iterator[str]:
            with run.asking(turn.ask):
                make_all_states(run)
                if name in ONE_STATE:  # its many network calls take turns, and each state costs none
                    of_picture(run.state(0), settings_of(name, settings))
            yield _written(
                run.recipe,
                f"-{name}.gif",
                lambda path: writing.save_over_run(
                    run,
                    None,
                    path,
                    name,
                    steps,
                    ask=turn.ask,
                    look=of_picture if look.picture_file is not None else None,
                    **settings,
                ),
            )

        for item in self.compute.watched(items(), PAUSE, turn):
            if isinstance(item, Progress):
                yield gr.skip(), f"<p>Saving {len(steps)} steps. {_progress_text(item)}</p>"
            else:
                fewer = f"<p>The animation has {len(steps)} of the run's {run.total} steps.</p>"
                yield item, fewer if len(steps) < run.total else ""


def _picture_file(run: FairRun, seen: ViewResult, what: str) -> str:
    return _written(run.recipe, f"-{what}.png", lambda path: writing.save_result(run, seen, path))


def _written(recipe: Recipe, ending: str, write: Callable[[Path], Any]) -> str:
    """The path of a file in a folder that Gradio serves from. A failure leaves no folder."""
    return served_file(file_name(recipe, ending), write)


def _progress_text(progress: Progress) -> str:
    if progress.place:
        return f"Waiting for {progress.place} other run{'s' * (progress.place > 1)}."
    left = "" if progress.seconds is None else f", about {duration(progress.seconds)} left"
    return f"Working: {progress.calls:,} network call{'s' * (progress.calls != 1)}{left}."


_ALL_WORDS = [("all words", "")]
_AVERAGED = [("average", "")]
_MEASURES = [("the bound", "bound"), ("the flow", "flow")]
_MIDDLE = [("the middle", "")]
