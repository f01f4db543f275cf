"""The Compare tab: several runs of one recipe, each with something changed, on one clock.

The recipe is that of the settings in Generate, or one that was sent here: the run that the player shows, a
file, or a link.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from ..compare.clocks import CLOCKS
from ..compare.files import formats
from ..compare.grid import Grid, sweeping
from ..compare.race import Race, racing, reference_recipe
from ..compare.recipes import (
    MOST_REFERENCE_STEPS,
    REFERENCE_STEPS,
    Axis,
    GridRecipe,
    RaceRecipe,
    read,
    reference_steps,
)
from ..compare.text import AS_IT_IS, axis_of, axis_text, lanes_of, line_of
from ..diffusion.denoiser import RunEnded
from ..errors import OptionError, StudioError
from ..export import FORMATS
from ..files import safe_name
from ..options import name_of
from ..runs.recipe import REGISTRIES, Recipe
from ..studio import Studio
from .compare_view import compare_view, shown_value
from .compute import Compute, Progress, duration
from .controls import RecipeControls, sampler_choices
from .generate_tab import COMPUTE, MAX_LINK, NO_LINK, TICK_SECONDS
from .handlers import LABELLED, in_words, inform, sentence, show_errors
from .picker import picker
from .picker.picker import Item
from .price import Prices
from .saved import saved
from .scratch import served_file

RACE, GRID = "race", "grid"
KINDS = {RACE: RaceRecipe, GRID: GridRecipe}
Asked = RaceRecipe | GridRecipe
Shown = tuple[Any, ...]  # the view, the status, the link, the save button, its reason
KEPT = 4  # races and grids of all visitors together, for their files
FIRST_LANES = "sampler=ddim\nsampler=dpmpp_2m, steps=10\nsampler=ddpm"
FIRST_AXES = "guidance=1, 2, 4, 8", "sampler=ddim, dpmpp_2m"
INTRO = (
    "Start several runs from the same noise and watch where they part. **Race**: two to six runs, each with "
    "something changed. **Grid**: every value of one or two settings."
)
WHY_NOT = "A file can be made once something has run here."
LABELLED |= {"lanes": "Lanes", "axis": "The axis", "clock": "Clock", "reference": "Steps of the reference"}


class CompareTab:
    """Renders into the surrounding Blocks. `settings` are those of Generate, with which all runs begin where
    no other recipe was sent here.
    """

    def __init__(self, studio: Studio, compute: Compute, prices: Prices, settings: RecipeControls) -> None:
        self.studio, self.compute, self.prices, self.settings = studio, compute, prices, settings
        self._kept: OrderedDict[str, Race | Grid] = OrderedDict()  # the last of each visitor
        self._running: dict[str, threading.Event] = {}  # the run of each visitor; to end it
        self._lock = threading.Lock()
        self.base = gr.Textbox("", visible=False)  # the recipe that was sent here as JSON, or nothing
        gr.Markdown(INTRO, elem_id="compare-intro")
        with gr.Row(elem_id="compare-stage"):
            with gr.Column(elem_id="compare-quick"):
                self.kind = gr.Radio(
                    [("Race", RACE), ("Grid", GRID)], value=RACE, label="What", elem_id="compare-kind"
                )
                self.begins = gr.Markdown(begins(""), elem_id="compare-begins")
                self.own = gr.Button(
                    "Use the settings in Generate", size="sm", visible=False, elem_id="compare-own"
                )
                self.tries = picker(
                    suggestions(RACE, None), label="Try", look="chips", elem_id="compare-tries"
                )
                self._render_lanes()
                self._render_axes()
                self.clock = gr.Radio(
                    clock_choices(RACE), value="log-snr", label="Clock", elem_id="compare-clock"
                )
                self._render_reference()
                with gr.Row():
                    self.go = gr.Button("Run", variant="primary", elem_id="compare-run", min_width=80)
                    self.stop = gr.Button("Stop", elem_id="compare-stop", min_width=80)
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
                        label="Open an exported race or grid, and run it again",
                        height=120,
                        file_types=[*dict.fromkeys(one.suffix for one in FORMATS.values()), ".json"],
                        elem_id="compare-restore",
                    )
            with gr.Column(elem_id="compare-view"):
                self.status = gr.HTML("", elem_id="compare-status", min_height=24)
                self.view = compare_view(elem_id="compare-together")
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
            self.lanes = gr.Textbox(
                FIRST_LANES,
                label="Lanes",
                lines=3,
                max_lines=6,
                info="Two to six, one a line: what differs, as setting=value. The others are measured "
                "against the first.",
                elem_id="compare-lanes",
            )
            with gr.Accordion("Add a lane", open=False, elem_id="compare-add") as self.adding:
                self.changes = {
                    "sampler": gr.Dropdown([("the same", ""), *sampler_choices()], value="", label="Sampler"),
                    "steps": gr.Textbox("", label="Steps"),
                    "guidance": gr.Textbox("", label="Guidance"),
                    "eta": gr.Textbox("", label="eta"),
                    "spacing": gr.Dropdown(
                        [("the same", ""), *((name, name) for name in REGISTRIES["spacing"])],
                        value="",
                        label="Spacing",
                    ),
                    "model": gr.Dropdown(
                        [("the same", ""), *((card.name, card.name) for card in self.studio.models())],
                        value="",
                        label="Model",
                    ),
                }
                self.add = gr.Button("Add lane", elem_id="compare-add-lane")

    def _render_axes(self) -> None:
        with gr.Group(visible=False) as self.axis_group:
            self.x = gr.Textbox(
                FIRST_AXES[0],
                label="Along x",
                info="A setting and its values. One with a comma stands in quotes.",
                elem_id="compare-x",
            )
            self.y = gr.Textbox(FIRST_AXES[1], label="Along y, or nothing", elem_id="compare-y")

    def _render_reference(self) -> None:
        with gr.Group() as self.reference_group:
            self.reference = gr.Checkbox(
                False,
                label="Distance to a reference run",
                info="Says how far each lane ends from lane 1's recipe by DDIM in many steps.",
                elem_id="compare-reference",
            )
            self.reference_steps = gr.Number(
                REFERENCE_STEPS,
                precision=0,
                minimum=1,
                maximum=MOST_REFERENCE_STEPS,
                label=LABELLED["reference"],
                visible=False,
                elem_id="compare-reference-steps",
            )
            self.price = gr.HTML("", elem_id="compare-price", min_height=0)

    def _form(self) -> list[Any]:
        """What is set where something else is asked for."""
        return [
            self.base,
            self.begins,
            self.own,
            self.kind,
            self.tries,
            self.lane_group,
            self.lanes,
            self.adding,
            self.axis_group,
            self.x,
            self.y,
            self.clock,
            self.reference_group,
            self.reference,
            self.reference_steps,
            self.price,
            self.format,
            self.view,
            self.status,
            self.save,
            self.why,
        ]

    def _inputs(self) -> set[Any]:
        return {
            *self.settings.inputs(),
            *(self.base, self.kind, self.lanes, self.x, self.y, self.clock),
            *(self.reference, self.reference_steps),
        }

    def _connect(self) -> None:
        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.kind.input(
            self._kind_chosen, [self.kind, self.base, self.clock, self.format], self._form(), **quick
        )
        self.own.click(self._own, self.kind, [self.base, self.begins, self.own, self.tries], **quick)
        self.tries.input(
            None, [self.tries, self.lanes, self.x, self.y], [self.lanes, self.x, self.y], js=_TRIED, **quick
        ).then(None, js=_RUN, queue=False, api_visibility="private")
        self.add.click(
            _added,
            [self.lanes, *self.changes.values()],
            [self.lanes, *self.changes.values()],
            show_progress="hidden",
            api_visibility="private",
        )
        gr.on(
            [self.reference.input, self.reference_steps.input],
            self._priced,
            self._inputs(),
            [self.reference_steps, self.price],
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        run: dict[str, Any] = {
            "outputs": [self.view, self.status, self.link, self.save, self.why],
            "concurrency_id": COMPUTE,
            "concurrency_limit": None,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        self.go.click(None, None, None, js=_IN_SIGHT, queue=False, api_visibility="private")
        self.go.click(self._run, self._inputs(), js=None, **run)
        self.dropped.upload(
            self._opened, self.dropped, self._form(), show_progress="hidden", api_visibility="private"
        ).success(self._run_file, self.dropped, **run)
        self.stop.click(self._stop, None, None, **quick)
        self.link.change(None, self.link, self.link, js=_AS_LINK, queue=False, api_visibility="private")
        self.save.click(
            self._save,
            self.format,
            self.card,
            concurrency_id="export",
            concurrency_limit=2,
            show_progress_on=self.save,
            api_visibility="private",
        )

    def connect(self, page: gr.Blocks, tabs: gr.Tabs, sources: Mapping[str, tuple[gr.HTML, Sent]]) -> None:
        """Connect what other places ask of this tab: the players of `sources`, whose button `prefix +
        "compare-with"` sends the shown run here as the first lane; what the page itself asks for; the link in
        the page's address.
        """
        hidden: dict[str, Any] = {"elem_classes": "save-gif"}
        for prefix, (player, recipe_of) in sources.items():
            button = gr.Button("Compare with …", elem_id=f"{prefix}compare-with", **hidden)
            button.click(
                self._sender(recipe_of, tabs),
                player,
                [*self._form(), tabs],
                show_progress="hidden",
                api_visibility="private",
            )
        asked, ask = gr.Textbox("", visible=False), gr.Button("Compare", elem_id="compare-asked", **hidden)
        ask.click(
            self._asked_by_page(tabs),
            asked,
            [*self._form(), tabs],
            js=_PAGE_ASKS,
            show_progress="hidden",
            api_visibility="private",
        ).success(None, js=_RUN, queue=False, api_visibility="private")
        # A component of a tab that was not seen yet loses its own properties at an empty update, so without a
        # link there is none.
        arrived = gr.Textbox("", visible=False)
        page.load(_linked, None, arrived, queue=False, show_progress="hidden", api_visibility="private")
        arrived.change(
            self._arriver(tabs),
            arrived,
            [*self._form(), tabs],
            show_progress="hidden",
            api_visibility="private",
        ).success(None, js=_ARRIVED, queue=False, api_visibility="private")

    # ---- the form

    def _kind_chosen(self, kind: str, base: str, clock: str, format: str) -> dict[Any, Any]:
        """Updates that show what a race or a grid needs; a grid has no seconds, no strip and no reference."""
        clocks, choices = clock_choices(kind), format_choices(kind)
        return {
            self.tries: gr.update(items=suggestions(kind, Recipe.from_json(base) if base else None)),
            self.lane_group: gr.update(visible=kind == RACE),
            self.axis_group: gr.update(visible=kind == GRID),
            self.reference_group: gr.update(visible=kind == RACE),
            self.clock: gr.update(
                choices=clocks, value=clock if clock in dict(clocks).values() else "log-snr"
            ),
            self.format: gr.update(
                choices=choices, value=format if format in dict(choices).values() else "gif"
            ),
            **self._emptied(),
        }

    def _emptied(self, said: str = "") -> dict[Any, Any]:
        """Updates that put away what was shown."""
        return {
            self.view: {},
            self.status: said,
            self.save: gr.update(interactive=False),
            self.why: WHY_NOT,
        }

    def _own(self, kind: str) -> list[Any]:
        return ["", begins(""), gr.update(visible=False), gr.update(items=suggestions(kind, None))]

    def _filled(self, asked: Asked, said: str = "") -> dict[Any, Any]:
        """Updates that write a race or a grid into the form. An `OptionError` where it cannot be written."""
        base = asked.lanes[0] if isinstance(asked, RaceRecipe) else asked.recipe
        kind = RACE if isinstance(asked, RaceRecipe) else GRID
        found = self._kind_chosen(kind, base.to_json(), asked.clock, "gif")
        written = _written(asked)
        if None in written:
            raise OptionError(
                "lanes",
                f"The runs of this {kind} differ in more than can be written here, so the form is "
                "left as it was.",
            )
        lines = [str(one) for one in written]
        texts = {self.lanes: "\n".join(lines)} if kind == RACE else {self.x: lines[0], self.y: lines[1]}
        reference = asked.reference if isinstance(asked, RaceRecipe) else 0
        return {
            **found,
            **texts,
            **self._begins_with(base),
            self.kind: kind,
            self.reference: reference > 0,
            self.reference_steps: gr.update(value=reference or REFERENCE_STEPS, visible=reference > 0),
            self.price: "",
            self.status: said,
        }

    def _begins_with(self, base: Recipe) -> dict[Any, Any]:
        return {
            self.base: base.to_json(),
            self.begins: begins(in_short(base)),
            self.own: gr.update(visible=True),
        }

    def _asked(self, values: Mapping[Any, Any]) -> Asked:
        base = self._base(values)
        if values[self.kind] == RACE:
            steps = values[self.reference_steps] if values[self.reference] else 0
            return RaceRecipe(
                tuple(lanes_of(base, values[self.lanes])), values[self.clock], reference_steps(_whole(steps))
            )
        if not values[self.base] and base.edit is None and base.branch is None:
            base = base.first_pictures(1)
        axes = [axis_of(text) if text.strip() else None for text in (values[self.x], values[self.y])]
        x, y = axes if axes[0] is not None else axes[::-1]
        if x is None:
            raise OptionError("axis", "A grid needs a setting to vary. Write one along x: guidance=1, 2, 4.")
        return GridRecipe(base, x, y, values[self.clock])

    def _base(self, values: Mapping[Any, Any]) -> Recipe:
        """The recipe that all runs begin with."""
        text = values[self.base]
        return Recipe.from_json(text) if text else self.settings.recipe(values)

    def _priced(self, values: dict[Any, Any]) -> list[Any]:
        """The steps of the reference where it is wanted, and what its run costs."""
        on = bool(values[self.reference])
        return [gr.update(visible=on), self._price(values) if on else ""]

    def _price(self, values: dict[Any, Any]) -> str:
        try:
            base = self._base(values)
            steps = reference_steps(_whole(values[self.reference_steps]))
            exact = reference_recipe(self.studio, base, steps)
            calls = self.prices.calls(exact)
            seconds = self.prices.estimate(exact, calls * exact.pictures)
        except StudioError:
            return ""  # Run says what is wrong
        count = f"{exact.pictures} picture{'s' * (exact.pictures > 1)}"
        return f"<p>It costs {calls:,} network calls for {count}, about {duration(seconds)} here.</p>"

    # ---- what is sent here

    def _sender(self, recipe_of: Sent, tabs: gr.Tabs) -> Callable[..., dict[Any, Any]]:
        @show_errors
        def send(value: object, request: gr.Request) -> dict[Any, Any]:
            base = recipe_of(value, request)
            second = replace_one(base)
            asked = RaceRecipe(tuple(lanes_of(base, f"{AS_IT_IS}\n{second}")))
            said = (
                f"Your run is lane 1. Lane 2 is the same but for <b>{second}</b>. Press <b>Run</b>, or one "
                "of the buttons above the lanes, or write into lane 2 what is to differ."
            )
            return {
                **self._filled(asked, said),
                self.tries: gr.update(items=suggestions(RACE, base)),
                tabs: gr.Tabs(selected="compare"),
            }

        return send

    def _asked_by_page(self, tabs: gr.Tabs) -> Callable[..., dict[Any, Any]]:
        """What a button elsewhere asks for, as {"lanes": text} or {"x": text}; from Generate's settings."""

        @show_errors
        def ask(text: str) -> dict[Any, Any]:
            given = json.loads(text or "{}")
            kind = RACE if "lanes" in given else GRID
            return {
                **self._kind_chosen(kind, "", "log-snr", "gif"),
                **dict(zip((self.base, self.begins, self.own, self.tries), self._own(kind))),
                self.kind: kind,
                self.lanes: given.get("lanes", FIRST_LANES),
                self.x: given.get("x", FIRST_AXES[0]),
                self.y: given.get("y", ""),
                tabs: gr.Tabs(selected="compare"),
            }

        return ask

    def _arriver(self, tabs: gr.Tabs) -> Callable[[str], dict[Any, Any]]:
        @show_errors
        def arrive(text: str) -> dict[Any, Any]:
            kind, _, given = text.partition(" ")
            try:
                asked = KINDS[kind].from_json(given)
                self._known(asked)
                return {**self._filled(asked), tabs: gr.Tabs(selected="compare")}
            except StudioError as error:
                raise OptionError(
                    "recipe", f"The {kind} in this link could not be used. {in_words(error)}"
                ) from error

        return arrive

    def _known(self, asked: Asked) -> None:
        """Raise an `OptionError` where a model is not here."""
        for one in asked.lanes if isinstance(asked, RaceRecipe) else asked.cells:
            self.studio.card(one.model)

    @show_errors
    def _opened(self, path: str) -> dict[Any, Any]:
        """The race or grid of a file, written into the form where it can be."""
        found = _in_file(path)
        self._known(found)
        try:
            return self._filled(found)
        except OptionError as error:
            inform(str(error))
            return {self.status: gr.skip()}

    # ---- running

    @show_errors
    def _run(self, values: dict[Any, Any], request: gr.Request) -> Iterator[Shown]:
        """What the form says, run."""
        yield from self._made(self._asked(values), request.session_hash or "")

    @show_errors
    def _run_file(self, path: str, request: gr.Request) -> Iterator[Shown]:
        """The race or grid in a file, run again."""
        yield from self._made(_in_file(path), request.session_hash or "")

    def _stop(self, request: gr.Request) -> None:
        if (ended := self._running.get(request.session_hash or "")) is not None:
            ended.set()

    def _made(self, asked: Asked, visitor: str) -> Iterator[Shown]:
        """The status while the runs are made, then all of them for the view. Another run of the visitor ends
        this one, and Stop does; what there is by then is shown.
        """
        recipes = asked.lanes if isinstance(asked, RaceRecipe) else asked.cells
        ended = threading.Event()
        with self._lock:
            if (before := self._running.get(visitor)) is not None:
                before.set()
            self._running[visitor] = ended
        try:
            turn = self.prices.turn_for(
                recipes[0],
                self._calls(asked),
                "This comparison",
                "Ask for fewer runs, pictures or steps",
                ended,
            )
            run = self.compute.call(
                lambda: (
                    racing(asked, self.studio, turn.ask)
                    if isinstance(asked, RaceRecipe)
                    else sweeping(asked, self.studio, turn.ask)
                )
            )
            expected = sum(one.steps + 1 for one in recipes)
            made = None
            for found in self.compute.watched(_counted(run), TICK_SECONDS, turn):
                if self._running.get(visitor) is not ended:
                    return  # another one shows what it makes
                if isinstance(found, (Race, Grid)):
                    made = found
                else:
                    yield gr.skip(), _waits(found, expected), *[gr.skip()] * 3
            yield from self._finished(made, visitor)
        finally:
            with self._lock:
                if self._running.get(visitor) is ended:
                    del self._running[visitor]

    def _finished(self, made: Race | Grid | None, visitor: str) -> Iterator[Shown]:
        if made is None:
            yield gr.skip(), "Stopped before anything was made.", *[gr.skip()] * 3
            return
        self._keep(visitor, made)
        said = made.said or f"{len(made.lanes)} runs."
        yield shown_value(made), said, linkable(made.recipe), gr.update(interactive=True), ""
        if isinstance(made.ended, StudioError):
            raise sentence(made.ended)
        if made.ended is not None and not isinstance(made.ended, RunEnded):
            raise made.ended

    def _calls(self, asked: Asked) -> float:
        """About how many network calls about one picture all runs make together."""
        recipes = [*(asked.lanes if isinstance(asked, RaceRecipe) else asked.cells)]
        if isinstance(asked, RaceRecipe) and asked.reference:
            recipes.append(reference_recipe(self.studio, recipes[0], asked.reference))
        return sum(self.prices.calls(one) * one.pictures for one in recipes)

    def _keep(self, visitor: str, made: Race | Grid) -> None:
        with self._lock:
            self._kept.pop(visitor, None)
            self._kept[visitor] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        with self._lock:
            self._kept.pop(visitor, None)
            if (ended := self._running.pop(visitor, None)) is not None:
                ended.set()

    @show_errors
    def _save(self, format: str, request: gr.Request) -> dict[str, Any]:
        with self._lock:
            made = self._kept.get(request.session_hash or "")
        if made is None:
            raise OptionError("format", "There is nothing to save any more, or not yet. Press Run first.")
        kind = RACE if isinstance(made, Race) else GRID
        name = safe_name(kind, made.lanes[0].recipe.model, suffix=FORMATS[format].suffix)
        path = Path(served_file(name, lambda path: made.save(path, format)))
        size = f"{Path(path).stat().st_size / 1e6:.1f}".replace("0.0", "less than 0.1")
        said = f"it opens here again as this {kind}"
        return {"path": str(path), "name": path.name, "size": size, "said": said}


