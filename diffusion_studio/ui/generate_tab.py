"""The Generate tab: settings, the player, exports, sharing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import gradio as gr

from ..errors import ExportError, OptionError, StudioError
from ..export import FORMATS
from ..imaging.arrays import to_pil
from ..imaging.picture import Picture
from ..runs.edits import EDITS, FILMS, pictures_of
from ..runs.recipe import Recipe
from ..runs.recipe_diff import flat_settings
from ..runs.resume import resumable
from ..runs.unknown_words import words_not_known
from ..studio import Studio
from .classroom import Rooms, classroom
from .compute import Compute, Progress, ServerFull
from .controls import RecipeControls
from .editing import ON_STAGE
from .export_panel import ExportPanel, kept_files
from .handlers import always_answers, in_words, inform, sentence, sentences, show_errors, warn
from .history import history
from .inside_panel import InsidePanel
from .newest import ActiveRun, NewestRuns
from .page_script import call_action
from .player import player, tick
from .price import Prices
from .quick_save import QuickSave
from .run_view import RunView
from .store import RunStore
from .time_budget import TimeBudget
from .waiting import Waiting, with_progress
from .zero_gpu import gpu_stream

COMPUTE = "compute"  # all events that run a network share this queue, and see their place in it
MAX_LINK = 7000  # letters of a link's settings: servers on the way take 8,000 in all
NO_LINK = "No link"
# The text of a link's field as a link, which the page's address follows, so that a reload comes back to it.
AS_LINK = call_action("asLink")
OF_RUN = "run:"  # before a link's text: a run has begun with these settings (page.mjs reads both)
RESUME = "resume "  # before the name of a press that goes on with a stopped run
REFUSED = ""  # the name of a press whose settings cannot run
ENDED_SECONDS = 30
TICK_SECONDS = 0.05  # the page is told of a new frame at most this often


class GenerateTab:
    """Renders into the surrounding Blocks; `arrive` connects the page's load to the settings in its
    link.
    """

    def __init__(self, studio: Studio, store: RunStore, compute: Compute, prices: Prices) -> None:
        self.studio = studio
        self.store = store
        self.runs = RunView(store, "Press Generate")
        self.compute = compute
        self.prices = prices
        self.gpu = gpu_stream(studio)
        self.settings = RecipeControls(studio)
        self.newest: NewestRuns[str] = NewestRuns()  # by visitor
        self.waiting = Waiting()
        self.press = gr.Textbox(visible=False)
        self.arrived = gr.Textbox("", visible=False)  # whether the page's address brought settings
        self.rooms = Rooms(store)
        classroom(self.rooms, elem_id="classroom")
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
                stage = gr.Column(min_width=0, elem_id="edit-stage")
                self.player = player(self.runs.frames, waiting=self.waiting.at, elem_id="player")
                below = gr.Column(min_width=0)
                self.inside = InsidePanel(studio, store, compute, prices, self.player)
            with gr.Column(elem_id="settings"):
                self.settings.render_rest(below, stage)
                self.export = ExportPanel(store, self.player)
                self._render_share()
        with budget:
            self.budget = TimeBudget(studio, compute, self.settings)
        self.saving = QuickSave(store, self.player)
        self._connect()

    def _render_share(self) -> None:
        with gr.Accordion("Share or restore a run", open=False, elem_id="share") as self.share:
            self.describe = gr.Button("Describe the settings", elem_id="describe")  # page.js presses it
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
        pressed = self.go.click(
            None, None, [self.press, self.export.file], js=call_action("pressGenerate"), queue=False, **again
        )
        begun = pressed.then(
            self._press,
            inputs | self.budget.inputs() | {self.press},
            self.press,
            queue=False,
            show_progress="hidden",
            **again,
        )
        started = begun.then(
            self._generate,
            inputs | self.budget.inputs() | {self.press},
            [self.player, self.settings.editing.notice, self.link, self.command],
            concurrency_id=COMPUTE,
            concurrency_limit=None,
            show_progress="hidden",
            **again,
        )
        self.link.change(None, self.link, self.link, js=AS_LINK, queue=False, **private)
        gr.on(
            [self.describe.click, self.share.expand],
            self._described,
            inputs,
            [self.link, self.command, self.files],
            queue=False,
            trigger_mode="always_last",
            show_progress="hidden",
            **private,
        )
        # apart: Gradio builds each output anew at every tick, and describes files at length each time
        self.command.change(
            self._command_files,
            [self.player, self.command],
            self.files,
            show_progress="hidden",
            queue=False,
            **private,
        )
        ended = [self.player, self.press]
        started.failure(None, ended, self.player, js=call_action("endRun"), queue=False, **private)
        self.stop.click(
            None, ended, self.player, js=call_action("endRun"), cancels=[started], queue=False, **private
        )
        self.dropped.upload(self._restore, self.dropped, self.settings.outputs(), **private)
        editing, outputs = self.settings.editing, self.settings.outputs()
        opened = self.history.input(
            self._open_history_run,
            self.history,
            [*outputs, self.player, self.link, self.command, self.files],
            cancels=[started],
            show_progress="hidden",
            **private,
        )
        opened.success(
            None, [self.player, self.history], None, js=call_action("returnToRun"), queue=False, **private
        )
        opened.failure(None, None, None, js=call_action("leaveRun"), queue=False, **private)
        # queued, as sentences reach the page through the queue alone
        editing.here.click(
            self._branch,
            self.player,
            outputs,
            js=call_action("withShownState"),
            show_progress="hidden",
            **private,
        )
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
            [
                *(editing.pictures["picture"], editing.kind, editing.section, editing.taken),
                *(editing.branch, editing.notice, editing.back),
            ],
            js=call_action("withPictureToEdit"),
            show_progress="hidden",
            trigger_mode="always_last",
            **private,
        ).then(
            editing.kind_chosen,
            [editing.kind, self.settings.model, self.settings.prompt, self.settings.label],
            editing.kind_outputs(),
            queue=False,
            show_progress="hidden",
            **private,
        ).then(None, editing.kind, None, js=call_action("showEdit", [*ON_STAGE]), queue=False, **private)

    def arrive(self, page: gr.Blocks) -> None:
        """Connect the page's load: the settings in its address, which run at once where a link was opened."""
        page.load(
            self._restore_from_link,
            None,
            [*self.settings.outputs(), self.arrived],
            show_progress="hidden",
            api_visibility="private",
        ).then(  # queued, as warnings reach the page through the queue alone
            None, self.arrived, None, js=call_action("playArrived"), queue=False, api_visibility="private"
        )

    def _restore_from_link(self, request: gr.Request) -> dict[Any, Any]:
        return self.opened(request.query_params.get("recipe"))

    def opened(self, text: str | None) -> dict[Any, Any]:
        """Updates of the settings by the JSON of a recipe, and of `arrived`, which is empty without one."""
        if not text:  # whoever is quick has chosen something by now
            return {self.settings.model: gr.skip(), self.arrived: ""}
        try:
            return {**self._checked(Recipe.from_json(text)), self.arrived: "yes"}
        except StudioError as error:
            warn(f"The settings in this link could not be used. {error}")
            return {self.settings.model: gr.skip(), self.arrived: ""}

    def _press(self, values: dict[Any, Any], request: gr.Request) -> Any:
        """End the visitor's run before. Settings that cannot run leave it running: the press then loses its
        name, and `_generate` says why.
        """
        try:
            self._check_recipe(self.settings.recipe(values, lambda text: None))
            self.budget.check(values)
        except Exception:  # comes again in `_generate`, whose errors the visitor sees
            return REFUSED
        visitor, name = request.session_hash or "", values[self.press]
        if (before := self.newest.get(visitor)) is not None:
            self.waiting.leave(before.name)
        self.newest.begin(visitor, name)
        self.waiting.join(name)
        return gr.skip()

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        self.inside.forget(visitor)
        self.rooms.forget(visitor)
        if (press := self.newest.forget(visitor)) is not None:
            self.waiting.leave(press.name)
        self.budget.forget(visitor)

    @always_answers(4)
    def _generate(self, values: dict[Any, Any], request: gr.Request) -> Iterator[Sequence[Any]]:
        """Ticks of the run, with the branch's line, the link and the command of its settings beside the
        first.
        """
        if values[self.press] == REFUSED:
            self._refuse(values)
        visitor = request.session_hash or ""
        press = self.newest.get(visitor)
        if press is None or not press.start(values[self.press]):  # there was another press meanwhile
            return  # of a double click both come with the last press's name
        full = ""
        try:
            if not press.wait_for_before(ENDED_SECONDS):  # which ends at its next network call
                return
            timing = partial(self.waiting.prepare, press.name, "Timing a few steps on this machine")
            recipe = self.budget.applied(values, visitor, timing)
            yield from self._ticks(recipe, press, visitor, self.budget.asked_seconds(values))
        except ServerFull as error:  # no failure: the page says so and presses again
            full = str(error)
        except StudioError as error:
            if not press.replaced:  # else the page would take it for the end of the newer run
                raise sentence(error) from error
        finally:
            press.over.set()
            self.waiting.leave(press.name)
            newest = self.newest.get(visitor)
            if full and newest is press:
                self.waiting.refuse(press.name, full)
            if newest is None:  # the page closed while the run began
                for freed in self.store.forget(visitor):
                    self.studio.free_states(freed)

    def _ticks(
        self, recipe: Recipe, press: ActiveRun, visitor: str, seconds: float | None
    ) -> Iterator[Sequence[Any]]:
        """As `_generate`, of a recipe's run; its last tick says how many of the `seconds` that were asked for
        it took. Raises `ServerFull` where too many wait.
        """
        if self.gpu is None:
            self.compute.turns.check_room()  # before the run takes the place of an older one
        if not self.studio.loaded(recipe.model):
            self.waiting.load(press.name, recipe.model)
        turn = self.prices.turn(recipe, press.ended)
        resume = press.name.startswith(RESUME)
        frames = self.compute.call(lambda: self.studio.stream(recipe, turn.ask, resume))  # checks the recipe
        self.waiting.tell(press.name, turn.progress())
        run = self.store.open(visitor, recipe)
        settings, film, shared = (
            flat_settings(recipe),
            isinstance(recipe.edit, FILMS),
            [self.settings.editing.branch_ran(recipe), *self._shared(recipe)],
        )
        remarks = self._remarks(recipe)
        shown: dict[str, Any] | None = None
        recorded = self.runs.record(run, frames if self.gpu is None else self.gpu(recipe))
        if self.gpu is None:
            watched = self.compute.watched(recorded, TICK_SECONDS, turn)
        else:
            watched = self.compute.while_heard(recorded)
        for found in watched:
            progress = found if isinstance(found, Progress) else turn.progress()
            if not isinstance(found, Progress):
                place, frame = found
                shown = tick(run, place, self.store.last_place(frame), frame, settings, film)
                shown |= {"press": press.name, **remarks}
                if seconds is not None and shown["done"] and self.gpu is None:
                    shown["took"] = {"seconds": round(turn.spent, 2), "asked": seconds}
            self.waiting.tell(press.name, progress)
            if shown is None:
                yield [gr.skip()] * (1 + len(shared))
            else:
                yield with_progress(shown, progress), *shared
                shared = [gr.skip()] * len(shared)

    def _remarks(self, recipe: Recipe) -> dict[str, Any]:
        """What the player has to know of a recipe besides its settings: the words that its model does not
        know, and whether a stopped run of it can go on from its last state.
        """
        found: dict[str, Any] = {"resumes": resumable(recipe)}
        if words := words_not_known(self.studio.card(recipe.model).spec, recipe.each_prompt):
            found["unknown"] = words
        return found

    @show_errors
    def _refuse(self, values: dict[Any, Any]) -> None:
        if problems := self.settings.problems(values):
            raise sentences(problems)
        self._check_recipe(self.settings.recipe(values))

    @show_errors
    def _branch(self, value: object) -> dict[Any, Any]:
        """Settings of the run that the player shows, to go on from the state that it shows."""
        run, place = self.runs.shown(value, "go on from")
        frame = run.frames[min(place, len(run.frames) - 1)]
        if frame.index == frame.total:
            raise OptionError(
                "branch.at",
                "This is the finished picture. Move the slider to the step from which the run should go on "
                "otherwise.",
            )
        return self.settings.show(run.recipe.continued(frame.index))

    @show_errors
    def _use(self, value: object, kind: str) -> dict[Any, Any]:
        """Updates that put the picture that the player shows enlarged, or else the first, where it is edited.
        A branch ends: an edited run starts from the picture, and not from a state of a run.
        """
        run, _ = self.runs.shown(value, "edit")
        if run.frames[-1].of_points:
            raise OptionError(
                "edit", "This run made points, and only pictures can be edited. A branch can go on from it."
            )
        images, number = run.trajectory.images, value.get("zoom") if isinstance(value, dict) else None
        number = number if type(number) is int and 0 <= number < len(images) else 0
        wanted = kind if kind in EDITS and pictures_of(EDITS[kind]) else "inpaint"
        which = f"picture {number + 1} of {len(images)}" if len(images) > 1 else "the picture"
        last = run.frames[-1]
        state = "finished" if last.index == last.total else f"the guess x0 at step {last.index}"
        taken = {
            "name": Picture(images[number]).name,
            "title": f"{which}, {state}",
            "number": number,
            "count": len(images),
            "run": value["run"] if isinstance(value, dict) else None,
        }
        section = gr.skip() if wanted in ON_STAGE else gr.update(open=True)
        editing = self.settings.editing
        return {
            editing.pictures["picture"]: to_pil(images[number]),
            editing.kind: wanted,
            editing.section: section,
            editing.taken: taken,
            **editing.no_branch(),
        }

    @show_errors
    def _open_history_run(self, value: object) -> dict[Any, Any]:
        """The settings of a run of the history, and the run itself where it is still kept; else the page
        makes it again, from the same seed.
        """
        given = value if isinstance(value, dict) else {}
        run, text = self.store.get(given.get("run")), given.get("recipe")
        if run is not None and run.frames:
            last, place = run.frames[-1], len(run.frames) - 1
            settings, film = flat_settings(run.recipe), isinstance(run.recipe.edit, FILMS)
            shown = tick(given["run"], place, self.store.last_place(last), last, settings, film)
            shown |= {"stopped": not shown["done"], **self._remarks(run.recipe)}
            found = self._restored_updates(run.recipe)
            if run.recipe.branch is not None:
                ran = self.settings.editing.branch_ran(run.recipe)
                found[self.settings.editing.notice] = {**ran, "visible": True}
            return {**found, self.player: shown}
        if not isinstance(text, str):
            raise OptionError(
                "recipe",
                "The settings of this run hold pictures, which the browser does not keep, and the run is no "
                "longer on the server. Set it up again, or restore it from an exported file.",
            )
        found = self._restored_updates(Recipe.from_json(text))
        return {**found, self.player: gr.skip()}  # the page then makes the run again

    def _restored_updates(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates of the settings, and of the link and the command line that say them. The files of a shown
        run come after its command line.
        """
        shared = dict(zip((self.link, self.command), self._shared(recipe)))
        return {**self._checked(recipe), **shared, self.files: gr.update(value=None, visible=False)}

    def recipe_shown(self, value: object, request: gr.Request) -> Recipe:
        """The recipe of the run that the player shows."""
        return self.runs.shown(value, "compare with")[0].recipe

    def _described(self, values: dict[Any, Any]) -> list[Any]:
        """Link, command line and files of the current settings; if they cannot run, the reason."""
        try:
            recipe = self.settings.recipe(values, lambda text: None)
            self._check_recipe(recipe)
            return [linkable(recipe), self._command(recipe), self._files_of(recipe)]
        except StudioError as error:
            return [f"{NO_LINK}: {in_words(error)}", "", gr.update(value=None, visible=False)]

    def _shared(self, recipe: Recipe) -> list[Any]:
        """The link's text and the command line of a run."""
        return [OF_RUN + linkable(recipe), self._command(recipe)]

    def _command(self, recipe: Recipe) -> str:
        return recipe.to_command(self.studio.recipe(recipe.model))

    def _command_files(self, value: object, command: str) -> Any:
        """The files that the command line of the shown run reads; of any other command line nothing new."""
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or self._command(run.recipe) != command:
            return gr.skip()
        return self._files_of(run.recipe)

    def _files_of(self, recipe: Recipe) -> Any:
        try:
            files = kept_files(recipe)
        except ExportError as error:  # no reason not to run
            files = []
            warn(str(error))
        return gr.update(value=files or None, visible=bool(files))

    @show_errors
    def _restore(self, path: str) -> dict[Any, Any]:
        found = self._checked(Recipe.from_file(path))
        inform("The settings of this file are restored. Press Generate to run them again.")
        return found

    def _checked(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates for a recipe from outside, once its model is known to be here and to know its label."""
        self._check_recipe(recipe)
        return self.settings.show(recipe)

    def _check_recipe(self, recipe: Recipe) -> None:
        """Raise `OptionError` if the model is not installed, or does not know the label or prompt."""
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
