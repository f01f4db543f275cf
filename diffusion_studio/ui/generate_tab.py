"""The Generate tab: settings, the player, exports, sharing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import gradio as gr

from ..errors import StudioError
from ..frame import Frame
from ..recipe import Recipe
from ..studio import Studio
from .compute import Compute
from .controls import RecipeControls
from .export_panel import ExportPanel
from .handlers import said, sentence
from .player import player, tick
from .store import RunStore

COMPUTE = "compute"                 # all events that run a network share this queue, and see their place in it
TICK_SECONDS = 0.05                 # the page is told of a new frame at most this often


class GenerateTab:
    """Renders into the surrounding Blocks; `restore_from` connects the page's load to the settings in its link."""

    def __init__(self, studio: Studio, store: RunStore, compute: Compute) -> None:
        self.studio = studio
        self.store = store
        self.compute = compute
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
                self.export = ExportPanel(store, self.player)
            with gr.Column(elem_id="settings"):
                self.settings.render_rest()
                self._render_share()
        self._connect()

    def _render_share(self) -> None:
        with gr.Accordion("Share or restore a run", open=False, elem_id="share"):
            self.link = gr.Textbox(label="Link to these settings", buttons=["copy"], interactive=False, max_lines=2, elem_id="link")
            self.command = gr.Textbox(label="Command line", buttons=["copy"], interactive=False, lines=2,
                                      elem_id="command")
            self.dropped = gr.File(label="Restore an exported file", height=110,
                                   file_types=[".gif", ".mp4", ".png", ".json"], elem_id="restore")

    def _connect(self) -> None:
        inputs, private = self.settings.inputs(), {"api_visibility": "private"}
        started = self.go.click(
            self._generate, inputs, self.player, concurrency_id=COMPUTE, concurrency_limit=1, show_progress="hidden",
            show_progress_on=[self.status], **private)
        self.go.click(self._share, inputs, [self.link, self.command], queue=False, show_progress="hidden",
                      **private).then(None, self.link, self.link, js=_AS_LINK, **private)
        self.stop.click(None, self.player, self.player, js="v => v && v.run ? {...v, stopped: true} : v",
                        cancels=[started], queue=False, **private)
        self.dropped.upload(self._restore, self.dropped, self.settings.outputs(), **private)

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
            frames = self.compute.call(lambda: self.studio.stream(recipe))      # loads, and checks the recipe
            run = self.store.open(request.session_hash or "", recipe)
            for place, frame in self.compute.newest(self._recorded(run, frames), TICK_SECONDS):
                yield tick(run, place, self.store.last_place(frame), frame)
        except StudioError as error:
            raise sentence(error) from error

    def _recorded(self, run: str, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        """Each frame, with the place of the newest one that is kept."""
        kept = 0
        for frame in frames:
            place = self.store.append(run, frame)
            kept = kept if place is None else place
            yield kept, frame

    def _share(self, values: dict[Any, Any]) -> tuple[str, str]:
        try:
            recipe = self.settings.recipe(values)
        except StudioError:                         # `_generate`, of the same click, says what is wrong
            return "", ""
        return recipe.to_json(), recipe.to_command()

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
        for text in (recipe.prompt, recipe.negative):
            if text is not None:
                card.spec.prompt_text(text)
        return self.settings.show(recipe)


_AS_LINK = "text => text ? `${location.origin}${location.pathname}?recipe=${encodeURIComponent(text)}` : text"