Sent = Callable[[object, gr.Request], Recipe]


def begins(said: str) -> str:
    """What all runs begin with, in a sentence."""
    return f"All runs begin with {f'**{said}**' if said else 'the settings in the tab **Generate**'}."


def in_short(recipe: Recipe) -> str:
    """A recipe in a few words."""
    asked = next((one for one in (recipe.spell, recipe.prompt, recipe.label) if one), None)
    words = [recipe.model, *([f"“{asked[:60]}”"] if asked else [])]
    words += [name_of(REGISTRIES["sampler"], recipe.sampler), f"{recipe.steps} steps"]
    if recipe.guidance != 1:
        words.append(f"guidance {recipe.guidance:g}")
    return ", ".join(word.replace("*", "").replace("<", "") for word in words)


def replace_one(recipe: Recipe) -> str:
    """A lane that is worth a look beside this recipe: another number of steps."""
    return f"steps={recipe.steps // 3}" if recipe.steps >= 3 else f"steps={recipe.steps * 4}"


def suggestions(kind: str, base: Recipe | None) -> list[Item]:
    """Buttons that fill the form and run it. With a base its own run is the first lane."""
    if kind == GRID:
        found = {
            "Guidance and sampler": {"x": FIRST_AXES[0], "y": FIRST_AXES[1]},
            "Steps and sampler": {"x": "steps=2, 4, 8, 16", "y": "sampler=ddim, dpmpp_2m, ddpm"},
            "Guidance and seed": {"x": "guidance=1, 2, 4, 8", "y": "seed=0, 1, 2"},
        }
    elif base is None:
        found = {
            "Three samplers": {"lanes": FIRST_LANES},
            "4, 8 and 25 steps": {"lanes": "steps=25\nsteps=8\nsteps=4"},
            "Guidance 1, 3 and 7": {"lanes": "guidance=3\nguidance=1\nguidance=7"},
        }
    else:
        other = "ddim" if name_of(REGISTRIES["sampler"], base.sampler) == "dpmpp_2m" else "dpmpp_2m"
        changes = {
            "Other steps": replace_one(base),
            "Another sampler": f"sampler={other}",
            "Fresh noise": "sampler=ddpm",
            "No guidance"
            if base.guidance != 1
            else "Guidance 3": f"guidance={1 if base.guidance != 1 else 3}",
        }
        found = {title: {"lanes": f"{AS_IT_IS}\n{line}"} for title, line in changes.items()}
    return [
        {"title": title, "value": asked, "help": "; ".join(asked.values()).replace("\n", " | ")}
        for title, asked in found.items()
    ]


