"""The Train tab: pictures, how long to train, loss and samples as they come, and the model in Generate."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from .. import data
from ..data.archive import UnpackResult, gather, unpack
from ..errors import DataError, OptionError, StudioError
from ..options import build
from ..studio import Studio
from ..training.config import TrainConfig
from ..training.presets import PRESETS, SIZES, configured
from . import data_view, training_view
from .controls import OptionControls
from .handlers import NOTHING_TYPED, label_of, show_errors, warn
from .hosting import Hosting
from .run_state import RunState
from .runs import Runs, free_name, save_intervals
from .sheets import sheets, shown_value
from .training_options import GROUPS, LABELS

HOSTED_PRESETS, HOSTED_SIZE, HOSTED_ARCHIVES = ("quick", "hour"), 64, 10  # what strangers may ask for
MAX_UNPACKED, MAX_UNPACKED_HOSTED = 20_000, 300  # MB
_READING = ("fit", "background", "colours")  # options that change which pictures are read, besides the size
_LOOKED = 200  # pictures of a folder that are decoded before the training
LOOSE = "my-pictures"  # name of a data set that was dropped as files, which have no name in common
_DROPPED = (".zip", ".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".txt")
_TICK = 2.0  # seconds between two looks at a run
_OFF = (
    "### Training is off here\nThe owner of this app can turn it on with `diffusion-studio serve "
    "--allow-training`. On your own machine `python app.py` has it, and so has the command line: "
    "`diffusion-studio train --data FOLDER --out runs/mine`."
)


class TrainTab:
    """Renders into the surrounding Blocks. `use(name)` gives the updates that make a model the chosen one
    of Generate.
    """

    def __init__(
        self, studio: Studio, hosting: Hosting, use: Callable[[str], dict[Any, Any]], outputs: list[Any]
    ) -> None:
        self.studio, self.hosting, self.use = studio, hosting, use
        self.looks: dict[str, object] = {}  # the newest look at data of each visitor
        if not hosting.training:
            gr.Markdown(_OFF)
            return
        self.runs = Runs(hosting.runs)
        self.pictures = hosting.runs / "data"
        with gr.Row(elem_classes="two-areas", elem_id="train"):
            # in the order of a phone's column
            with gr.Column(elem_classes="left-area", elem_id="train-data-area"):
                self._render_data()
            with gr.Column(elem_classes="right-area", elem_id="train-found-area"):
                self.found = gr.HTML(data_view.NOTHING, elem_id="train-found")
            with gr.Column(elem_classes="left-area", elem_id="train-settings-area"):
                self._render_settings()
            with gr.Column(elem_classes="right-area", elem_id="train-run-area"):
                self._render_run()
        self._connect(outputs)

    def _render_data(self) -> None:
        gr.Markdown("## Train a model")
        names = self._data()
        self.data = gr.Dropdown(
            names,
            value=names[0] if names else None,
            label="Pictures to train on",
            elem_id="train-data",
            info="Data sets on this machine, and what was dropped."
            if names
            else "There are none on this machine yet. Drop pictures below"
            f"{'.' if self.hosting.hosted else ', or type the path of a folder.'}",
            allow_custom_value=not self.hosting.hosted,
        )
        self.zip = gr.File(
            label="Or drop pictures, or a .zip of them",
            file_count="multiple",
            file_types=[*_DROPPED],
            height=112,
            elem_id="train-zip",
        )
        self.archive = gr.State({})  # name of what was dropped last -> what was left out of it

    def _render_settings(self) -> None:
        hosted = self.hosting.hosted
        self.size = gr.Radio(
            [(f"{size}x{size}", size) for size in SIZES if not hosted or size <= HOSTED_SIZE],
            value=32,
            label="Size of the pictures",
            elem_id="train-size",
        )
        presets = [(one.title, name) for name, one in PRESETS.items() if not hosted or name in HOSTED_PRESETS]
        self.preset = gr.Radio(
            presets,
            value="quick",
            label="How long to train",
            info=PRESETS["quick"].help,
            elem_id="train-preset",
        )
        self.name = gr.Textbox(
            label="Name of the model",
            placeholder="named after the pictures",
            elem_id="train-name",
            max_length=60,
        )
        self.go = gr.Button("Train", variant="primary", size="lg", elem_id="train-go")
        self.options = OptionControls(TrainConfig)
        if hosted:  # strangers may give no paths and no sizes without end
            return
        start = configured("quick", 32, self.data.value or TrainConfig.data, fit="crop")
        with gr.Accordion("Advanced: every option of the training", open=False, elem_id="train-advanced"):
            for title, labels in GROUPS.items():
                with gr.Accordion(title, open=False):
                    self.options.controls |= OptionControls.render(
                        TrainConfig,
                        skip=[name for name in vars(start) if name not in labels],
                        **{name: {"label": labels[name], "value": getattr(start, name)} for name in labels},
                    ).controls

    def _render_run(self) -> None:
        names = self.runs.names()
        self.run = gr.Dropdown(
            names,
            value=names[0] if names else None,
            label="Training",
            visible=bool(names),
            elem_id="train-run",
        )
        there: dict[str, Any] = {"visible": bool(names)}  # without a training there is nothing to press
        with gr.Row():
            self.use_it = gr.Button(
                "Use in Generate", variant="primary", elem_id="train-use", min_width=140, **there
            )
            self.stop = gr.Button("Stop", elem_id="train-stop", min_width=90, **there)
            self.resume = gr.Button("Resume", elem_id="train-resume", min_width=90, **there)
        state = self.runs.state(names[0]) if names else None
        self.view = gr.HTML(training_view.view(state) if state else self._nothing(), elem_id="train-view")
        self.samples = sheets(elem_id="train-samples")
        self.sent = gr.State([])  # names of the training and of the sheets that the page has
        self.timer = gr.Timer(_TICK)

    def _nothing(self) -> str:
        sheets = [
            one.path.with_name("samples.png")
            for one in self.studio.models()
            if one.name == training_view.EXAMPLE
        ]
        return training_view.nothing(sheets[0] if sheets else None)

    def _connect(self, outputs: list[Any]) -> None:
        private: dict[str, Any] = {"api_visibility": "private"}
        shown = self._shown
        looked = [self.run, self.sent]
        chosen = {self.data, self.size, self.preset, self.name, self.sent, *self.options.controls.values()}
        self.zip.upload(
            self._take, [self.zip, self.archive], [self.data, self.zip, self.archive], **private
        ).success(self._newest_look, self._data_controls, self.found, **private)
        gr.on(
            [self.data.input, self.size.input, *(one.change for one in self._reading_controls.values())],
            self._newest_look,
            self._data_controls,
            self.found,
            trigger_mode="always_last",
            **private,
        )
        gr.on(
            [self.preset.input, self.size.input],
            self._preset,
            [self.preset, self.size],
            [self.preset, *self.options.controls.values()],
            queue=False,
            show_progress="hidden",
            **private,
        )
        self.go.click(self._train, chosen, [self.run, *shown], **private)
        self.stop.click(self._stop, looked, shown, queue=False, show_progress="hidden", **private)
        self.resume.click(self._resume, looked, shown, **private)
        self.use_it.click(self._use, self.run, outputs, **private)
        self.run.input(self._look, looked, shown, show_progress="hidden", **private)
        self.timer.tick(self._look, looked, shown, queue=False, show_progress="hidden", **private)

    def load(self) -> list[Any]:
        """Updates for a page that was just opened: all trainings, and the newest of them."""
        names = self.runs.names()
        return [
            gr.Dropdown(choices=names, value=names[0] if names else None, visible=bool(names)),
            *self._look(names[0] if names else None, []),
        ]

    @property
    def loaded(self) -> list[Any]:
        """What `load` sets."""
        return [self.run, *self._shown]

    def _data(self) -> list[str]:
        dropped = (
            sorted(path.name for path in self.pictures.iterdir() if path.is_dir())
            if self.pictures.is_dir()
            else []
        )
        return [*dropped, *data.present()]

    @property
    def _data_controls(self) -> set[Any]:
        """The controls that decide which pictures are read, and how."""
        return {self.data, self.size, self.archive, *self._reading_controls.values()}

    @property
    def _reading_controls(self) -> dict[str, Any]:
        """The controls of the options that change what is read; none in a hosted app."""
        return {name: self.options.controls[name] for name in _READING if name in self.options.controls}

    def connect_tab(self, tab: gr.Tab) -> None:
        """Show the chosen data when the tab is first opened."""
        if self.hosting.training:
            tab.select(
                self._first_look,
                {*self._data_controls, self.found},
                self.found,
                show_progress="hidden",
                api_visibility="private",
            )

    def forget(self, visitor: str) -> None:
        """Free what is kept of a visitor whose page has closed."""
        self.looks.pop(visitor, None)

    def _first_look(self, values: dict[Any, Any], request: gr.Request) -> Any:
        return self._newest_look(values, request) if values[self.found] == data_view.NOTHING else gr.skip()

    def _newest_look(self, values: dict[Any, Any], request: gr.Request) -> Any:
        """The result of `_look_into`, unless the visitor has chosen other data meanwhile: a slow look must
        not replace a later one."""
        visitor, mine = request.session_hash or "", object()
        self.looks[visitor] = mine
        found = self._look_into(values)
        return found if self.looks.get(visitor) is mine else gr.skip()

    def _look_into(self, values: dict[Any, Any]) -> str:
        """The view of what a training would read, or the error that prevents it."""
        if not values[self.data]:
            return data_view.NOTHING
        name, source = values[self.data], self._source(values[self.data])
        how = {
            "fit": "crop",
            **{option: values[control] for option, control in self._reading_controls.items()},
        }
        try:
            self._check_allowed(name)
            found = data.load(source, size=int(values[self.size]), most=_LOOKED, **how)
        except StudioError as error:  # in whose words a file is named as it was dropped
            said = str(error).replace(f"{source}/", "").replace(source, name)
            return data_view.refused(
                f"{said} What you drop next replaces these." if _is_loose(name) else said
            )
        return data_view.view(
            data.summary(found, name, how["fit"]), found, values[self.archive].get(name, "")
        )

    @show_errors
    def _take(self, paths: list[str] | None, last: dict[str, str]) -> list[Any]:
        """Keep what was dropped, one zip or several pictures, as a data set, and choose it. `last` names the
        one that the visitor dropped before.
        """
        files = [Path(one) for one in paths or []]
        try:
            name, found = self._kept(files, last)
        except StudioError as error:  # raised, it would take the place of both fields
            warn(str(error))
            return [gr.skip(), None, gr.skip()]
        finally:
            for one in files:
                one.unlink(missing_ok=True)
        left = f"Left out of what you dropped: {found.left_out}." if found.left_out.total else ""
        return [gr.Dropdown(choices=self._data(), value=name), None, {name: left}]

    def _kept(self, files: list[Path], last: dict[str, str]) -> tuple[str, UnpackResult]:
        """The name of the data set that the files become. Pictures replace those that were dropped before
        them, unless a training needs those.
        """
        zips = [one for one in files if one.suffix.lower() == ".zip"]
        if zips and len(files) > 1:
            raise DataError(
                f"Drop the zip alone: {zips[0].name} came with {len(files) - 1} other "
                f"file{'s' * (len(files) > 2)}."
            )
        old = None if zips else next(filter(self._is_replaceable, last), None)
        if self.hosting.hosted and len(self._data()) - len(data.present()) - bool(old) >= HOSTED_ARCHIVES:
            raise DataError(
                "There are too many data sets here already. Train on your own machine: diffusion-studio "
                "serve."
            )
        most = (MAX_UNPACKED_HOSTED if self.hosting.hosted else MAX_UNPACKED) * 10**6
        if zips:
            name = free_name(zips[0].stem, self._data())
            return name, unpack(zips[0], self.pictures / name, most)
        # beside the others, so that the old ones stay where the new ones are refused
        draft = self.hosting.runs / f".dropped-{secrets.token_hex(8)}"
        found = gather(files, draft, most)
        if old:
            shutil.rmtree(self.pictures / old)
        name = old or free_name(LOOSE, self._data())
        self.pictures.mkdir(parents=True, exist_ok=True)
        draft.rename(self.pictures / name)
        return name, found

    def _is_replaceable(self, name: str) -> bool:
        """Whether a data set was dropped as files, and no training was or is being made of it."""
        folder = self.pictures / name
        if not _is_loose(name) or not folder.is_dir():
            return False
        states = [self.runs.state(one) for one in self.runs.names()]
        starting = any(one.running and not one.has_config for one in states)  # of what is not known yet
        return not starting and not any(Path(one.config.data) == folder.resolve() for one in states)

    def _preset(self, preset: str, size: int) -> dict[Any, Any]:
        config = configured(preset, size, fit="crop")
        return {self.preset: gr.update(info=PRESETS[preset].help), **self.options.show(config)}

    def _config(self, values: dict[Any, Any]) -> TrainConfig:
        source = values[self.data]
        if not source:
            raise DataError("Choose pictures, or drop some.")
        self._check_allowed(source)
        given = {"name": (values[self.name] or "").strip(), "data": self._source(source)}
        if self.hosting.hosted:  # the values of the menus, whatever the page sends
            return configured(values[self.preset], values[self.size], fit="crop", **given)
        return build(
            TrainConfig,
            {**self.options.read(values), "size": values[self.size], **given},
            "option of the training",
        )

    def _check_allowed(self, name: str) -> None:
        if self.hosting.hosted and name not in self._data():
            raise DataError("Choose one of the data sets that are here, or drop pictures.")

    def _source(self, name: str) -> str:
        """The path of a dropped data set, or the name or path as it was given."""
        dropped = self.pictures / Path(name).name
        return str(dropped.resolve()) if dropped.is_dir() else name

    @partial(show_errors, words=lambda error: escape(_error_text(error), quote=False))
    def _train(self, values: dict[Any, Any]) -> list[Any]:
        config = self._config(values)
        taken = [*self.runs.names(), *(card.name for card in self.studio.models()), self.pictures.name]
        name = free_name(config.name or Path(config.data).stem, taken)
        self.runs.start(name, config, *save_intervals(config))
        shown = gr.Dropdown(choices=self.runs.names(), value=name, visible=True)
        return [shown, *self._look(name, values[self.sent])]

    @show_errors
    def _stop(self, name: str | None, sent: list[str]) -> list[Any]:
        self.runs.stop(self._chosen(name))
        return self._look(name, sent)

    @show_errors
    def _resume(self, name: str | None, sent: list[str]) -> list[Any]:
        state = self.runs.state(self._chosen(name))
        self.runs.resume(state.name, *save_intervals(state.config))
        return self._look(name, sent)

    @show_errors
    def _use(self, name: str | None) -> dict[Any, Any]:
        state = self.runs.state(self._chosen(name))
        if state.model is None:
            raise OptionError(
                "run",
                f"{state.name} has no checkpoint yet. The first is saved after "
                f"{save_intervals(state.config)[1]:,} images, or when you press Stop.",
            )
        return self.use(self.studio.open(state.model, name=state.name))

    def _chosen(self, name: str | None) -> str:
        if name not in self.runs.names():
            raise OptionError(
                "run", "Choose a training first." if not name else f"The training {name} is no longer there."
            )
        return name

    @property
    def _shown(self) -> list[Any]:
        """What `_look` updates."""
        return [self.view, self.stop, self.resume, self.use_it, self.samples, self.sent]

    def _look(self, name: str | None, sent: list[str]) -> list[Any]:
        """Updates of the view, of the buttons that make sense now, and of the samples where there are new
        ones. `sent` says which the page has.
        """
        if name not in self.runs.names():
            return [self._nothing(), *(gr.Button(visible=False) for _ in range(3)), None, []]
        state = self.runs.state(name)
        return [
            training_view.view(state),
            gr.Button(visible=True, interactive=state.running and not state.stopping),
            gr.Button(visible=True, interactive=state.paused),  # where another trains, pressing it says which
            gr.Button(visible=True, interactive=state.model is not None),
            *self._samples(state, sent),
        ]

    def _samples(self, state: RunState, sent: list[str]) -> list[Any]:
        """Updates of the samples and of `sent`: sheets travel once, not at every look."""
        there = [state.name, *(path.name for path in state.samples)]
        if there == sent:
            return [gr.skip(), gr.skip()]
        return [shown_value(state.name, state.samples), there]


def _is_loose(name: str) -> bool:
    """Whether this is the name of a data set that was dropped as files."""
    return re.fullmatch(rf"{LOOSE}(-\d+)?", name) is not None


def _error_text(error: StudioError) -> str:
    """The error's sentence with the labels of this tab."""
    if not isinstance(error, OptionError):
        return str(error)
    return error.worded(lambda field: LABELS.get(field) or label_of(field), NOTHING_TYPED)
