"""The Compare tab: several runs of the settings in Generate, each with something changed, on one clock."""

from __future__ import annotations

import csv
import re
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator
from typing import Any

import gradio as gr
from gradio.blocks import Block

from ..compare import settings as named
from ..compare.clocks import CLOCKS
from ..compare.files import formats
from ..compare.grid import Grid, sweeping
from ..compare.race import Race, racing, reference_recipe
from ..compare.recipes import Axis, GridRecipe, RaceRecipe, read
from ..errors import OptionError
from ..export import FORMATS
from ..files import safe_name
from ..runs.recipe import REGISTRIES, Recipe
from ..studio import Studio
from .compare_view import compare_view, shown_value
from .compute import Compute, Progress
from .controls import RecipeControls, sampler_choices
from .generate_tab import COMPUTE, TICK_SECONDS
from .handlers import LABELLED, show_errors
from .price import Prices
from .scratch import served_file

RACE, GRID = "race", "grid"
_PARTS = re.compile(r'(?:[^,"]|"[^"]*")+')  # of a lane: between commas, but for those in quotes
Shown = tuple[Any, str | dict[str, Any], Any]  # the view, the status or gr.skip(), the file
KEPT = 4  # races and grids of all visitors together, for their files
AS_IT_IS = "as in Generate"
FIRST_LANES = f"{AS_IT_IS}\nsampler=dpmpp_2m, steps=10"
INTRO = (
    "**Race**: runs from the same noise, each with other settings, on one clock. **Grid**: every value of "
    "one or two settings. All else is as it stands in the tab Generate."
)
LABELLED |= {"lanes": "Lanes", "axis": "The axis", "clock": "Clock"}