def clock_choices(kind: str) -> list[tuple[str, str]]:
    """The clocks of a race or a grid."""
    return [(one.label, name) for name, one in CLOCKS.items() if kind == RACE or name != "seconds"]


def format_choices(kind: str) -> list[tuple[str, str]]:
    """The formats of a race or a grid."""
    both = set(formats(_OF[kind]))
    words = {"png": "PNG of the end" if kind == RACE else "PNG sheet"}
    return [(words.get(name, one.label), name) for name, one in FORMATS.items() if name in both]


_SMALLEST = Recipe()
_OF: dict[str, Any] = {
    RACE: RaceRecipe((_SMALLEST, _SMALLEST)),
    GRID: GridRecipe(_SMALLEST, Axis("steps", (1,))),
}


def linkable(asked: Asked) -> str:
    """The JSON of a race or grid where a link can carry it, else a sentence that says why not."""
    text = asked.to_json()
    if len(quote(text)) > MAX_LINK:
        return f"{NO_LINK}: the settings are too long for one. Save a file: it carries them, and opens below."
    if None in _written(asked):
        return f"{NO_LINK}: the runs differ in more than one can carry. Save a file, which opens below."
    return text


def _written(asked: Asked) -> list[str | None]:
    """The lines of the lanes, or the texts of the axes; None where one cannot be written."""
    if isinstance(asked, RaceRecipe):
        return [line_of(asked.lanes[0], lane) for lane in asked.lanes]
    return [axis_text(asked.x), axis_text(asked.y)]


