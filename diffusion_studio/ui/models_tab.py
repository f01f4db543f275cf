"""The Models tab: open a checkpoint from anywhere, read the report on it, use it; and a gallery of the models
on this machine.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from .. import checkpoint
from ..checkpoint.facts import parse_flags
from ..data.files import picture_suffixes
from ..errors import CheckpointError, StudioError
from ..models.calibrate import MOST_PICTURES, pictures_for, rank_settings
from ..studio import ModelCard, Studio
from . import report
from .compute import Compute
from .dropped import BESIDE, Chosen, UploadedCheckpoints, upload_suffixes, weight_files
from .generate_tab import COMPUTE
from .handlers import show_errors
from .hosting import MAX_SIDE_HOSTED, Hosting
from .model_cards import PICTURE, YOUNG, is_young, model_items

_RELATIVE = re.compile(r"\]\((?!\w+:|/|#)")  # the start of a link to a file beside the card

# What stands before and after the names of the chosen files.
_OPEN = ("Open", "Another file replaces it.")
_REFUSED = ("Not opened", "The report says why. Choose another file.")
_UNUSABLE = ("Cannot be used", "The report says why.")
_NOT_READ = ("Not read", "The flags are wrong; the report says how. Correct them and read again.")

Use = Callable[[str], dict[Any, Any]]


class ModelsTab:
    """Renders into the surrounding Blocks. `use(name)` gives the updates that make a model the chosen one
    of Generate.
    """

    def __init__(
        self, studio: Studio, compute: Compute, hosting: Hosting, use: Use, outputs: list[Any]
    ) -> None:
        self.studio, self.compute, self.hosting, self.use = studio, compute, hosting, use
        self.dropped = UploadedCheckpoints(studio, hosting.max_upload * 10**6)
        self._render_cards(outputs)
        self._render_open()
        self._connect(outputs)

    def _render_open(self) -> None:
        self.chosen = gr.State(None)
        self.best = gr.State("")
        with gr.Row(elem_id="open-model", elem_classes="two-areas"):
            with gr.Column(elem_classes="left-area"):
                gr.Markdown(
                    "## What is in a checkpoint\nAny pixel-space U-Net as safetensors can be dropped above: "
                    "of diffusers, OpenAI, the DDPM port and others. Drop its config.json with it if it has "
                    "one, or a .zip of the model's folder. A setting that no file gives is assumed, and the "
                    "report says so."
                )
                self.opened = gr.HTML("", elem_id="model-opened", min_height=0)
                self.folder = gr.Dropdown(
                    sorted(weight_files(self.hosting.models)),
                    value=None,
                    label="Or choose a file on the server",
                    visible=bool(self.hosting.models),
                    elem_id="model-choice",
                )
                self.flags = gr.Textbox(
                    label="Settings, as flags of the original program",
                    lines=2,
                    max_lines=6,
                    elem_id="model-flags",
                    placeholder="--num_heads 4 --diffusion_steps 4000",
                    info="For settings that the file does not give. They replace what is assumed.",
                )
                self.again = gr.Button("Read again with these flags", size="sm", elem_id="read-again")
                with gr.Accordion("Measure the assumed settings", open=False, elem_id="model-measure"):
                    self.pictures = gr.File(
                        label=f"Up to {MOST_PICTURES} example pictures",
                        file_count="multiple",
                        file_types=sorted(picture_suffixes()),
                        height=140,
                        elem_id="model-pictures",
                    )
                    self.label = gr.Textbox(
                        label="Label of the pictures",
                        placeholder="a label or its number, for models with classes",
                    )
                    self.measure = gr.Button("Measure", elem_id="measure")
                    self.ranking = gr.HTML("", elem_id="ranking")
                    self.take = gr.Button("Use the best settings", visible=False, elem_id="take-best")
            with gr.Column(elem_classes="right-area"):
                self.go = gr.Button(
                    "Use in Generate", variant="primary", interactive=False, elem_id="use-model"
                )
                self.report = gr.HTML("", elem_id="report")  # what belongs to it is hidden while it is empty

    def _render_cards(self, outputs: list[Any]) -> None:
        cards = self.studio.models()
        self._lines = {item["value"]: item["line"] for item in model_items(cards)}
        problems = "".join(
            f"<li><b>{escape(name)}</b> cannot be used: {escape(why)}</li>"
            for name, why in self.studio.problems().items()
        )
        with gr.Row(elem_id="models-top"):
            gr.HTML(
                "<h2>Models on this machine</h2><p>Choose one to make pictures with, or drop a weight file "
                'of your own. What is in the file is then shown <a href="#open-model">below</a>.</p>'
                f"{f'<ul>{problems}</ul>' if problems else ''}",
                elem_id="models-here",
            )
            self.file = gr.File(
                label=f"Drop a .safetensors, or a .zip of its folder (up to "
                f"{_size(self.hosting.max_upload)})",
                file_count="multiple",
                file_types=upload_suffixes(),
                height=124,
                elem_id="model-file",
            )
        buttons = []
        with gr.Column(elem_classes="model-gallery"):
            for card in cards:
                with gr.Column(elem_classes="model-card"):
                    buttons.append(self._render_card(card))
        self._names = {button._id: card.name for button, card in zip(buttons, cards)}
        if not cards:
            return
        gr.on(  # one for all, as it names every setting
            [button.click for button in buttons],
            self._use_card,
            None,
            outputs,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )

    @show_errors
    def _use_card(self, event: gr.EventData) -> dict[Any, Any]:
        return self.use(self._names[getattr(event.target, "_id", -1)])

    def _render_card(self, card: ModelCard) -> gr.Button:
        private: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        gr.HTML(_summary(card, self._lines.get(card.name, "")), min_height=40)
        button = gr.Button("Use in Generate", size="sm", elem_id=f"use-{card.name}")
        if card.text:
            with gr.Accordion(f"Card and samples of {card.name}", open=False) as sheet:
                text = gr.Markdown("")
            # sent when it is opened: all cards together would be a fifth of the page
            sheet.expand(lambda: _RELATIVE.sub(_folder_link(card), card.text), None, text, **private)
        return button

    def _connect(self, outputs: list[Any]) -> None:
        private: dict[str, Any] = {"api_visibility": "private"}
        seen = [self.chosen, self.report, self.go, self.ranking, self.take, self.opened]
        self.file.upload(
            self._take_files, [self.file, self.flags], [self.folder, self.file, *seen], **private
        )
        self.folder.input(self._choose, [self.folder, self.flags], seen, **private)
        gr.on([self.flags.submit, self.again.click], self._look, [self.chosen, self.flags], seen, **private)
        self.measure.click(
            self._measure,
            [self.chosen, self.flags, self.pictures, self.label],
            [self.ranking, self.best, self.take],
            concurrency_id=COMPUTE,
            concurrency_limit=None,
            **private,
        )
        self.take.click(lambda best: best, self.best, self.flags, queue=False, **private).then(
            self._look_again, [self.chosen, self.flags], [*seen[:3], self.opened], **private
        )
        self.go.click(self._use, [self.chosen, self.flags], outputs, **private)

    def forget(self, visitor: str) -> None:
        """Remove what a visitor dropped, once the page is closed."""
        self.dropped.forget(visitor)

    def _take_files(self, paths: list[str], flags: str, request: gr.Request) -> list[Any]:
        try:
            chosen = self.dropped.take(request.session_hash or "", paths or [])
        except StudioError as error:
            return [gr.skip(), None, None, *_refused(error), ""]
        names = sorted((Path(one).name for one in paths), key=lambda name: name in BESIDE)
        return [None, None, *self._look(replace(chosen, files=tuple(names)), flags)]

    def _choose(self, name: str | None, flags: str) -> list[Any]:
        path = weight_files(self.hosting.models).get(name or "")  # by name alone: no path comes from the page
        if path is None:
            return [None, *_refused(CheckpointError("This file is no longer there. Choose another.")), ""]
        return self._look(Chosen(path, own=False, files=(path.name,)), flags)

    def _look(self, chosen: Chosen | None, flags: str) -> list[Any]:
        """Updates of the chosen file, its report, "Use in Generate", an empty ranking, and the line that
        names the file.
        """
        if chosen is None:
            return [None, "", gr.Button(interactive=False), "", gr.Button(visible=False), ""]
        try:
            chosen = replace(chosen, flags=parse_flags(flags or ""))
        except StudioError as error:
            return [chosen, *_refused(error), _files_line(chosen.files, _NOT_READ)]
        try:
            seen = checkpoint.inspect(chosen.path, chosen.flags)
            text = report.report(seen)
        except StudioError as error:
            return [chosen, *_refused(error), _files_line(chosen.files, _REFUSED)]
        line = _files_line(chosen.files, _UNUSABLE if seen.problem else _OPEN)
        return [chosen, text, gr.Button(interactive=not seen.problem), "", gr.Button(visible=False), line]

    def _look_again(self, chosen: Chosen | None, flags: str) -> list[Any]:
        """The same, for flags that come from the ranking, which stays."""
        updates = self._look(chosen, flags)
        return [*updates[:3], updates[-1]]

    @show_errors
    def _measure(
        self, chosen: Chosen | None, flags: str, pictures: list[str] | None, label: str
    ) -> list[Any]:
        if chosen is None or not pictures:
            raise CheckpointError(
                "Drop a checkpoint first."
                if chosen is None
                else "Drop a few pictures like those that the model was trained on."
            )
        given = parse_flags(flags or "")
        seen = checkpoint.inspect(chosen.path, given)
        spec = checkpoint.model_spec(chosen.path, seen.spec)
        if seen.found is None:
            raise CheckpointError(
                f"{chosen.path.name} is a native file, whose header gives every setting. There is "
                "nothing to measure."
            )
        self._check(spec)
        with tempfile.TemporaryDirectory() as folder:
            for k, one in enumerate(pictures[:MOST_PICTURES]):
                shutil.copy(one, Path(folder) / f"{k}{Path(one).suffix.lower()}")
            shown = pictures_for(folder, spec)
        condition = int(label) if label.strip().isdecimal() else label.strip() or None
        trials = self.compute.call(lambda: rank_settings(chosen.path, shown, given, condition))
        return [
            report.ranking(trials),
            report.flags_text({**given, **trials[0].flags}),
            gr.Button(visible=True),
        ]

    @show_errors
    def _use(self, chosen: Chosen | None, flags: str, request: gr.Request) -> dict[Any, Any]:
        if chosen is None:
            raise CheckpointError("Drop or choose a checkpoint first.")
        chosen = replace(chosen, flags=parse_flags(flags or ""))
        self._check(checkpoint.model_spec(chosen.path, checkpoint.spec_of(chosen.path, chosen.flags)))
        if chosen.own:
            return self.use(self.dropped.open(request.session_hash or "", chosen, self.hosting.hosted))
        name = checkpoint.name_of(chosen.path)
        taken = {card.name: card.path for card in self.studio.models()}
        if name in taken and taken[name] != chosen.path:
            name = f"{chosen.path.parent.name}-{name}"
        return self.use(
            self.studio.open(chosen.path, chosen.flags, name=name, listed=not self.hosting.hosted)
        )

    def _check(self, spec: Any) -> None:
        if self.hosting.hosted and spec.image_size > MAX_SIDE_HOSTED:
            raise CheckpointError(
                f"This model's pictures are {spec.image_size} wide, and here they may be {MAX_SIDE_HOSTED} "
                "at most. Run the app on your own machine for it: diffusion-studio serve."
            )


def _refused(error: StudioError) -> list[Any]:
    return [report.refusal(str(error)), gr.Button(interactive=False), "", gr.Button(visible=False)]


def _files_line(names: Sequence[str], how: tuple[str, str]) -> str:
    """The line that names the chosen files; `how` has the words before and after the names."""
    files = ", ".join(f"<b>{escape(name)}</b>" for name in names)
    bad = "" if how is _OPEN else " refused"
    return f'<p class="opened{bad}">{how[0]}: {files}. {how[1]}</p>'


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:g} GB" if megabytes >= 1000 else f"{megabytes} MB"


def _folder_link(card: ModelCard) -> str:
    """The start of a link to a file in the card's folder, as the replacement of a pattern."""
    return rf"](gradio_api/file={card.path.parent.resolve()}/"


def _summary(card: ModelCard, line: str) -> str:
    """A model's picture, name, description, figures and labels."""
    facts = [
        card.spec.form,
        f"{checkpoint.bytes_of(card.path) / 1e6:,.1f} MB",
        f"T = {card.spec.schedule.timesteps}",
    ]
    facts += [f"{len(card.conditions)} labels"] if card.conditions else []
    facts += ["reads prompts"] if card.spec.takes_text else []
    labels = ", ".join(card.conditions[:12]) + (", ..." if len(card.conditions) > 12 else "")
    picture = card.path.with_name(PICTURE)
    shown = (
        f'<img src="gradio_api/file={escape(str(picture.resolve()))}" alt="" width="96" height="96">'
        if picture.is_file()
        else ""
    )
    return (
        f'<div class="model-line">{shown}<div><b>{escape(card.name)}</b> '
        + (f"<em>{escape(line)}</em>" if line != card.spec.form else "")
        + "<div>"
        + " ".join(f"<span>{escape(one)}</span>" for one in facts)
        + (f' <span title="{YOUNG}">young: {YOUNG}</span>' if is_young(card) else "")
        + "</div>"
        + (f"<p>{escape(labels)}</p>" if labels else "")
        + "</div></div>"
    )
