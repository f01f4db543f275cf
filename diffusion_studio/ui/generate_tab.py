"""The Generate tab: settings, the player, exports, sharing."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import gradio as gr

from ..errors import ExportError, OptionError, StudioError
from ..export import FORMATS
from ..imaging.arrays import to_pil
from ..imaging.frame import Frame
from ..runs.edits import EDITS, FILMS, pictures_of
from ..runs.recipe import Recipe
from ..runs.recipe_diff import flat_settings
from ..studio import Studio
from .classroom import Rooms, classroom
from .compute import Compute, Progress
from .controls import RecipeControls
from .export_panel import ExportPanel, kept_files
from .handlers import inform, sentence, show_errors, warn
from .history import history
from .inside_panel import InsidePanel
from .player import STOPPED, player, tick
from .price import Prices
from .quick_save import QuickSave
from .store import Run, RunStore
from .time_budget import TimeBudget
from .waiting import Waiting, with_progress
from .zero_gpu import gpu_stream

COMPUTE = "compute"  # all events that run a network share this queue, and see their place in it
MAX_LINK = 7000  # letters of a link's settings: servers on the way take 8,000 in all
NO_LINK = "No link"
REFUSED = ""  # the name of a press whose settings cannot run
ENDED_SECONDS = 30
TICK_SECONDS = 0.05  # the page is told of a new frame at most this often


@dataclass(frozen=True)
class Press:
    """A press of Generate, by the name that the page gave it. `ended` ends its run, `over` says that it has
    ended; `before` is the visitor's press before, of which the page must be told nothing any more.
    """

    name: str
    before: Press | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    _begun: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str) -> bool:
        """Whether its run begins now: under its name, and once. Of a double click both come with the last."""
        return self.name == name and self._begun.acquire(blocking=False)


class GenerateTab:
    """Renders into the surrounding Blocks; `restore_from` connects the page's load to the settings in its
    link.
    """

    def __init__(self, studio: Studio, store: RunStore, compute: Compute, prices: Prices) -> None:
        self.studio = studio
        self.store = store
        self.compute = compute
        self.prices = prices
        self.gpu = gpu_stream(studio)
        self.settings = RecipeControls(studio)
        self.presses: dict[str, Press] = {}  # the newest of each visitor
        self.waiting = Waiting()
        self.press = gr.Textbox(visible=False)
        self.arrived = gr.Textbox("", visible=False)  # whether the page's address brought settings
        classroom(Rooms(store), elem_id="classroom")
        self.settings.render_models()
        with gr.Row(elem_id="stage"):
            with gr.Column(elem_id="quick"):
                self.settings.render_asked()
                with gr.Row(elem_id="go-row"):
                    self.go = gr.Button(
                        "Generate", variant="primary", size="lg", elem_id="generate", min_width=80
                    )
                    self.stop = gr.Button("Stop", size="lg", elem_id="stop", min_width=80)
                self.settings.render_numbers()
                budget = gr.Column(min_width=0)
                gr.Button("All settings", elem_id="all-settings", min_width=80)  # page.js opens the drawer
                self.history = history(elem_id="history")
            with gr.Column(elem_id="view"):
                self.settings.render_tries()
                self.player = player(self._frames, waiting=self.waiting.at, elem_id="player")
                below = gr.Column(min_width=0)
                self.inside = InsidePanel(studio, store, compute, prices, self.player)
            with gr.Column(elem_id="settings"):
                self.settings.render_rest(below)
                self.export = ExportPanel(store, self.player)
                self._render_share()
        with budget:
            TimeBudget(studio, compute, self.settings)
        self.saving = QuickSave(store, self.player)
        self._connect()

    def _render_share(self) -> None:
        with gr.Accordion("Share or restore a run", open=False, elem_id="share"):
            self.link = gr.Textbox(
                label="Link to these settings",
                buttons=["copy"],
                interactive=False,
                max_lines=2,
                elem_id="link",
            )
            self.command = gr.Textbox(
                label="Command line", buttons=["copy"], interactive=False, lines=2, elem_id="command"
            )
            self.files = gr.File(
                label="Files that the command line reads",
                file_count="multiple",
                interactive=False,
                visible=False,
                elem_id="command-files",
            )
            self.dropped = gr.File(
                label="Restore an exported file",
                height=150,
                file_types=[*dict.fromkeys(one.suffix for one in FORMATS.values()), ".json"],
                elem_id="restore",
            )

    def _connect(self) -> None:
        inputs = self.settings.inputs()
        private: dict[str, Any] = {"api_visibility": "private"}
        # a press ends the visitor's run before it begins its own, and so never waits for one that nobody
        # wants any more
        again: dict[str, Any] = {"trigger_mode": "multiple", **private}
        pressed = self.go.click(None, None, [self.press, self.export.file], js=_PRESS, queue=False, **again)
        begun = pressed.then(
            self._press, inputs | {self.press}, self.press, queue=False, show_progress="hidden", **again
        )
        started = begun.then(
            self._generate,
            inputs | {self.press},
            [self.player, self.link, self.command, self.files],
            concurrency_id=COMPUTE,
            concurrency_limit=None,
            show_progress="hidden",
            **again,
        )
        self.link.change(None, self.link, self.link, js=_AS_LINK, queue=False, **private)
        ended = [self.player, self.press]
        started.failure(None, ended, self.player, js=_ENDED, queue=False, **private)
        self.stop.click(None, ended, self.player, js=_ENDED, cancels=[started], queue=False, **private)
        self.dropped.upload(self._restore, self.dropped, self.settings.outputs(), **private)
        editing, outputs = self.settings.editing, self.settings.outputs()
        self.history.input(
            self._return,
            self.history,
            [*outputs, self.player, self.link, self.command, self.files],
            cancels=[started],
            show_progress="hidden",
            **private,
        ).then(None, [self.player, self.history], None, js=_RETURNED, queue=False, **private)
        # queued, as sentences reach the page through the queue alone
        editing.here.click(self._branch, self.player, outputs, js=_WHERE, show_progress="hidden", **private)
        editing.back.click(
            lambda text: self.settings.show(editing.whole(text)),
            editing.branch,
            outputs,
            queue=False,
            show_progress="hidden",
            **private,
        )
        editing.use.click(
            self._use,
            [self.player, editing.kind],
            [editing.pictures["picture"], editing.kind, editing.section],
            js=_WHERE_AND,
            show_progress="hidden",
            **private,
        ).then(
            editing.kind_chosen,
            [editing.kind, self.settings.model, self.settings.prompt, self.settings.label],
            editing.kind_outputs(),
            queue=False,
            show_progress="hidden",
            **private,
        ).then(None, js=_TO_EDIT, **private)

    def arrive(self, page: gr.Blocks) -> None:
        """Connect the page's load: the settings in its address, which run at once where a link was opened."""
        page.load(
            self._restore_from_link,
            None,
            [*self.settings.outputs(), self.arrived],
            show_progress="hidden",
            api_visibility="private",
        ).then(  # queued, as warnings reach the page through the queue alone
            None, self.arrived, None, js=_OPENED, queue=False, api_visibility="private"
        )

    def _restore_from_link(self, request: gr.Request) -> dict[Any, Any]:
        text = request.query_params.get("recipe")
        if not text:  # whoever is quick has chosen something by now
            return {self.settings.model: gr.skip()}
        try:
            return {**self._checked(Recipe.from_json(text)), self.arrived: "yes"}
        except StudioError as error:
            warn(f"The settings in this link could not be used. {error}")
            return {self.settings.model: gr.skip()}

    def _frames(self, run: object) -> list[Any] | None:
        found = self.store.get(run)
        return found.frames if found else None

    def _press(self, values: dict[Any, Any], request: gr.Request) -> Any:
        """End the visitor's run before. Settings that cannot run leave it running: the press then loses its
        name, and `_generate` says why.
        """
        try:
            self._known(self.settings.recipe(values, lambda text: None))
        except Exception:  # comes again in `_generate`, whose errors the visitor sees
            return REFUSED
        visitor, name = request.session_hash or "", values[self.press]
        if (before := self.presses.get(visitor)) is not None:
            before.ended.set()
            self.waiting.leave(before.name)
            if before.over.is_set():
                before = None
            elif before.begin(before.name):  # and so it never will
                before = before.before
        self.presses[visitor] = Press(name, before)
        self.waiting.join(name)
        return gr.skip()

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        self.inside.forget(visitor)
        if (press := self.presses.pop(visitor, None)) is not None:
            press.ended.set()
            self.waiting.leave(press.name)

    def _generate(self, values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Ticks of the run, with what shares its settings beside the first."""
        if values[self.press] == REFUSED:
            self._refuse(values)
        visitor = request.session_hash or ""
        press = self.presses.get(visitor)
        if press is None or not press.begin(values[self.press]):  # there was another press meanwhile
            return
        try:
            if press.before is not None:  # ends at its next network call
                press.before.over.wait(ENDED_SECONDS)
            recipe = self.settings.recipe(values)
            if not self.studio.loaded(recipe.model):
                self.waiting.load(press.name, recipe.model)
            turn = self.prices.turn(recipe, press.ended)
            frames = self.compute.call(lambda: self.studio.stream(recipe, turn.ask))  # checks the recipe
            self.waiting.tell(press.name, turn.progress())
            run = self.store.open(visitor, recipe)
            settings, film, shared = (
                flat_settings(recipe),
                isinstance(recipe.edit, FILMS),
                self._shared(recipe),
            )
            shown: dict[str, Any] | None = None
            recorded = self._recorded(run, frames if self.gpu is None else self.gpu(recipe))
            watched = self.compute.watched(recorded, TICK_SECONDS, turn) if self.gpu is None else recorded
            for found in watched:
                progress = found if isinstance(found, Progress) else turn.progress()
                if not isinstance(found, Progress):
                    place, frame = found
                    shown = tick(run, place, self.store.last_place(frame), frame, settings, film)
                self.waiting.tell(press.name, progress)
                yield gr.skip() if shown is None else with_progress(shown, progress), *shared
                shared = [gr.skip()] * len(shared)
        except StudioError as error:
            raise sentence(error) from error
        finally:
            press.over.set()
            self.waiting.leave(press.name)
            if visitor not in self.presses:  # the page closed while the run began
                self.store.forget(visitor)

    @show_errors
    def _refuse(self, values: dict[Any, Any]) -> None:
        self._known(self.settings.recipe(values))

    def _recorded(self, run: str, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        """Each frame, with the place of the newest one that is kept."""
        kept = 0
        for frame in frames:
            place = self.store.append(run, frame)
            kept = kept if place is None else place
            yield kept, frame

    @show_errors
    def _branch(self, value: object) -> dict[Any, Any]:
        """Settings of the run that the player shows, to go on from the state that it shows."""
        run, place = self._at(value)
        frame = run.frames[min(place, len(run.frames) - 1)]
        if frame.index == frame.total:
            raise OptionError(
                "branch.at",
                "This is the finished picture. Move the slider to the step from which the run should go on "
                "otherwise.",
            )
        return self.settings.show(run.recipe.continued(frame.index))

    @show_errors
    def _use(self, value: object, kind: str) -> tuple[Any, Any, Any]:
        """The picture that the player shows enlarged, or else the first, as the one to edit."""
        run, _ = self._at(value)
        if run.frames[-1].of_points:
            raise OptionError(
                "edit", "This run made points, and only pictures can be edited. A branch can go on from it."
            )
        images, number = run.trajectory.images, value.get("zoom") if isinstance(value, dict) else None
        number = number if type(number) is int and 0 <= number < len(images) else 0
        wanted = kind if kind in EDITS and pictures_of(EDITS[kind]) else "picture"
        return to_pil(images[number]), wanted, gr.update(open=True)

    @show_errors
    def _return(self, value: object) -> dict[Any, Any]:
        """The settings of a run of the history, and the run itself where it is still kept."""
        given = value if isinstance(value, dict) else {}
        run, text = self.store.get(given.get("run")), given.get("recipe")
        if run is not None and run.frames:
            last, place = run.frames[-1], len(run.frames) - 1
            settings, film = flat_settings(run.recipe), isinstance(run.recipe.edit, FILMS)
            shown = tick(given["run"], place, place, last, settings, film)
            shown["stopped"] = not shown["done"]
            return {**self._came_back(run.recipe), self.player: shown}
        if not isinstance(text, str):
            raise OptionError(
                "recipe",
                "The settings of this run hold pictures, which the browser does not keep, and the run is no "
                "longer on the server. Set it up again, or restore it from an exported file.",
            )
        found = self._came_back(Recipe.from_json(text))
        inform("These are the settings of that run. Its pictures are no longer kept: press Generate.")
        return {**found, self.player: gr.skip()}

    def _came_back(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates of the settings, and of the link and the command line that say them."""
        shared = zip((self.link, self.command, self.files), self._shared(recipe))
        return {**self._checked(recipe), **dict(shared)}

    def _at(self, value: object) -> tuple[Run, int]:
        """The run that the player shows, and the place of the shown state."""
        found = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if found is None or not found.frames:
            raise OptionError(
                "branch",
                "There is no run to go on from yet. Press Generate first."
                if not value
                else "This run is no longer kept on the server. Press Generate to make it again.",
            )
        place = value.get("shown")
        return found, place if type(place) is int and place >= 0 else 0

    def recipe_shown(self, value: object, request: gr.Request) -> Recipe:
        """The recipe of the run that the player shows."""
        return self._at(value)[0].recipe

    def _shared(self, recipe: Recipe) -> list[Any]:
        """The link's text, the command line, and the files that it names."""
        try:
            files = kept_files(recipe)
        except ExportError as error:  # no reason not to run
            files = []
            warn(str(error))
        return [
            linkable(recipe),
            recipe.to_command(self.studio.recipe(recipe.model)),
            gr.update(value=files or None, visible=bool(files)),
        ]

    @show_errors
    def _restore(self, path: str) -> dict[Any, Any]:
        found = self._checked(Recipe.from_file(path))
        inform("The settings of this file are restored. Press Generate to run them again.")
        return found

    def _checked(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates for a recipe from outside, once its model is known to be here and to know its label."""
        self._known(recipe)
        return self.settings.show(recipe)

    def _known(self, recipe: Recipe) -> None:
        """Raise an `OptionError` where the model is not here, or does not know what it is asked for."""
        spec = self.studio.card(recipe.model).spec
        for label in dict.fromkeys(recipe.each_label):
            if label is not None:
                spec.label_index(label)
        for text in dict.fromkeys((*recipe.each_prompt, recipe.negative)):
            if text is not None:
                spec.prompt_text(text)


def linkable(recipe: Recipe) -> str:
    """The recipe's JSON where a link can carry it, else a sentence that says why not."""
    text = recipe.to_json()
    if len(quote(text)) <= MAX_LINK:
        return text
    return (
        f"{NO_LINK}: the pictures in these settings are too large for one. Export the run: the file carries "
        "them, and is restored below."
    )


_WHERE = """v => { const d = document.querySelector('.player').dataset;
  return v && v.run ? {run: v.run, shown: Number(d.shown), zoom: d.zoom ? Number(d.zoom) : null} : v; }"""
_WHERE_AND = f"(v, kind) => [({_WHERE})(v), kind]"
# On a phone the picture lies below what was pressed. The file of the run before is no longer this one's.
# The player shows what the press waits for, and page.js notes with what it was made.
_PRESS = """() => {
  if (innerWidth <= 860) document.querySelector('#view').scrollIntoView({behavior: 'smooth'});
  const name = `${Date.now()} ${Math.random()}`;
  const pressed = new CustomEvent('pressed', {detail: {name}, bubbles: true});
  document.querySelector('#player .player').dispatchEvent(pressed);
  return [name, null]; }"""
_ENDED = f"""(v, press) => {{
  const refused = press === '{REFUSED}' && !!v;
  const event = new CustomEvent('unpressed', {{detail: {{refused}}, bubbles: true}});
  document.querySelector('#player .player').dispatchEvent(event);
  return refused ? v : ({STOPPED})(v); }}"""
# What the player shows is of the settings now, unless it could not show that run.
_RETURNED = """(v, wanted) => {
  document.querySelector('#player .player').dispatchEvent(new CustomEvent('unpressed', {bubbles: true}));
  if (v?.run && v.run === wanted?.run) document.dispatchEvent(new CustomEvent('returned')); }"""
# A link that is opened plays; a reload only comes back to its settings.
_OPENED = """arrived => { const how = performance.getEntriesByType('navigation')[0]?.type;
  if (arrived && how === 'navigate') setTimeout(() => document.querySelector('#generate')?.click(), 200); }"""
_TO_EDIT = """() => { document.dispatchEvent(new CustomEvent('open-settings'));
  const show = () => document.querySelector('#edit').scrollIntoView({behavior: 'smooth', block: 'start'});
  setTimeout(show, 60); }"""
# In the page's address too, so that a reload comes back to the settings of the run.
_AS_LINK = f"""text => {{ if (!text || text.startsWith('http')) return text;
  const recipe = text.startsWith('{NO_LINK}') ? null : text;
  document.dispatchEvent(new CustomEvent('run-recipe', {{detail: recipe}}));
  // the address may say other things, such as the theme
  const none = text.startsWith('{NO_LINK}'), at = new URL(location.href);
  for (const name of ['race', 'grid']) at.searchParams.delete(name);
  if (none) at.searchParams.delete('recipe'); else at.searchParams.set('recipe', text);
  history.replaceState(null, '', at);
  return none ? text : `${{at.origin}}${{at.pathname}}?recipe=${{encodeURIComponent(text)}}`; }}"""