def _in_file(path: str) -> Asked:
    found = read(path)
    if isinstance(found, Recipe):
        raise OptionError(
            "recipe", "This file holds one run. Restore it in the tab Generate, under Share or restore."
        )
    return found


def _waits(found: int | Progress, expected: int) -> Any:
    """The status of runs that are being made."""
    if isinstance(found, Progress):
        return f"Waiting: place {found.place}." if found.place else gr.skip()
    return f"{found} states, about {max(found, expected)} in all"


def _counted(run: Generator[Any, None, Race | Grid]) -> Iterator[int | Race | Grid]:
    """The number of states so far, and at the end what was made."""
    count = 0
    while True:
        try:
            next(run)
        except StopIteration as end:
            yield end.value
            return
        count += 1
        yield count


def _whole(number: Any) -> Any:
    """A number field's value as a whole number where it is one."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _added(lanes: str, *values: str) -> list[str]:
    """The lanes with one more of what was chosen, and the choices as they began."""
    names = ("sampler", "steps", "guidance", "eta", "spacing", "model")
    chosen = [
        f"{name}={str(value).strip()}" for name, value in zip(names, values) if str(value or "").strip()
    ]
    line = ", ".join(chosen) or AS_IT_IS
    return ["\n".join([*lanes.rstrip().splitlines(), line]), *[""] * len(names)]


def _linked(request: gr.Request) -> Any:
    """The kind and the JSON of the race or grid in the page's address."""
    kind = next((one for one in KINDS if request.query_params.get(one)), None)
    return gr.skip() if kind is None else f"{kind} {request.query_params[kind]}"


