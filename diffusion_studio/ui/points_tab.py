"""The Points tab: a shape, drawn or chosen, dissolves into noise; a network learns it in seconds; noise flows
back into it.

The experiment of figure 1 of Sohl-Dickstein et al. 2015, with the visitor's own drawing.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np

from .. import files
from ..data.point_sets import POINT_SETS
from ..errors import OptionError, StudioError
from ..imaging.frame import Frame
from ..runs.recipe import Recipe
from ..studio import Studio
from .compute import Compute, Progress, Turn
from .export_panel import ExportPanel
from .generate_tab import COMPUTE, TICK_SECONDS
from .handlers import sentence, show_errors
from .hosting import Hosting
from .pad import drawing, pad
from .player import STOPPED, player, tick
from .quick_save import QuickSave
from .runs import free_name
from .store import RunStore

DRAWN = "my drawing"
POINTS = 2000
STEPS = (300, 4000, 1500)  # of training: fewest, most, and to begin with
KEPT_MODELS = 24  # of all visitors together; a tenth of a megabyte each
HINT = "Choose or draw a shape, then press <b>1</b>, <b>2</b>, <b>3</b>."
INTRO = (
    "**1** dissolves the shape into noise, step by step. **2** trains a small network to undo that, while "
    "you watch. **3** starts from fresh noise and lets the network lead every point back. A point keeps the "
    "colour of the place where it began."
)


@dataclass
class Trained:
    """A visitor's network for a shape, the folder of its file, and the name by which Generate has it, if
    it does.
    """

    model: Any
    shape: str
    folder: TemporaryDirectory
    name: str = ""


class PointsTab:
    """Renders into the surrounding Blocks. `use(name)` gives the updates that make a model the chosen one
    of Generate.
    """

    def __init__(
        self,
        studio: Studio,
        store: RunStore,
        compute: Compute,
        hosting: Hosting,
        use: Callable[[str], dict[Any, Any]],
        outputs: list[Any],
    ) -> None:
        self.studio, self.store, self.compute, self.hosting, self.use = studio, store, compute, hosting, use
        self._trained: dict[str, Trained] = {}  # the latest last
        self._lock = threading.Lock()
        gr.Markdown(INTRO, elem_id="points-intro")
        with gr.Row(elem_id="points-stage"):
            with gr.Column(elem_id="points-quick"):
                self.shape = gr.Dropdown(
                    [*POINT_SETS, DRAWN], value="swiss-roll", label="Shape", elem_id="shape"
                )
                self.pad = pad(visible=False, elem_id="pad")
                self.forward = gr.Button("1  Dissolve it into noise", elem_id="points-forward")
                with gr.Group():
                    self.steps = gr.Slider(
                        *STEPS[:2],
                        value=STEPS[2],
                        step=100,
                        label="Training steps",
                        elem_id="points-steps",
                        info="More are sharper; 1500 take some seconds on a free core.",
                    )
                    self.train = gr.Button(
                        "2  Train a network on it", variant="primary", elem_id="points-train"
                    )
                with gr.Group():
                    self.sampler = gr.Radio(
                        [
                            ("DDIM: straight, no fresh noise", "ddim"),
                            ("DDPM: fresh noise at every step", "ddpm"),
                        ],
                        value="ddim",
                        label="Way back",
                        elem_id="points-sampler",
                    )
                    self.reverse = gr.Button("3  Lead noise back into it", elem_id="points-reverse")
                self.stop = gr.Button("Stop", elem_id="points-stop")
                self.use_it = gr.Button("Use your network in Generate", visible=False, elem_id="points-use")
                self.file = gr.File(
                    label="Your network, for checkpoints/NAME/",
                    height=80,
                    interactive=False,
                    visible=False,
                    elem_id="points-network",
                )
            with gr.Column(elem_id="points-view"):
                self.player = player(self._frames, hint=HINT, elem_id="points-player")
                self.status = gr.HTML("", elem_id="points-status", min_height=24)
                self.export = ExportPanel(store, self.player, prefix="points-")
        self.saving = QuickSave(store, self.player, prefix="points-")
        self._connect(outputs)

    def _connect(self, outputs: list[Any]) -> None:
        private: dict[str, Any] = {"api_visibility": "private"}
        run: dict[str, Any] = {
            "concurrency_id": COMPUTE,
            "concurrency_limit": None,
            "show_progress": "hidden",
            "show_progress_on": [self.status],
            **private,
        }
        self.shape.change(
            lambda shape: gr.update(visible=shape == DRAWN), self.shape, self.pad, queue=False, **private
        )
        drawn, run["js"] = [self.shape, self.pad], _TO_VIEW
        started = [
            self.forward.click(self._forward, drawn, [self.player, self.status], **run),
            self.train.click(
                self._train, [*drawn, self.steps], [self.player, self.status, self.file, self.use_it], **run
            ),
            self.reverse.click(self._reverse, [*drawn, self.sampler], [self.player, self.status], **run),
        ]
        self.use_it.click(self._use, None, outputs, **private)
        for one in started:
            one.failure(None, self.player, self.player, js=STOPPED, queue=False, **private)
        self.stop.click(None, self.player, self.player, js=STOPPED, cancels=started, queue=False, **private)

    def _frames(self, run: object) -> list[Any] | None:
        found = self.store.get(run)
        return found.frames if found else None

    # ---- what the buttons do

    def _forward(self, shape: str, sketch: Any, request: gr.Request) -> Iterator[tuple[Any, str]]:
        try:
            from ..data import points
            from ..diffusion.schedule import SCHEDULES
            from ..inside.forward import forward

            with _source(shape, sketch) as source:
                data = points.load(source, "test", POINTS).points[:POINTS]
            frames = forward(data, SCHEDULES["cosine"](), 50)
            labels = {"doing": "dissolving", "right": "the data it came from"}
            for told in self._watched(
                request,
                Recipe(model=f"{_named(shape)}-dissolving", points=len(data), steps=50, clip=False),
                frames,
                labels,
            ):
                yield (
                    told,
                    "Each step keeps a little less of the shape and adds a little noise; after the last "
                    "nothing of it is left.",
                )
        except StudioError as error:
            raise sentence(error) from error

    def _train(
        self, shape: str, sketch: Any, steps: int, request: gr.Request
    ) -> Iterator[tuple[Any, str, Any, Any]]:
        try:
            from ..training.live import new_folder, watched

            steps = int(min(max(steps, STEPS[0]), STEPS[1]))
            folder, last = new_folder(), []
            with _source(shape, sketch) as source:
                looks = watched(source, folder.name, steps, f"my-{_named(shape)}")

                def frames() -> Iterator[Frame]:
                    for look in looks:
                        last[:] = [look]
                        yield look.frame

                labels = {
                    "doing": "training",
                    "left": "what the network makes now",
                    "right": "the data it learns from",
                    "plain": "x0",
                }
                recipe = Recipe(model=f"{_named(shape)}-training", points=POINTS, clip=False)
                for told in self._watched(request, recipe, frames(), labels, last_place=True):
                    yield told, _progress(last[0]) if last else "", gr.skip(), gr.skip()
            if last and last[0].model is not None:
                self._keep(request, Trained(last[0].model, _key(shape, sketch), folder))
                done = f"{_progress(last[0])} Now press <b>3</b>."
                yield (
                    gr.skip(),
                    done,
                    gr.update(value=f"{folder.name}/model.safetensors", visible=True),
                    gr.update(visible=True),
                )
        except StudioError as error:
            raise sentence(error) from error

    def _reverse(
        self, shape: str, sketch: Any, sampler: str, request: gr.Request
    ) -> Iterator[tuple[Any, str]]:
        try:
            model, said = self._model(shape, sketch, request)
            recipe = Recipe(
                model=model.spec.name,
                points=POINTS,
                sampler=sampler,
                clip=False,
                seeds=(np.random.randint(1_000_000),),
                label=shape if shape in model.spec.labels else None,
            )
            from ..runs.generate import stream

            for told in self._watched(request, recipe, self.compute.call(lambda: stream(model, recipe)), {}):
                yield told, said
        except StudioError as error:
            raise sentence(error) from error

    @show_errors
    def _use(self, request: gr.Request) -> dict[Any, Any]:
        return self.use(self._own_name(request.session_hash or ""))

    def _own_name(self, visitor: str) -> str:
        """The name by which recipes call the visitor's own network."""
        with self._lock:
            own = self._trained.get(visitor)
            if own is None:
                raise OptionError("model", "Your network is no longer kept. Press 2 to train one.")
            if not own.name:  # secret where other visitors could guess it
                taken = [
                    *(card.name for card in self.studio.models()),
                    *(one.name for one in self._trained.values()),
                ]
                wanted = f"my-points-{secrets.token_hex(6)}" if self.hosting.hosted else "my-points"
                self._open(own, free_name(wanted, taken))
            return own.name

    def recipe_shown(self, value: object, request: gr.Request) -> Recipe:
        """The recipe of the run that the player shows, by a model that others find too."""
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise OptionError("branch", "There is no run to compare with yet. Press 3 first.")
        if run.recipe.model in [card.name for card in self.studio.models()]:
            return run.recipe
        return replace(run.recipe, model=self._own_name(request.session_hash or ""))

    def _open(self, own: Trained, name: str) -> None:
        own.name = self.studio.open(Path(own.folder.name) / "model.safetensors", name=name, listed=False)

    # ---- runs and networks

    def _watched(
        self,
        request: gr.Request,
        recipe: Recipe,
        frames: Iterator[Frame],
        labels: dict[str, str],
        last_place: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Ticks of a run that is recorded while it computes. With `last_place` its length shows only at
        its end.
        """
        run = self.store.open(request.session_hash or "", recipe)

        def recorded() -> Iterator[tuple[int, Frame]]:
            kept = 0
            for frame in frames:
                place = self.store.append(run, frame)
                kept = kept if place is None else place
                yield kept, frame

        for found in self.compute.watched(recorded(), TICK_SECONDS, Turn(self.compute)):
            if isinstance(found, Progress):  # it waits; Gradio sees here whether the page is still open
                yield gr.skip()
                continue
            place, frame = found
            last = place if last_place else self.store.last_place(frame)
            yield {**tick(run, place, last, frame), **labels}

    def _keep(self, request: gr.Request, trained: Trained) -> None:
        visitor = request.session_hash or ""
        with self._lock:
            before = self._trained.pop(visitor, None)
            if before is not None and before.name:
                self._open(trained, before.name)  # Generate may have it chosen
            self._trained[visitor] = trained
            oldest = list(self._trained)[:-KEPT_MODELS]
        for one in oldest:
            self.forget(one)

    def forget(self, visitor: str) -> None:
        """Free the network of a visitor whose page has closed."""
        with self._lock:
            gone = self._trained.pop(visitor, None)
        if gone is not None and gone.name:
            self.studio.forget(gone.name)

    def _model(self, shape: str, sketch: Any, request: gr.Request) -> tuple[Any, str]:
        """The visitor's own network for the shape, or a bundled one of its name, with a sentence that says
        which.
        """
        with self._lock:
            own = self._trained.get(request.session_hash or "")
        if own is not None and own.shape == _key(shape, sketch):
            return own.model, "From fresh noise, by the network that you trained."
        for card in self.studio.models():
            if card.spec.makes == "points" and (card.name == shape or shape in card.spec.labels):
                return self.compute.call(
                    lambda: self.studio.model(card.name)
                ), f"From fresh noise, by the network {escape(card.name)}. Press <b>2</b> to train your own."
        raise OptionError("shape", "No network has learned this shape yet. Press 2 first.")


# On a phone the cloud lies below what was pressed.
_TO_VIEW = """(...given) => {
  if (innerWidth <= 860) document.querySelector('#points-view').scrollIntoView({behavior: 'smooth'});
  return given; }"""


class _source:
    """The data of a shape: its name, or a picture file of the drawing that lasts as long as the `with`."""

    def __init__(self, shape: str, sketch: Any) -> None:
        if shape not in POINT_SETS and shape != DRAWN:
            raise OptionError(
                "shape", f"There is no shape {shape!r:.80}. Choose one of the list, or draw one."
            )
        self.shape, self.sketch, self.folder = shape, sketch, None

    def __enter__(self) -> str:
        if self.shape != DRAWN:
            return self.shape
        png = drawing(self.sketch)
        self.folder = TemporaryDirectory(prefix="diffusion-studio-drawing-")
        path = Path(self.folder.name) / "drawing.png"
        files.write_bytes(path, png)
        return str(path)

    def __exit__(self, *error: object) -> None:
        if self.folder is not None:
            self.folder.cleanup()


def _key(shape: str, sketch: Any) -> str:
    """What tells shapes apart: a name, or the drawing's own bytes."""
    if shape != DRAWN:
        return shape
    return hashlib.sha256(drawing(sketch)).hexdigest()


def _named(shape: str) -> str:
    return "drawing" if shape == DRAWN else shape


def _progress(look: Any) -> str:
    loss = "" if look.loss is None else f", loss {look.loss:.3f}"
    return f"{look.frame.index} steps in {look.seconds:.1f} s{loss}."