class CompareTab:
    """Renders into the surrounding Blocks. `settings` are those of Generate, which every run begins with."""

    def __init__(self, studio: Studio, compute: Compute, prices: Prices, settings: RecipeControls) -> None:
        self.studio, self.compute, self.prices, self.settings = studio, compute, prices, settings
        self._kept: OrderedDict[str, Race | Grid] = OrderedDict()  # the last of each visitor
        self._lock = threading.Lock()
        gr.Markdown(INTRO, elem_id="compare-intro")
        with gr.Row(elem_id="compare-stage"):
            with gr.Column(elem_id="compare-quick"):
                self.kind = gr.Radio(
                    [("Race", RACE), ("Grid", GRID)], value=RACE, label="What", elem_id="compare-kind"
                )
                self._render_lanes()
                self._render_axes()
                self.clock = gr.Radio(
                    [(clock.label, name) for name, clock in CLOCKS.items()],
                    value="log-snr",
                    label="Clock",
                    elem_id="compare-clock",
                )
                with gr.Row():
                    self.go = gr.Button("Run", variant="primary", elem_id="compare-run", min_width=80)
                    self.stop = gr.Button("Stop", elem_id="compare-stop", min_width=80)
                with gr.Accordion("Open a race or grid", open=False, elem_id="compare-open"):
                    self.dropped = gr.File(
                        label="An exported file, run again as it was",
                        height=120,
                        file_types=[*dict.fromkeys(one.suffix for one in FORMATS.values()), ".json"],
                        elem_id="compare-restore",
                    )
            with gr.Column(elem_id="compare-view"):
                self.status = gr.HTML("", elem_id="compare-status", min_height=24)
                self.view = compare_view(elem_id="compare-together")
                with gr.Row(elem_id="compare-saving"):
                    self.format = gr.Radio(
                        _format_choices(RACE), value="gif", label="Save as", elem_id="compare-format"
                    )
                    self.save = gr.Button("Make the file", elem_id="compare-save", min_width=120)
                self.file = gr.File(label="The file", height=80, interactive=False, elem_id="compare-file")
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
            with gr.Accordion("Add a lane", open=False, elem_id="compare-add"):
                self.changes = {
                    "sampler": gr.Dropdown(
                        [("as in Generate", ""), *sampler_choices()], value="", label="Sampler"
                    ),
                    "steps": gr.Textbox("", label="Steps"),
                    "guidance": gr.Textbox("", label="Guidance"),
                    "eta": gr.Textbox("", label="eta"),
                    "spacing": gr.Dropdown(
                        [("as in Generate", ""), *((name, name) for name in REGISTRIES["spacing"])],
                        value="",
                        label="Spacing",
                    ),
                    "model": gr.Dropdown(
                        [("as in Generate", ""), *((card.name, card.name) for card in self.studio.models())],
                        value="",
                        label="Model",
                    ),
                }
                self.add = gr.Button("Add lane", elem_id="compare-add-lane")

    def _render_axes(self) -> None:
        with gr.Group(visible=False) as self.axis_group:
            self.x = gr.Textbox(
                "guidance=1, 2, 4, 8",
                label="Along x",
                info="A setting and its values. One with a comma stands in quotes.",
                elem_id="compare-x",
            )
            self.y = gr.Textbox("sampler=ddim, dpmpp_2m", label="Along y, or nothing", elem_id="compare-y")

    def _connect(self) -> None:
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.kind.change(
            self._kind_chosen,
            [self.kind, self.clock, self.format],
            [self.lane_group, self.axis_group, self.clock, self.format, self.view, self.status, self.file],
            **quick,
        )
        self.add.click(
            _added,
            [self.lanes, *self.changes.values()],
            [self.lanes, *self.changes.values()],
            show_progress="hidden",
            api_visibility="private",
        )
        run = {
            "outputs": [self.view, self.status, self.file],
            "concurrency_id": COMPUTE,
            "concurrency_limit": None,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        asked: set[Block] = {*self.settings.inputs(), self.kind, self.lanes, self.x, self.y, self.clock}
        started: list[dict[str, Any]] = [
            self.go.click(self._run, asked, **run),
            self.dropped.upload(self._run_file, self.dropped, **run),
        ]
        self.stop.click(lambda: "Stopped.", None, self.status, cancels=started, **quick)
        # a file of another format is not what the choice says now
        self.format.change(None, None, self.file, js="() => null", **quick)
        self.save.click(
            self._save,
            self.format,
            self.file,
            concurrency_id="export",
            concurrency_limit=2,
            show_progress_on=self.save,
            api_visibility="private",
        )

    def _kind_chosen(self, kind: str, clock: str, format: str) -> list[Any]:
        """Updates that show what a race or a grid needs; a grid has no seconds and no strip."""
        clocks = [(one.label, name) for name, one in CLOCKS.items() if kind == RACE or name != "seconds"]
        choices = _format_choices(kind)
        return [
            gr.update(visible=kind == RACE),
            gr.update(visible=kind == GRID),
            gr.update(choices=clocks, value=clock if clock in dict(clocks).values() else "log-snr"),
            gr.update(choices=choices, value=format if format in dict(choices).values() else "gif"),
            {},  # what was shown is of the other kind
            "",
            None,
        ]

    def _asked(self, values: dict[Any, Any]) -> RaceRecipe | GridRecipe:
        base = self.settings.recipe(values)
        if values[self.kind] == RACE:
            return RaceRecipe(tuple(_lanes(base, values[self.lanes])), values[self.clock])
        if base.edit is None and base.branch is None:
            base = base.first_pictures(1)
        axes = [axis_of(text) if text.strip() else None for text in (values[self.x], values[self.y])]
        x, y = axes if axes[0] is not None else axes[::-1]
        if x is None:
            raise OptionError("axis", "A grid needs a setting to vary. Write one along x: guidance=1, 2, 4.")
        return GridRecipe(base, x, y, values[self.clock])

    @show_errors
    def _run(self, values: dict[Any, Any], request: gr.Request) -> Iterator[Shown]:
        """What the settings say, run."""
        yield from self._made(self._asked(values), request.session_hash or "")

    @show_errors
    def _run_file(self, path: str, request: gr.Request) -> Iterator[Shown]:
        """The race or grid in a file, run again."""
        found = read(path)
        if isinstance(found, Recipe):
            raise OptionError(
                "recipe", "This file holds one run. Restore it in the tab Generate, under Share or restore."
            )
        yield from self._made(found, request.session_hash or "")

    def _made(self, asked: RaceRecipe | GridRecipe, visitor: str) -> Iterator[Shown]:
        """The status while the runs are made, then all of them for the view."""
        recipes = asked.lanes if isinstance(asked, RaceRecipe) else asked.cells
        calls = sum(self.prices.calls(one) * one.pictures for one in recipes)
        if isinstance(asked, RaceRecipe) and asked.reference:
            exact = reference_recipe(self.studio, recipes[0])
            calls += self.prices.calls(exact) * exact.pictures
        turn = self.prices.turn_for(
            recipes[0], calls, "This comparison", "Ask for fewer runs, pictures or steps"
        )
        run = self.compute.call(
            lambda: (
                racing(asked, self.studio, turn.ask)
                if isinstance(asked, RaceRecipe)
                else sweeping(asked, self.studio, turn.ask)
            )
        )
        expected = sum(one.steps + 1 for one in recipes)
        for found in self.compute.watched(_counted(run), TICK_SECONDS, turn):
            if isinstance(found, Progress):
                waits = f"Waiting: place {found.place}." if found.place else gr.skip()
                yield gr.skip(), waits, gr.skip()
            elif isinstance(found, int):
                yield gr.skip(), f"{found} states, about {max(found, expected)} in all", gr.skip()
            else:
                self._keep(visitor, found)
                yield shown_value(found), f"{len(recipes)} runs.", None

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

    @show_errors
    def _save(self, format: str, request: gr.Request) -> str:
        with self._lock:
            made = self._kept.get(request.session_hash or "")
        if made is None:
            raise OptionError("format", "There is nothing to save any more, or not yet. Press Run first.")
        kind = RACE if isinstance(made, Race) else GRID
        name = safe_name(kind, made.lanes[0].recipe.model, suffix=FORMATS[format].suffix)
        return served_file(name, lambda path: made.save(path, format))


def _format_choices(kind: str) -> list[tuple[str, str]]:
    both = set(formats(_OF[kind]))
    words = {"png": "PNG" if kind == RACE else "PNG sheet"}
    return [(words.get(name, one.label), name) for name, one in FORMATS.items() if name in both]


_SMALLEST = Recipe()
_OF: dict[str, Any] = {
    RACE: RaceRecipe((_SMALLEST, _SMALLEST)),
    GRID: GridRecipe(_SMALLEST, Axis("steps", (1,))),
}


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


def _lanes(base: Recipe, text: str) -> Iterator[Recipe]:
    for line in text.splitlines():
        if not line.strip():
            continue
        if line.strip().casefold() == AS_IT_IS.casefold():
            yield base
            continue
        changes = {}
        for part in _PARTS.findall(line):
            name, equals, value = part.partition("=")
            if not equals:
                raise OptionError(
                    "lanes",
                    f"A lane is {AS_IT_IS!r}, or settings with commas between them, such as "
                    f"sampler=ddpm, steps=20; got {line.strip()[:80]!r}.",
                )
            known = named.known(name.strip())
            changes[known] = named.parsed(known, value.strip().strip('"'))
        yield named.changed(base, changes)


def axis_of(text: str) -> Axis:
    """An axis as one types it: guidance=1, 2, 4. A value with a comma stands in quotes."""
    setting, equals, values = text.partition("=")
    if not equals:
        raise OptionError(
            "axis", f"is a setting and its values, such as guidance=1, 2, 4; got {text[:80]!r}."
        )
    known = named.known(setting.strip())
    parts = next(csv.reader([values], skipinitialspace=True), [])
    return Axis(known, tuple(named.parsed(known, part) for part in parts))


def _added(lanes: str, *values: str) -> list[str]:
    """The lanes with one more of what was chosen, and the choices as they began."""
    names = ("sampler", "steps", "guidance", "eta", "spacing", "model")
    chosen = [
        f"{name}={str(value).strip()}" for name, value in zip(names, values) if str(value or "").strip()
    ]
    line = ", ".join(chosen) or AS_IT_IS
    return ["\n".join([*lanes.rstrip().splitlines(), line]), *[""] * len(names)]