_TRIED = "(one, lanes, x, y) => [one?.lanes ?? lanes, one?.x ?? x, one?.y ?? y]"
# The tab may only now be drawn.
_IN_SIGHT = """() => { const view = document.querySelector('#compare-view');
  const { top, bottom } = view.getBoundingClientRect();
  if (top < 0 || Math.min(bottom, innerHeight) - top < 200) view.scrollIntoView({ block: 'start' }); }"""
_RUN = """async () => {
  for (const end = Date.now() + 10000; Date.now() < end;) {
    await new Promise((go) => setTimeout(go, 120));
    const button = document.querySelector('#compare-run');
    if (button?.checkVisibility()) { button.click(); return; }
  } }"""
_PAGE_ASKS = """() => { const page = document.documentElement.dataset, asked = page.compare ?? '';
  delete page.compare; return asked; }"""
# A link that is opened runs; a reload only comes back to its settings.
_ARRIVED = f"""() => {{ const how = performance.getEntriesByType('navigation')[0]?.type;
  if (how === 'navigate') ({_RUN})(); }}"""
# In the page's address too, in place of a run's settings, so that a reload comes back to it.
_AS_LINK = f"""text => {{ if (!text || text.startsWith('http') || text.startsWith('{NO_LINK}')) return text;
  const at = new URL(location.href), kind = 'race' in JSON.parse(text) ? 'race' : 'grid';
  for (const name of ['recipe', 'race', 'grid']) at.searchParams.delete(name);
  at.searchParams.set(kind, text);
  history.replaceState(null, '', at);
  return `${{at.origin}}${{at.pathname}}?${{kind}}=${{encodeURIComponent(text)}}`; }}"""
