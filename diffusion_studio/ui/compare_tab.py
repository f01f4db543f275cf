"""The Compare tab: several runs of one recipe, each with some settings changed, on one clock.

The recipe comes from the settings in Generate, unless one was sent here: a run of a player, a file or a link.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from ..compare.clocks import CLOCKS
from ..compare.grid import Grid, sweeping
from ..compare.other_models import fitted_cells, with_own_settings
from ..compare.player_data import names_of, shown_value
from ..compare.race import Race, racing, reference_recipe
from ..compare.recipes import (
    MOST_REFERENCE_STEPS,
    Axis,
    GridRecipe,
    RaceRecipe,
    reference_steps,
)
from ..compare.text import AS_IT_IS, axis_of, lanes_of
from ..diffusion.denoiser import RunEnded
from ..errors import OptionError, StudioError
from ..export import FORMATS
from ..files import safe_name
from ..runs.recipe import Recipe
from ..studio import Studio
from .axes import axes_value, axis_rows
from .compare_choices import (
    FIRST_AXES,
    FIRST_LANES,
    GRID,
    RACE,
    Asked,
    base_sentence,
    base_words,
    clock_choices,
    clock_help,
    form_texts,
    format_choices,
    linkable,
    of_its_own,
    read_compared,
    remarks,
    second_lane,
    sent_sentence,
    suggestions,
    summary,
)
from .compare_progress import NewestState, ProgressBoard, progress, with_counts
from .compare_store import KeptRuns
from .compare_view import compare_view
from .compute import Compute, duration
from .controls import RecipeControls
from .export_panel import card_of
from .generate_tab import AS_LINK, COMPUTE, TICK_SECONDS
from .handlers import LABELLED, in_words, inform, sentence, show_errors
from .lanes import lane_rows, lanes_value
from .newest import NewestRuns
from .page_script import call_action
from .picker.picker import other_items, picker
from .price import Prices, kind_of
from .saved import saved
from .scratch import served_file

Sent = Callable[[object, gr.Request], Recipe]
KINDS = {RACE: RaceRecipe, GRID: GridRecipe}
Shown = tuple[Any, ...]  # the view, the status, the link, the save button, its reason, the stop button
TRIES: dict[str, str] = {"label": "Try", "look": "chips"}
# Steps of the reference at first. Measured on fashion-mnist (2 pictures, guidance 2): DDIM in 200 steps ends
# 0.0047 (RMS) from DDIM in 1,000, less than a shade of 8 bits, 0.0078; in 100 steps 0.0090, in 20 0.033.
FIRST_REFERENCE = 200
HEARTBEAT = 5.0  # seconds between two messages of a run, by which a page that has closed is noticed
INTRO = (
    "Start several runs from the same noise and watch where they part. **Race**: two to six runs, each with "
    "something changed. **Grid**: every value of one or two settings."
)
OLD_WHILE = "These are the runs from before. The new ones are being made."
OLD_AFTER = "The runs that were asked for last were not made. These are the ones from before."
OLD_FORM = "These are the runs from before. Run makes those of the form."
WHY_NOT = "A file can be made once something has run here."
LABELLED |= {
    "lanes": "Lanes",
    "axis": "The axis",
    "x": "Along x",
    "y": "Along y",
    "clock": "Clock",
    "reference": "Steps of the reference",
}


class CompareTab:
    """Renders into the surrounding Blocks. `settings` are those of Generate: the base of all runs, unless
    another recipe was sent here.
    """

    def __init__(self, studio: Studio, compute: Compute, prices: Prices, settings: RecipeControls) -> None:
        self.studio, self.compute, self.prices, self.settings = studio, compute, prices, settings
        self._kept = KeptRuns()
        self._chosen: dict[str, str] = {}  # the kind that each visitor's page shows, if it was changed
        self._newest: NewestRuns[str] = NewestRuns()  # by visitor
        self._followed = ProgressBoard()
        self._clocks: dict[tuple[str, str], str] = {}  # chosen last, by visitor and kind
        self.base = gr.Textbox("", visible=False)  # the recipe that was sent here as JSON, or nothing
        gr.Markdown(INTRO, elem_id="compare-intro")
        with gr.Row(elem_id="compare-stage"):
            with gr.Column(elem_id="compare-quick"):
                self.kind = gr.Radio(
                    [("Race", RACE), ("Grid", GRID)],
                    value=RACE,
                    label="What",
                    show_label=False,
                    container=False,
                    elem_id="compare-kind",
                )
                self.begins = gr.HTML(base_sentence(""), elem_id="compare-begins")
                self.own = gr.Button(
                    "Use the settings in Generate", size="sm", visible=False, elem_id="compare-own"
                )
                self.tries = picker(suggestions(RACE, None), **TRIES, elem_id="compare-tries")
                self._render_lanes()
                self._render_axes()
                self._render_reference()
                with gr.Row(elem_id="compare-press"):
                    self.go = gr.Button("Run", variant="primary", elem_id="compare-run", min_width=80)
                    self.stop = gr.Button("Stop", interactive=False, elem_id="compare-stop", min_width=80)
                with gr.Accordion("Share or open", open=False, elem_id="compare-open"):
                    self.link = gr.Textbox(
                        label="Link to this race or grid",
                        placeholder="after a run",
                        buttons=["copy"],
                        interactive=False,
                        max_lines=2,
                        elem_id="compare-link",
                    )
                    self.dropped = gr.File(
                        label="Open an exported race or grid",
                        height=120,
                        file_types=[*dict.fromkeys(one.suffix for one in FORMATS.values()), ".json"],
                        elem_id="compare-restore",
                    )
            with gr.Column(elem_id="compare-view"):
                with gr.Row(elem_id="compare-time"):
                    self.clock = gr.Radio(
                        clock_choices(RACE), value="log-snr", label="Clock", elem_id="compare-clock"
                    )
                    self.clock_help = gr.HTML(clock_help("log-snr"), elem_id="compare-clock-help")
                self.status = gr.HTML("", elem_id="compare-status", min_height=24)
                self.view = compare_view(self._followed.at, elem_id="compare-together")
                with gr.Row(elem_id="compare-saving"):
                    self.format = gr.Dropdown(
                        format_choices(RACE),
                        value="gif",
                        label="Format",
                        show_label=False,
                        container=False,
                        elem_id="compare-format",
                    )
                    self.save = gr.Button("Save", interactive=False, elem_id="compare-save", min_width=100)
                    self.why = gr.HTML(WHY_NOT, elem_id="compare-why")
        self.card = saved(elem_id="compare-saved", elem_classes="saved-card")
        self._connect()

    def _render_lanes(self) -> None:
        with gr.Group() as self.lane_group:
            gr.HTML(
                "<b>Lanes</b>: what differs in each run. The curve measures all against the first.",
                elem_id="compare-lanes-help",
            )
            self.rows = lane_rows(FIRST_LANES, self._models(), elem_id="compare-rows")
            # The style sheet shows the text where this is checked. A closed accordion would not do: what it
            # holds is not on the page, and the menus follow the text.
            gr.Checkbox(False, label="As text, with any setting", elem_id="compare-as-text")
            self.lanes = gr.Textbox(
                FIRST_LANES,
                label="Lanes as text",
                lines=2,
                max_lines=6,
                info="One run on each line. Any setting can be written, as setting=value, several with "
                "commas between them.",
                elem_id="compare-lanes",
            )

    def _models(self) -> list[str]:
        return [card.name for card in self.studio.models()]

    def _rows(self, lanes: str, base: Recipe | None) -> dict[str, Any]:
        """The value of the lanes' menus, for what all runs begin with."""
        return lanes_value(lanes, self._models(), () if base is None else of_its_own(base).values())

    def _axes(self, x: str, y: str, base: Recipe | None) -> dict[str, Any]:
        """The value of the axes' menus, for what all runs begin with."""
        return axes_value(x, y, self.studio.models(), "" if base is None else base.model)

    def _render_axes(self) -> None:
        with gr.Group(visible=False) as self.axis_group:
            self.axes = axis_rows(*FIRST_AXES, self.studio.models(), elem_id="compare-axes")

    def _render_reference(self) -> None:
        with gr.Group() as self.reference_group:
            self.reference = gr.Checkbox(
                False,
                label="Distance to a reference run",
                info="How far each lane ends from the nearly exact solution: lane 1 by DDIM in many steps.",
                elem_id="compare-reference",
            )
            self.reference_steps = gr.Number(
                FIRST_REFERENCE,
                precision=0,
                minimum=1,
                maximum=MOST_REFERENCE_STEPS,
                label=LABELLED["reference"],
                visible=False,
                elem_id="compare-reference-steps",
            )
            self.price = gr.HTML("", elem_id="compare-price", min_height=0)

    def _form(self) -> list[Any]:
        """The components that change when another race or grid is opened."""
        return [
            self.base,
            self.begins,
            self.own,
            self.kind,
            self.tries,
            self.lane_group,
            self.rows,
            self.lanes,
            self.axis_group,
            self.axes,
            self.clock,
            self.clock_help,
            self.reference_group,
            self.reference,
            self.reference_steps,
            self.price,
            self.format,
            self.view,
            self.status,
            self.link,
            self.save,
            self.why,
        ]

    def _inputs(self) -> set[Any]:
        return {
            *self.settings.inputs(),
            *(self.base, self.kind, self.lanes, self.axes, self.clock),
            *(self.reference, self.reference_steps),
        }

    def _connect(self) -> None:
        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.kind.input(
            self._kind_chosen, [self.kind, self.base, self.clock, self.format], self._form(), **quick
        )
        self.clock.input(
            None,
            self.clock,
            self.clock_help,
            js=call_action("lookUp", {name: one.help for name, one in CLOCKS.items()}),
            **quick,
        )
        self.clock.input(
            self._clock_chosen,
            [self.clock, self.kind],
            [self.view, self.clock, self.clock_help, self.link],
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
        )
        self.own.click(self._no_base_updates, [self.kind, self.lanes, self.axes], self._of_base(), **quick)
        self.tries.input(
            None,
            [self.tries, self.lanes, self.axes],
            [self.lanes, self.axes],
            js=call_action("tryComparison"),
            **quick,
        ).then(None, js=call_action("runComparison"), queue=False, api_visibility="private")
        self.rows.input(None, self.rows, self.lanes, js=call_action("lanesAsText"), **quick)
        self.lanes.change(None, [self.lanes, self.rows], self.rows, js=call_action("withLanes"), **quick)
        gr.on(
            [self.reference.input, self.reference_steps.input],
            self._reference_updates,
            self._inputs(),
            [self.reference_steps, self.price],
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        run: dict[str, Any] = {
            "outputs": [self.view, self.status, self.link, self.save, self.why, self.stop],
            "concurrency_id": COMPUTE,
            "concurrency_limit": None,
            "show_progress": "hidden",
            "trigger_mode": "multiple",  # another press ends the runs before
            "api_visibility": "private",
        }
        self.go.click(
            None, None, None, js=call_action("showComparison"), queue=False, api_visibility="private"
        )
        self.go.click(self._run, self._inputs(), js=None, **run).success(
            lambda: "",
            None,
            self.price,
            **quick,  # what it takes was said; now it is done
        )
        self.dropped.upload(
            self._open_file, self.dropped, self._form(), show_progress="hidden", api_visibility="private"
        ).success(self._run_file, self.dropped, **run)
        self.stop.click(self._stop, None, None, **quick)
        self.link.change(None, self.link, self.link, js=AS_LINK, queue=False, api_visibility="private")
        self.save.click(
            self._save,
            [self.format, self.kind],
            self.card,
            concurrency_id="export",
            concurrency_limit=2,
            show_progress_on=self.save,
            api_visibility="private",
        )

    def connect(self, page: gr.Blocks, tabs: gr.Tabs, sources: Mapping[str, tuple[gr.HTML, Sent]]) -> None:
        """Connect the ways into this tab from elsewhere: the button `prefix + "compare-with"` of each player
        in `sources`, which sends the shown run here as lane 1; buttons of the page; the link in the address.
        """
        hidden: dict[str, Any] = {"elem_classes": "save-gif"}
        for prefix, (player, recipe_of) in sources.items():
            button = gr.Button("Compare with …", elem_id=f"{prefix}compare-with", **hidden)
            button.click(
                self._send_handler(recipe_of, tabs),
                player,
                [*self._form(), tabs],
                show_progress="hidden",
                api_visibility="private",
            )
        asked, ask = gr.Textbox("", visible=False), gr.Button("Compare", elem_id="compare-asked", **hidden)
        ask.click(
            self._button_handler(tabs),
            asked,
            [*self._form(), tabs],
            js=call_action("takeComparison"),
            show_progress="hidden",
            api_visibility="private",
        ).success(None, js=call_action("runComparison"), queue=False, api_visibility="private")
        # A component of a tab that was not seen yet loses its own properties at an empty update, so without a
        # link there is none.
        self.arrived = arrived = gr.Textbox("", visible=False)
        page.load(_read_link, None, arrived, queue=False, show_progress="hidden", api_visibility="private")
        came = arrived.change(
            self._link_handler(),
            arrived,
            self._form(),
            js=call_action("showArrivedComparison"),
            show_progress="hidden",
            api_visibility="private",
        )
        came.success(None, js=call_action("runComparison"), queue=False, api_visibility="private")
        came.failure(None, js=call_action("endArrival"), queue=False, api_visibility="private")

    # ---- the form

    def _kind_chosen(
        self, kind: str, base: str, clock: str, format: str, request: gr.Request
    ) -> dict[Any, Any]:
        """Updates that show the form of the other kind, and the visitor's last one with its clock."""
        visitor = request.session_hash or ""
        made = self._kept.get(visitor, kind)
        clock = clock if made is None else made.recipe.clock
        return {**self._form_of(kind, base, clock, format), **self._view_updates(kind, visitor)}

    def _form_of(self, kind: str, base: str, clock: str, format: str) -> dict[Any, Any]:
        """Updates that show what a race or a grid needs; a grid has no seconds, no strip and no reference."""
        clocks, choices = clock_choices(kind), format_choices(kind)
        clock = clock if clock in dict(clocks).values() else "log-snr"
        return {
            self.tries: other_items(suggestions(kind, Recipe.from_json(base) if base else None), **TRIES),
            self.lane_group: gr.update(visible=kind == RACE),
            self.axis_group: gr.update(visible=kind == GRID),
            self.reference_group: gr.update(visible=kind == RACE),
            self.clock: gr.update(choices=clocks, value=clock),
            self.clock_help: clock_help(clock),
            self.format: gr.update(
                choices=choices, value=format if format in dict(choices).values() else "gif"
            ),
        }

    def _view_updates(self, kind: str, visitor: str, stale: str = "", sent: bool = False) -> dict[Any, Any]:
        """Updates that turn the view to the visitor's last race or grid, `stale` if it is not the form's.
        With `sent` the view has no recorded example.
        """
        self._chosen[visitor] = kind
        made = self._kept.get(visitor, kind)
        return {
            self.view: {"turn": kind, "bare": sent, **({"stale": stale} if stale else {})},
            self.status: "" if made is None else summary(made),
            self.link: "" if made is None else linkable(made.recipe),
            self.save: gr.update(interactive=made is not None),
            self.why: WHY_NOT if made is None else "",
        }

    @show_errors
    def _clock_chosen(self, clock: str, kind: str, request: gr.Request) -> dict[Any, Any]:
        """Updates that put the visitor's runs of this kind on another clock. Where they cannot be on it, the
        clock stays.
        """
        visitor = request.session_hash or ""
        self._clocks[visitor, kind] = clock
        made = self._kept.get(visitor, kind)
        if made is None or made.recipe.clock == clock:
            return {self.link: gr.skip()}
        moved = made.on(clock)
        try:
            value = shown_value(moved)
        except StudioError as error:
            inform(in_words(error))
            old = self._clocks[visitor, kind] = made.recipe.clock
            return {self.clock: old, self.clock_help: clock_help(old)}
        self._kept.put(visitor, kind, moved)
        return {self.view: {**value, "moved": True}, self.link: linkable(moved.recipe)}

    def _of_base(self) -> list[Any]:
        """What `_no_base_updates` sets."""
        return [self.base, self.begins, self.own, self.tries, self.rows, self.axes]

    def _no_base_updates(self, kind: str, lanes: str, axes: Mapping[str, str]) -> list[Any]:
        return [
            "",
            base_sentence(""),
            gr.update(visible=False),
            other_items(suggestions(kind, None), **TRIES),
            self._rows(lanes, None),
            self._axes(axes["x"], axes["y"], None),
        ]

    def _form_updates(
        self, asked: Asked, visitor: str, status: str = "", sent: bool = False
    ) -> dict[Any, Any]:
        """Updates that write a race or a grid into the form. An `OptionError` where it cannot be written. The
        recorded example gives way to runs that were `sent` here.
        """
        base = asked.lanes[0] if isinstance(asked, RaceRecipe) else asked.recipe
        kind = RACE if isinstance(asked, RaceRecipe) else GRID
        found = self._form_of(kind, base.to_json(), asked.clock, "gif")
        texts = form_texts(asked)
        if None in texts:
            raise OptionError(
                "lanes",
                f"The runs of this {kind} differ in more than can be written here, so the form is "
                "left as it was.",
            )
        lines = [str(one) for one in texts]
        text = "\n".join(lines)
        fields = (
            {self.lanes: text, self.rows: self._rows(text, base)}
            if kind == RACE
            else {self.axes: self._axes(lines[0], lines[1], base)}
        )
        reference = asked.reference if isinstance(asked, RaceRecipe) else 0
        return {
            **found,
            **fields,
            **self._base_updates(base),
            **self._view_updates(kind, visitor, OLD_FORM, sent),
            self.kind: kind,
            self.reference: reference > 0,
            self.reference_steps: gr.update(value=reference or FIRST_REFERENCE, visible=reference > 0),
            self.price: "",
            **({self.status: status} if status else {}),
        }

    def _base_updates(self, base: Recipe) -> dict[Any, Any]:
        return {
            self.base: base.to_json(),
            self.begins: base_sentence(base_words(base)),
            self.own: gr.update(visible=True),
        }

    def _read_form(self, values: Mapping[Any, Any]) -> Asked:
        base = self._base(values)
        if values[self.kind] == RACE:
            steps = values[self.reference_steps] if values[self.reference] else 0
            return RaceRecipe(
                tuple(lanes_of(base, values[self.lanes])), values[self.clock], reference_steps(_to_int(steps))
            )
        own = not values[self.base] and base.edit is None and base.branch is None
        if own and not values[self.axes].get("every"):
            base = base.first_pictures(1)
        x, y = [_axis(side, values[self.axes][side]) for side in ("x", "y")]
        if x is None:
            raise OptionError("x", "A grid needs a setting to vary. Choose one along x, with its values.")
        return GridRecipe(base, x, y, values[self.clock])

    def _base(self, values: Mapping[Any, Any]) -> Recipe:
        """The base recipe of all runs."""
        text = values[self.base]
        if text:
            return Recipe.from_json(text)
        try:
            return self.settings.recipe(values)
        except StudioError as error:  # no fault of the lanes
            raise OptionError("base", f"The settings in Generate cannot run. {in_words(error)}") from error

    def _reference_updates(self, values: dict[Any, Any]) -> list[Any]:
        """Updates that show the steps and the cost of the reference run, if it is wanted."""
        on = bool(values[self.reference])
        return [gr.update(visible=on), self._reference_cost(values) if on else ""]

    def _reference_cost(self, values: dict[Any, Any]) -> str:
        try:
            base = self._base(values)
            steps = reference_steps(_to_int(values[self.reference_steps]))
            exact = reference_recipe(self.studio, base, steps)
            calls = self.prices.calls(exact)
            seconds = self.prices.estimate(exact, calls * exact.pictures)
        except StudioError:
            return ""  # Run says what is wrong
        count = f"{exact.pictures} picture{'s' * (exact.pictures > 1)}"
        cost = f"{calls:,} network calls for {count}, about {duration(seconds)} here"
        return f"<p>Runs after the lanes: {cost}.</p>"

    # ---- what is sent here

    def _send_handler(self, recipe_of: Sent, tabs: gr.Tabs) -> Callable[..., dict[Any, Any]]:
        @show_errors
        def send(value: object, request: gr.Request) -> dict[Any, Any]:
            base = recipe_of(value, request)
            asked = RaceRecipe(tuple(lanes_of(base, f"{AS_IT_IS}\n{second_lane(base)}")))
            status = sent_sentence(base)
            return {
                **self._form_updates(asked, request.session_hash or "", status, sent=True),
                self.tries: other_items(suggestions(RACE, base), **TRIES),
                tabs: gr.Tabs(selected="compare"),
            }

        return send

    def _button_handler(self, tabs: gr.Tabs) -> Callable[..., dict[Any, Any]]:
        """What a button elsewhere asks for, as {"lanes": text} or {"x": text}; from Generate's settings."""

        @show_errors
        def ask(text: str, request: gr.Request) -> dict[Any, Any]:
            given = json.loads(text or "{}")
            kind, lanes = RACE if "lanes" in given else GRID, given.get("lanes", FIRST_LANES)
            axes = {"x": given.get("x", FIRST_AXES[0]), "y": given.get("y", "")}
            return {
                **self._form_of(kind, "", "log-snr", "gif"),
                **self._view_updates(kind, request.session_hash or "", OLD_FORM),
                **dict(zip(self._of_base(), self._no_base_updates(kind, lanes, axes))),
                self.kind: kind,
                self.lanes: lanes,
                tabs: gr.Tabs(selected="compare"),
            }

        return ask

    def _link_handler(self) -> Callable[[str, gr.Request], dict[Any, Any]]:
        @show_errors
        def arrive(text: str, request: gr.Request) -> dict[Any, Any]:
            kind, _, given = text.partition(" ")
            try:
                asked = KINDS[kind].from_json(given)
                self._check_models(asked)
                found = self._form_updates(asked, request.session_hash or "", sent=True)
                return {**found, self.view: {**found[self.view], "coming": names_of(asked)}}
            except StudioError as error:
                raise OptionError(
                    "recipe", f"The {kind} in this link could not be used. {in_words(error)}"
                ) from error

        return arrive

    def _check_models(self, asked: Asked) -> None:
        """Raise an `OptionError` where a model is not here."""
        for one in asked.lanes if isinstance(asked, RaceRecipe) else asked.cells:
            self.studio.card(one.model)

    @show_errors
    def _open_file(self, path: str, request: gr.Request) -> dict[Any, Any]:
        """The race or grid of a file, written into the form where it can be."""
        found, visitor = read_compared(path), request.session_hash or ""
        self._check_models(found)
        try:
            return self._form_updates(found, visitor)
        except OptionError as error:
            inform(str(error))
            kind = RACE if isinstance(found, RaceRecipe) else GRID
            return {
                **self._form_of(kind, "", found.clock, "gif"),
                **self._view_updates(kind, visitor, OLD_FORM),
                self.kind: kind,
            }

    # ---- running

    @show_errors
    def _run(self, values: dict[Any, Any], request: gr.Request) -> Iterator[Shown]:
        """Run what the form says."""
        visitor = request.session_hash or ""
        self._chosen[visitor] = values[self.kind]  # a page may be older than the server
        yield from self._run_and_mark_old(lambda: self._read_form(values), visitor)

    @show_errors
    def _run_file(self, path: str, request: gr.Request) -> Iterator[Shown]:
        """Run the race or grid of a file again."""
        yield from self._run_and_mark_old(lambda: read_compared(path), request.session_hash or "")

    def _stop(self, request: gr.Request) -> None:
        self._newest.end(request.session_hash or "")

    def _run_and_mark_old(self, ask: Callable[[], Asked], visitor: str) -> Iterator[Shown]:
        """The runs that `ask` names. Until they are made, and where they fail, what the view shows is marked
        as of the runs before.
        """
        kind = self._chosen.get(visitor, RACE)
        yield _updates({"stale": OLD_WHILE, "kind": kind, "begins": True}, "Starting ...", stop=True)
        begun = False
        try:
            for one in self._run_all(ask(), visitor):
                begun = begun or "runs" in one[0]
                yield one
        except Exception as error:
            if not begun:
                # what is wrong is said once: at its field, or in a notice
                why = "" if isinstance(error, StudioError) else " The program failed."
                status = self._status(kind, visitor, f"<b>Nothing was made.</b>{why}")
                runs = self._newest.get(visitor) is not None  # of an earlier press
                yield _updates({"stale": OLD_AFTER, "kind": kind}, status, stop=runs)
            raise

    def _run_all(self, asked: Asked, visitor: str) -> Iterator[Shown]:
        """Updates of the status while the runs are computed, then the runs for the view. Stop ends them, and
        so does another press of Run; what has been computed by then is shown.
        """
        given = asked  # is run, and says the same again with what it made
        kind = RACE if isinstance(given, RaceRecipe) else GRID
        asked, recipes, said = self._with_own_settings(given)
        active = self._newest.begin(visitor)
        self._clocks[visitor, kind] = asked.clock
        key = self._followed.begin()
        try:
            calls = self._calls(asked, recipes)
            most = sum(map(self.prices.calls, recipes))
            turn = self.prices.turn_for(
                recipes[0],
                calls,
                "This comparison",
                "Ask for fewer runs, pictures or steps",
                active.ended,
                isinstance(asked, RaceRecipe) and len({kind_of(one) for one in recipes}) == 1,
            )
            run = self.compute.call(
                lambda: (
                    racing(given, self.studio, turn.ask, lambda: turn.waited)
                    if isinstance(given, RaceRecipe)
                    else sweeping(given, self.studio, turn.ask)
                )
            )
            plan = self._status(kind, visitor, " ".join([self._plan(asked, recipes), *said]))
            yield _updates({"stale": OLD_WHILE, "kind": kind, "follow": key, "coming": names_of(asked)}, plan)
            made, began, beat = None, 0.0, time.monotonic()
            for found in self.compute.watched(with_counts(run), TICK_SECONDS, turn):
                if self._newest.get(visitor) is not active:
                    return  # another one shows what it makes
                if isinstance(found, (Race, Grid)):
                    made = found
                    continue
                began = began or (time.monotonic() if isinstance(found, NewestState) else 0.0)
                now = time.monotonic()
                if (told := progress(found, asked, now - began if began else 0.0, most)) is not None:
                    text = self._status(kind, visitor, told.text)
                    newest = found.of_each if isinstance(found, NewestState) else None
                    self._followed.tell(key, told._replace(text=text), newest)
                if now - beat > HEARTBEAT:
                    beat = now
                    yield _updates()
            self._followed.end(key)
            if self._newest.get(visitor) is active:
                yield from self._finished(made, kind, visitor)
        finally:
            self._followed.end(key)
            self._newest.leave(visitor, active)

    def _with_own_settings(self, asked: Asked) -> tuple[Asked, Sequence[Recipe], tuple[str, ...]]:
        """As `compare.other_models` has it: what is asked for, its recipes, and what they fall back to."""
        if isinstance(asked, RaceRecipe):
            race, said = self.compute.call(lambda: with_own_settings(self.studio, asked))
            return race, race.lanes, said
        cells, said = self.compute.call(lambda: fitted_cells(self.studio, asked))
        return asked, cells, said

    def _plan(self, asked: Asked, recipes: Sequence[Recipe]) -> str:
        """What will be computed and how long it takes, before the first state."""
        parts = [self._cost(recipes)]
        if isinstance(asked, GridRecipe):
            parts[0] = f"{len(recipes)} cells: {parts[0]} if each ran alone"
            parts.append("Cells at one noise level share a call")
        else:
            parts[0] = f"{len(recipes)} lanes: {parts[0]}"
        if isinstance(asked, RaceRecipe) and asked.reference_to_run:
            exact = reference_recipe(self.studio, asked.lanes[0], asked.reference_to_run)
            parts.append(f"Then the reference: {self._cost([exact])}")
        return " ".join([". ".join(parts) + ".", *remarks(asked)])

    def _cost(self, recipes: Sequence[Recipe]) -> str:
        """The network calls of runs, and the seconds that they take where that is known."""
        calls = sum(map(self.prices.calls, recipes))
        seconds = [self.prices.seconds(one, self.prices.calls(one) * one.pictures) for one in recipes]
        text = f"{calls:,} network calls"
        known = [one for one in seconds if one is not None]
        return f"{text}, about {duration(sum(known))}" if len(known) == len(seconds) else text

    def _status(self, kind: str, visitor: str, text: str) -> str:
        """A status, which names its kind while the page shows the other one."""
        return text if self._chosen.get(visitor, kind) == kind else f"The {kind}: {text}"

    def _finished(self, made: Race | Grid | None, kind: str, visitor: str) -> Iterator[Shown]:
        if made is None:
            text = "Stopped before anything was made."
            yield _updates({"stale": OLD_AFTER, "kind": kind}, self._status(kind, visitor, text), stop=False)
            return
        made, value = self._on_chosen_clock(made, kind, visitor)
        self._kept.put(visitor, kind, made)
        if self._chosen.get(visitor, kind) == kind:
            yield (
                value,
                summary(made),
                linkable(made.recipe),
                gr.update(interactive=True),
                "",
                gr.update(interactive=False),
            )
        else:
            text = f"The {kind} is finished: choose <b>{kind.capitalize()}</b> above to see it."
            yield _updates(value, text, stop=False)
        if isinstance(made.ended, StudioError):
            raise sentence(made.ended)
        if made.ended is not None and not isinstance(made.ended, RunEnded):
            raise made.ended

    def _on_chosen_clock(
        self, made: Race | Grid, kind: str, visitor: str
    ) -> tuple[Race | Grid, dict[str, Any]]:
        """The runs, and what the view is sent, on the clock that was chosen while they were made."""
        try:
            moved = made.on(self._clocks.get((visitor, kind), made.recipe.clock))
            return moved, shown_value(moved)
        except StudioError as error:  # they cannot be on it
            inform(in_words(error))
            return made, shown_value(made)

    def _calls(self, asked: Asked, recipes: Sequence[Recipe]) -> float:
        """About how many network calls about one picture all runs make together."""
        every = [*recipes]
        if isinstance(asked, RaceRecipe) and asked.reference_to_run:
            every.append(reference_recipe(self.studio, recipes[0], asked.reference_to_run))
        return sum(self.prices.calls(one) * one.pictures for one in every)

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        self._kept.forget(visitor)
        self._chosen.pop(visitor, None)
        for kind in KINDS:
            self._clocks.pop((visitor, kind), None)
        self._newest.forget(visitor)

    @show_errors
    def _save(self, format: str, kind: str, request: gr.Request) -> dict[str, Any]:
        made = self._kept.get(request.session_hash or "", kind)
        if made is None:
            raise OptionError("format", "There is nothing to save any more, or not yet. Press Run first.")
        name = safe_name(kind, made.lanes[0].recipe.model, suffix=FORMATS[format].suffix)
        path = served_file(name, lambda path: made.save(path, format))
        return card_of(path, f"it opens here again as this {kind}")


def _updates(view: Any = None, status: str | None = None, stop: bool | None = None) -> Shown:
    """Updates of the view, the status and whether Stop can be pressed, as far as given."""
    return (
        gr.skip() if view is None else view,
        gr.skip() if status is None else status,
        *[gr.skip()] * 3,
        gr.skip() if stop is None else gr.update(interactive=stop),
    )


def _axis(side: str, text: str) -> Axis | None:
    """The axis of a side of the form, None where nothing is chosen. What is wrong with it is said there."""
    try:
        return axis_of(text) if text.strip() else None
    except OptionError as error:
        if error.field != "axis":
            raise
        raise OptionError(side, str(error)) from error


def _to_int(number: Any) -> Any:
    """A number field's value as a whole number where it is one."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _read_link(request: gr.Request) -> Any:
    """The kind and the JSON of the race or grid in the page's address."""
    kind = next((one for one in KINDS if request.query_params.get(one)), None)
    return gr.skip() if kind is None else f"{kind} {request.query_params[kind]}"
