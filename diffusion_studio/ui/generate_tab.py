"""The Generate tab: settings, the player, exports, sharing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import ExportError, StudioError
from ..export import FORMATS, ExportOptions
from ..options import build
from ..recipe import Recipe
from ..studio import Studio
from .controls import OptionControls, RecipeControls
from .player import player, tick
from .store import RunStore

COMPUTE = "compute"                 # all events that run a network share this queue
TICK_SECONDS = 0.05                 # the page is told of a new frame at most this often


def said(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose `StudioError`s are shown to the visitor as sentences."""
    @wraps(fn)
    def handler(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except StudioError as error:
            raise sentence(error) from error
    return handler


def sentence(error: StudioError) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(str(error), duration=12, print_exception=False)


class GenerateTab:
    """Renders into the surrounding Blocks; `restore_from` connects the page's load to the settings in its link."""

    def __init__(self, studio: Studio, store: RunStore) -> None:
        self.studio = studio
        self.store = store
        self.settings = RecipeControls(studio)
        with gr.Row(elem_id="stage"):
            with gr.Column(elem_id="quick"):
                self.settings.render_quick()
                with gr.Row():
                    self.go = gr.Button("Generate", variant="primary", size="lg", elem_id="generate", scale=3, min_width=120)
                    self.stop = gr.Button("Stop", size="lg", elem_id="stop", scale=1, min_width=70)
            with gr.Column(elem_id="view"):
                self.player = player(self._frames, elem_id="player")
                self.status = gr.HTML("", elem_id="status", min_height=24)
                self._render_export()
            with gr.Column(elem_id="settings"):
                self.settings.render_rest()
                self._render_share()
        self._connect()

    def _render_export(self) -> None:
        with gr.Accordion("Export: GIF, MP4, film strip, pictures", open=False, elem_id="export"):
            self.format = gr.Radio([(one.help, name) for name, one in FORMATS.items()], value="gif", label="Format",
                                   elem_id="format")
            with gr.Row():
                self.options = OptionControls.render(ExportOptions, frames={"label": "Which states"}, states={"label": "Number of states"},
                                                     picture={"label": "Picture of the grid"})
            self.export = gr.Button("Make the file", variant="primary", elem_id="make-file")
            self.file = gr.File(label="Your file: it carries the settings of its run", interactive=False, elem_id="file")

    def _render_share(self) -> None:
        with gr.Accordion("Share or restore a run", open=False, elem_id="share"):
            self.link = gr.Textbox(label="Link to these settings", buttons=["copy"], interactive=False, elem_id="link")
            self.command = gr.Textbox(label="Command line", buttons=["copy"], interactive=False, lines=2,
                                      elem_id="command")
            self.dropped = gr.File(label="Drop an exported file here: its settings come back", height=110,
                                   file_types=[".gif", ".mp4", ".png", ".json"], elem_id="restore")

    def _connect(self) -> None:
        inputs, private = self.settings.inputs(), {"api_visibility": "private"}
        started = self.go.click(
            self._generate, inputs, self.player, concurrency_id=COMPUTE, concurrency_limit=1, show_progress="full",
            show_progress_on=[self.status], **private)
        self.go.click(self._share, inputs, [self.link, self.command], queue=False, show_progress="hidden",
                      **private).then(None, self.link, self.link, js=_AS_LINK, **private)
        self.stop.click(None, self.player, self.player, js="v => v && v.run ? {...v, stopped: true} : v",
                        cancels=[started], queue=False, **private)
        self.export.click(self._export, {self.player, self.format, *self.options.controls.values()}, self.file,
                          concurrency_id="export", concurrency_limit=2, **private)
        self.dropped.upload(self._restore, self.dropped, self.settings.outputs(), queue=False, **private)

    def restore_from_link(self, request: gr.Request) -> dict[Any, Any]:
        """For the page's load: the settings in its address, if there are any."""
        text = request.query_params.get("recipe")
        if not text:
            return {self.settings.model: self.settings.start.model}
        try:
            return self._checked(Recipe.from_json(text))
        except StudioError as error:
            gr.Warning(f"The settings in this link could not be used. {error}")
            return {self.settings.model: self.settings.start.model}

    def _frames(self, run: object) -> list[Any] | None:
        found = self.store.get(run)
        return found.frames if found else None

    def _generate(self, values: dict[Any, Any], request: gr.Request) -> Iterator[dict[str, Any]]:
        try:
            recipe = self.settings.recipe(values)
            frames = self.studio.stream(recipe)                 # checks the recipe before anything is recorded
            yield from self._ticks(self.store.open(request.session_hash or "", recipe), frames)
        except StudioError as error:
            raise sentence(error) from error

    def _ticks(self, run: str, frames: Iterator[Any]) -> Iterator[dict[str, Any]]:
        last, kept = 0.0, 0
        for frame in frames:
            place = self.store.append(run, frame)
            kept = kept if place is None else place
            now = time.monotonic()
            if now - last > TICK_SECONDS or frame.index == frame.total:
                last = now
                yield tick(run, kept, self.store.last_place(frame), frame)

    @said
    def _share(self, values: dict[Any, Any]) -> tuple[str, str]:
        recipe = self.settings.recipe(values)
        return recipe.to_json(), recipe.to_command()

    @said
    def _export(self, values: dict[Any, Any]) -> str:
        value = values[self.player]
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise ExportError("There is no run to export yet. Press Generate first." if not value else
                              "This run is no longer kept on the server. Press Generate to make it again.")
        chosen = build(ExportOptions, self.options.read(values), "export option")
        return export_file(run.trajectory, values[self.format], chosen)

    @said
    def _restore(self, path: str) -> dict[Any, Any]:
        found = self._checked(Recipe.from_file(path))
        gr.Info("The settings of this file are restored. Press Generate to run them again.")
        return found

    def _checked(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates for a recipe from outside, once its model is known to be here and to know its label."""
        card = self.studio.card(recipe.model)
        if recipe.label is not None:
            card.spec.label_index(recipe.label)
        return self.settings.show(recipe)


def export_file(trajectory: Any, format: str, options: ExportOptions) -> str:
    """Write an export into a temporary folder that Gradio serves from; returns its path."""
    recipe = trajectory.recipe
    name = "-".join(part for part in (recipe.model, recipe.label, str(recipe.seeds[0])) if part)
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80]
    try:
        folder = Path(tempfile.mkdtemp(prefix="diffusion-studio-"))
    except OSError as error:
        raise ExportError(f"No temporary folder can be made ({error.strerror}). The server's disk may be full; "
                          "the run is kept, so try again later.") from error
    return str(trajectory.save(folder / f"{safe}{FORMATS[format].suffix}", format, **vars(options)))


_AS_LINK = "text => text ? `${location.origin}${location.pathname}?recipe=${encodeURIComponent(text)}` : text"
