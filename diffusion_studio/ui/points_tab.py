"""The Points tab: a shape dissolves into noise, a network learns it in seconds, and noise becomes the shape
again.

The experiment of figure 1 of Sohl-Dickstein et al. 2015, with the visitor's own drawing.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from .. import files
from ..data.point_sets import POINT_SETS
from ..errors import OptionError, StudioError
from ..imaging.frame import Frame
from ..runs.recipe import Recipe
from ..studio import Studio
from .compute import Compute, Progress, RunEnded, Turn, duration
from .export_panel import ExportPanel
from .generate_tab import COMPUTE, TICK_SECONDS
from .handlers import always_answers, sentence, show_errors
from .hosting import Hosting
from .newest import ActiveRun, NewestRuns
from .pad import drawing, pad
from .page_script import call_action
from .picker import picker
from .player import packed, player, tick
from .quick_save import QuickSave
from .run_view import RunView
from .runs import free_name
from .shape_pictures import shape_items
from .store import NoRecipe, RunStore, Source
from .waiting import Waiting

if TYPE_CHECKING:  # needs torch, which the page imports when it trains
    from ..training.live import LiveTraining, Look

DRAWN = "my drawing"
POINTS = 2000  # of a cloud that is shown
FIRST_SHAPE, OPENING_POINTS, OPENING_STEPS = "swiss-roll", 600, 20  # of what plays before the first press
STEPS = (300, 4000, 1500)  # of training: fewest, most, and the default
MAX_SECONDS = 90.0  # of training for one press of the button
KEPT_MODELS = 24  # of all visitors together; a tenth of a megabyte each
STOP_SECONDS = 60.0  # that a stopped training may take to write its network
PRESS = "Press 1, 2 or 3"
INTRO = (
    "Here the data is a cloud of points. **1** dissolves it into noise, step by step. **2** trains a small "
    "network to undo that, while you watch. **3** starts from fresh noise, and the network leads every point "
    "back. A point keeps the colour of the place where it began."
)
DISSOLVED = (
    "Each step keeps a little less of the shape and adds a little noise. After the last step, nothing of the "
    "shape is left."
)

_HINT = "Choose or draw a shape, then press <b>1</b>, <b>2</b>, <b>3</b>."
_GUESS = "<i>x</i><sub>0</sub> the network's guess of the shape"


@dataclass
class OwnNetwork:
    """A visitor's network for a shape, in training or trained.

    `key` identifies the shape and `title` names it. `folder` holds the model file. `name` is what Generate
    calls the network, empty until it is opened there. `run` is the recording of its last training. `over` is
    set while nobody trains it.
    """

    training: LiveTraining
    key: str
    title: str
    folder: TemporaryDirectory
    name: str = ""
    run: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> int:
        """Training steps that are not made yet."""
        return self.training.steps - self.training.done


def _until_replaced(outputs: int) -> Callable[[Callable[..., Iterator[Any]]], Callable[..., Iterator[Any]]]:
    """For a handler that updates `outputs` components: it ends without a word where a later press has taken
    its place.
    """

    def decorate(handler: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        @always_answers(outputs)
        @wraps(handler)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with suppress(RunEnded):
                yield from handler(*args, **kwargs)

        return steps

    return decorate


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
        self.studio, self.compute, self.hosting, self.use = studio, compute, hosting, use
        self.runs = RunView(store, PRESS)
        self.max_seconds = MAX_SECONDS
        self._trained: dict[str, OwnNetwork] = {}  # by visitor, the latest last
        self._training: dict[str, OwnNetwork] = {}  # by visitor
        self._newest: NewestRuns[str] = NewestRuns()  # by visitor
        self.waiting = Waiting()
        self._lock = threading.Lock()
        gr.Markdown(INTRO, elem_id="points-intro")
        with gr.Row(elem_id="points-stage"):
            with gr.Column(elem_id="points-quick"):
                self._render_steps()
            with gr.Column(elem_id="points-view"):
                self.player = player(
                    self.runs.frames,
                    hint=_HINT,
                    waiting=self.waiting.at,
                    opening=_opening,
                    elem_id="points-player",
                )
                self.status = gr.HTML("", elem_id="points-status", min_height=24)
                self.export = ExportPanel(store, self.player, prefix="points-", press=PRESS)
        self.saving = QuickSave(store, self.player, prefix="points-", press=PRESS)
        self._connect(outputs)

    def _render_steps(self) -> None:
        self.press = gr.Textbox(visible=False)
        self.shape = picker(shape_items(DRAWN), FIRST_SHAPE, label="Shape", look="cards", elem_id="shape")
        self.pad = pad(visible=False, elem_id="pad")
        self.stops: list[gr.Button] = []  # one beside each button that begins a run
        with gr.Row(elem_classes="points-press"):
            self.forward = gr.Button("1  Dissolve it into noise", elem_id="points-forward", min_width=80)
            self._render_stop()
        with gr.Group():
            self.steps = gr.Slider(
                *STEPS[:2],
                value=STEPS[2],
                step=100,
                label="Training steps",
                elem_id="points-steps",
                info="More steps give a sharper shape and take longer. How long is said while it trains.",
            )
            with gr.Row(elem_classes="points-press"):
                self.train = gr.Button(
                    "2  Train a network on it", variant="primary", elem_id="points-train", min_width=80
                )
                self._render_stop()
            self.more = gr.Button("Go on", visible=False, elem_id="points-more")
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
            with gr.Row(elem_classes="points-press"):
                self.reverse = gr.Button("3  Lead noise back into it", elem_id="points-reverse", min_width=80)
                self._render_stop()
        self.use_it = gr.Button("Use your network in Generate", visible=False, elem_id="points-use")
        self.file = gr.File(
            label="Your network, for checkpoints/NAME/",
            height=80,
            interactive=False,
            visible=False,
            elem_id="points-network",
        )

    def _render_stop(self) -> None:
        """A Stop that the page shows while the run of the button before it goes on."""
        self.stops.append(gr.Button("Stop", elem_classes="points-stop", scale=0, min_width=72))

    def _connect(self, outputs: list[Any]) -> None:
        private: dict[str, Any] = {"api_visibility": "private"}
        run: dict[str, Any] = {
            "concurrency_id": COMPUTE,
            "concurrency_limit": None,
            "show_progress": "hidden",
            "show_progress_on": [self.status],
            "trigger_mode": "multiple",  # the run before is ended, so no press is left out
            **private,
        }
        drawn, trained = [self.shape, self.pad], [self.status, self.file, self.use_it, self.more]
        pressed = [self.press, *drawn]
        self.shape.input(
            self._chosen, self.shape, [self.pad, self.more], queue=False, show_progress="hidden", **private
        )
        started: list[Any] = [
            self.forward.click(
                self._forward,
                pressed,
                [self.player, self.status],
                js=call_action("pressPoints", DRAWN, "forward", []),
                **run,
            ),
            self.train.click(
                self._train,
                [*pressed, self.steps],
                [self.player, *trained],
                js=call_action("pressPoints", DRAWN, "train", ["steps"]),
                **run,
            ),
            self.more.click(
                self._train_more,
                pressed,
                [self.player, *trained],
                js=call_action("pressPoints", DRAWN, "train", []),
                **run,
            ),
            self.reverse.click(
                self._reverse,
                [*pressed, self.sampler],
                [self.player, self.status],
                js=call_action("pressPoints", DRAWN, "reverse", ["sampler"]),
                **run,
            ),
        ]
        gr.on(
            [self.shape.input, self.pad.change, self.steps.change, self.sampler.change],
            None,
            [*drawn, self.steps, self.sampler],
            js=call_action("showPointsSettings", DRAWN),
            queue=False,
            **private,
        )
        self.use_it.click(self._use, None, outputs, **private)
        for one in started:
            one.failure(None, self.player, self.player, js=call_action("endPoints"), queue=False, **private)
        gr.on(
            [one.click for one in self.stops],
            None,
            self.player,
            self.player,
            js=call_action("endPoints"),
            cancels=started,
            queue=False,
            **private,
        ).then(self._stopped, self.player, [self.player, *trained], show_progress="hidden", **private)

    # ---- what the buttons do

    def _chosen(self, shape: str, request: gr.Request) -> list[Any]:
        """Updates of the pad and of "Go on" for a shape that was chosen."""
        with self._lock:
            own = self._trained.get(request.session_hash or "")
        unfinished = own is not None and own.title == shape and not own.training.finished
        return [gr.update(visible=shape == DRAWN), gr.update(visible=unfinished)]

    @_until_replaced(2)
    def _forward(self, press: str, shape: str, sketch: Any, request: gr.Request) -> Iterator[tuple[Any, str]]:
        with self._replace_run(press, request, "Preparing the cloud") as (active, stopped):
            from ..data import points
            from ..diffusion.schedule import SCHEDULES
            from ..inside.forward import forward

            with _source(shape, sketch) as source:
                data = points.load(source, "test", POINTS).points[:POINTS]
            frames = forward(data, SCHEDULES["cosine"](), 50)
            look = {
                **_DISSOLVING,
                "replay": True,
                "words": f"{_shape_title(shape)} · dissolved in 50 steps",
                "note": _stopped_early(stopped).strip(),
            }
            source = NoRecipe(f"{_named(shape)}-dissolving")
            for shown in self._watched(request, active, source, frames, look):
                yield shown, DISSOLVED + _stopped_early(stopped)

    @_until_replaced(5)
    def _train(
        self, press: str, shape: str, sketch: Any, steps: int, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Train a new network on the shape."""
        steps = int(min(max(steps, STEPS[0]), STEPS[1]))

        def begin() -> OwnNetwork:
            from ..training.live import LiveTraining, new_folder

            folder = new_folder()
            with _source(shape, sketch) as source:
                training = LiveTraining(source, folder.name, steps, f"my-{_named(shape)}")
            return OwnNetwork(training, _shape_key(shape, sketch), shape, folder)

        yield from self._learn(begin, press, shape, sketch, request)

    @_until_replaced(5)
    def _train_more(
        self, press: str, shape: str, sketch: Any, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Make the training steps that the visitor's network still lacks."""

        def begin() -> OwnNetwork:
            with self._lock:
                own = self._trained.get(request.session_hash or "")
            if own is None or own.training.finished or own.key != _shape_key(shape, sketch):
                raise OptionError(
                    "shape", "Your network did not begin to learn this shape. Press 2 to train one on it."
                )
            return own

        yield from self._learn(begin, press, shape, sketch, request)

    def _learn(
        self, begin: Callable[[], OwnNetwork], press: str, shape: str, sketch: Any, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Ticks and progress of a training. The network is kept however the training ends."""
        visitor, looks = request.session_hash or "", []

        def frames() -> Iterator[Frame]:
            own = begin()
            own.over.clear()
            with self._lock:
                self._training[visitor] = own
            try:
                for look in own.training.looks(self.max_seconds):
                    looks[:] = [look]
                    yield look.frame
            finally:
                with self._lock:
                    stays = self._training.pop(visitor, None) is own  # else the page has closed
                if stays and own.training.model is not None:
                    self._keep(visitor, own)
                own.over.set()

        source = NoRecipe(f"{_named(shape)}-training")
        look = {**_TRAINING, "words": f"{_shape_title(shape)} · training"}
        with self._replace_run(press, request, "Preparing the network") as (active, _):
            newest: dict[str, Any] = {}
            offered = self._offer_while_learning(visitor, shape, sketch)
            for shown in self._watched(request, active, source, frames(), look, last_place=True):
                with self._lock:
                    own = self._training.get(visitor)
                if "run" in shown:
                    newest = shown
                    if own is not None:
                        own.run = shown["run"]
                hidden = gr.update(visible=False)
                yield shown, _progress(looks[0]) if looks else "", *offered, hidden
                offered = [gr.skip(), gr.skip()]
            with self._lock:
                own = self._trained.get(visitor)
            if own is not None and looks and newest and own.training.model is not None:
                by_limit = looks[0].model is not None and not own.training.finished  # not by a later press
                limit = f" at the limit of {duration(self.max_seconds)}" if by_limit else ""
                updates = _network(own, limit)
                if active.replaced:  # player and status are those of the later press
                    yield gr.skip(), gr.skip(), *updates[1:]
                else:
                    yield {**newest, "stopped": True}, *updates

    def _offer_while_learning(self, visitor: str, shape: str, sketch: Any) -> list[Any]:
        """Updates of the file and of "Use" while a shape is being learned: they are those of the network
        before, and say which shape it learned.
        """
        with self._lock:
            own = self._trained.get(visitor)
        if own is None:
            return [gr.skip(), gr.skip()]
        earlier = own.title == DRAWN == shape and own.key != _shape_key(shape, sketch)
        return [
            {**one, "visible": True} for one in _offer_updates(own, "your earlier drawing" if earlier else "")
        ]

    def _stopped(self, value: object, request: gr.Request) -> list[Any]:
        """Updates after Stop. If a training was stopped: the network of that moment, and points that it
        generates.
        """
        visitor = request.session_hash or ""
        if not isinstance(value, dict) or value.get("doing") != "training":
            return [gr.skip()] * 5
        with self._lock:
            own = self._training.get(visitor) or self._trained.get(visitor)
        if own is None or not own.over.wait(STOP_SECONDS) or own.training.model is None:
            return [gr.skip()] * 5
        return [self._last_look(own, value), *_network(own, "")]

    def _last_look(self, own: OwnNetwork, value: dict[str, Any]) -> Any:
        """The player's update for a stopped training: its last state is that of the step it stopped at."""
        run = self.runs.store.get(own.run)
        if run is None or value.get("run") != own.run or not run.frames:
            return gr.skip()
        if run.frames[-1].index < own.training.done:
            self.runs.store.append(own.run, self.compute.call(own.training.look).frame)
        place, frame = len(run.frames) - 1, run.frames[-1]
        look = {name: value[name] for name in (*_TRAINING, "words") if name in value}
        return {**tick(own.run, place, place, frame), **look, "stopped": True}

    @_until_replaced(2)
    def _reverse(
        self, press: str, shape: str, sketch: Any, sampler: Any, request: gr.Request
    ) -> Iterator[tuple[Any, str]]:
        with self._replace_run(press, request, "Loading the network") as (active, stopped):
            from ..runs.generate import stream

            model, origin, unfinished = self._model(shape, sketch, request)
            recipe = Recipe(
                model=model.spec.name,
                points=POINTS,
                sampler=sampler,
                clip=False,
                seeds=(np.random.randint(1_000_000),),
                label=shape if shape in model.spec.labels else None,
            )
            frames = self.compute.call(lambda: stream(model, recipe))
            look: dict[str, Any] = {
                "left": "<i>x<sub>t</sub></i> the cloud now",
                "right": _GUESS,
                "words": f"{_shape_title(shape)} · from noise in {recipe.steps} steps by "
                f"{str(sampler).upper()}",
            }
            if unfinished is not None:  # in the player too: a blob without a shape is not the sampler's fault
                look["trained"] = [unfinished.training.done, unfinished.training.steps]
            early = "" if unfinished is not None and unfinished is stopped else _stopped_early(stopped)
            look["note"], said = early.strip(), origin + early
            for shown in self._watched(request, active, recipe, frames, look):
                yield shown, said

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
        """The recipe of the run that the player shows, with a model that other tabs can find."""
        recipe = self.runs.shown(value, "compare with")[0].recipe
        if recipe.model in [card.name for card in self.studio.models()]:
            return recipe
        return replace(recipe, model=self._own_name(request.session_hash or ""))

    def _open(self, own: OwnNetwork, name: str) -> None:
        own.name = self.studio.open(Path(own.folder.name) / "model.safetensors", name=name, listed=False)

    # ---- runs and networks

    @contextmanager
    def _replace_run(
        self, press: str, request: gr.Request, doing: str
    ) -> Iterator[tuple[ActiveRun, OwnNetwork | None]]:
        """End the visitor's run before, then give this one its turn. `doing` is what the player says until
        the first state. Errors reach the visitor as sentences. Raises `RunEnded` where a later press came
        meanwhile. Yields the run and the training that it ended, if there is one.
        """
        visitor = request.session_hash or ""
        active = self._newest.begin(visitor, press, _time_of(press))
        if active.ended.is_set() or not active.start():
            raise RunEnded
        with self._lock:
            training = self._training.get(visitor)  # it leaves with the run before
        self.waiting.prepare(press, doing if training is None else "Ending the training")
        try:
            if not active.wait_for_before(STOP_SECONDS):
                raise RunEnded
            if training is not None and not active.wait_for(training.over, STOP_SECONDS):
                raise RunEnded  # the training was stopped, and its network is not written yet
            self.waiting.prepare(press, doing)
            yield active, training
        except StudioError as error:
            if active.replaced:  # the page would take it for the end of the newer run
                raise RunEnded from error
            raise sentence(error) from error
        finally:
            active.over.set()
            self.waiting.leave(press)

    def _watched(
        self,
        request: gr.Request,
        active: ActiveRun,
        source: Source,
        frames: Iterator[Frame],
        look: dict[str, Any],
        last_place: bool = False,
    ) -> Iterator[Any]:
        """Ticks of a run that is recorded while it computes; `look` says how the player words it.

        With `last_place`, the number of frames is known only at the end.
        """
        store = self.runs.store
        run = store.open(request.session_hash or "", source)
        turn = Turn(self.compute, active.ended)
        watched = self.compute.watched(self.runs.record(run, frames), TICK_SECONDS, turn)
        for found in watched:
            if isinstance(found, Progress):  # it waits; Gradio sees here whether the page is still open
                yield gr.skip()
                continue
            place, frame = found
            last = place if last_place else store.last_place(frame)
            yield {**tick(run, place, last, frame), **look, "press": active.name}

    def _keep(self, visitor: str, own: OwnNetwork) -> None:
        with self._lock:
            before = self._trained.pop(visitor, None)
            if before is not None and before.name:
                self._open(own, before.name)  # Generate may have it chosen
            self._trained[visitor] = own
            oldest = list(self._trained)[:-KEPT_MODELS]
        for one in oldest:
            self._free_network(one)

    def forget(self, visitor: str) -> None:
        """End the run and free the network of a visitor whose page has closed."""
        self._newest.forget(visitor)
        self._free_network(visitor)

    def _free_network(self, visitor: str) -> None:
        with self._lock:
            self._training.pop(visitor, None)
            own = self._trained.pop(visitor, None)
        if own is not None and own.name:
            self.studio.forget(own.name)

    def _model(self, shape: str, sketch: Any, request: gr.Request) -> tuple[Any, str, OwnNetwork | None]:
        """A network for the shape, a sentence that says which (the visitor's own, or a bundled one), and the
        visitor's own where its training did not come to its end.
        """
        with self._lock:
            own = self._trained.get(request.session_hash or "")
        if own is not None and own.key == _shape_key(shape, sketch):
            early = f", which stopped {_progress_of(own)}: <b>Go on</b> makes the others"
            done = own.training.finished
            said = f"From fresh noise, by the network that you trained{'' if done else early}."
            return own.training.model, said, None if done else own
        for card in self.studio.models():
            if card.spec.makes == "points" and (card.name == shape or shape in card.spec.labels):
                model = self.compute.call(lambda: self.studio.model(card.name))
                return (
                    model,
                    f"From fresh noise, by the bundled network {escape(card.name)}. Press <b>2</b> to train "
                    "your own.",
                    None,
                )
        raise OptionError("shape", "No network has learned this shape yet. Press 2 first.")


_DISSOLVING: dict[str, Any] = {  # how the player words the forward process
    "doing": "dissolving",
    "left": "the cloud at this step",
    "right": "the data it came from",
    "views": ["cloud", "data"],
    "say": "{noise}. Each point has drifted from where it began, at the right.",
}


def _opening(shape: object) -> dict[str, Any] | None:
    """What plays before the first press: the first shape, or the given one, dissolves. None for a shape that
    is not of the list.
    """
    shape = shape or FIRST_SHAPE
    return _dissolved(shape) if isinstance(shape, str) and shape in POINT_SETS else None


@lru_cache(maxsize=len(POINT_SETS))
def _dissolved(shape: str) -> dict[str, Any]:
    """A shape that dissolves, with few points and in few steps, as the player takes a recording."""
    from ..data import points
    from ..diffusion.schedule import SCHEDULES
    from ..inside.forward import forward

    data = points.load(shape, "test", OPENING_POINTS).points[:OPENING_POINTS]
    frames = list(forward(data, SCHEDULES["cosine"](), OPENING_STEPS))
    look = {**_DISSOLVING, "shape": shape, "words": f"{_shape_title(shape)} · dissolving"}
    return {
        "tick": {**tick("opening", OPENING_STEPS, OPENING_STEPS, frames[-1]), **look},
        "frames": [packed(place, frame) for place, frame in enumerate(frames)],
    }


_TRAINING: dict[str, Any] = {  # how the player words a training
    "doing": "training",
    "unit": "training step",
    "left": "the cloud that the network makes now",
    "right": "the data it learns from",
    "views": ["cloud", "data"],
    "plain": "x0",
    "say": "After {index} training steps: at the left, what the network makes of noise by now.",
}


def _time_of(press: object) -> float:
    """When a press was made in the page, in milliseconds; the page names presses by it."""
    try:
        return float(str(press).partition(" ")[0])
    except ValueError:
        return 0.0


def _shape_title(shape: str) -> str:
    return "your drawing" if shape == DRAWN else shape.replace("-", " ")


class _source:
    """A shape as `data.points.load` takes it: its name, or a file of the drawing for the `with`."""

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


def _shape_key(shape: str, sketch: Any) -> str:
    """What identifies a shape: its name, or the hash of the drawing."""
    if shape != DRAWN:
        return shape
    return hashlib.sha256(drawing(sketch)).hexdigest()


def _named(shape: str) -> str:
    return "drawing" if shape == DRAWN else shape


def _progress(look: Look) -> str:
    loss = "" if look.loss is None else f", loss {look.loss:.3f}"
    return f"{look.frame.index:,} training steps in {look.seconds:.1f} s{loss}."


def _progress_of(own: OwnNetwork) -> str:
    return f"after {own.training.done:,} of {own.training.steps:,} steps"


def _stopped_early(own: OwnNetwork | None) -> str:
    """The sentence about a training that a later press ended before its last step, or nothing."""
    if own is None or own.training.finished:
        return ""
    return f" The training on {_shape_title(own.title)} was stopped {_progress_of(own)}."


def _offer_updates(own: OwnNetwork, title: str = "") -> list[dict[str, Any]]:
    """Updates of the file and of "Use" that name the shape that a network learned."""
    title = title or _shape_title(own.title)
    return [
        gr.update(label=f"Your network of {title}, for checkpoints/NAME/"),
        gr.update(value=f"Use your network of {title} in Generate"),
    ]


def _network(own: OwnNetwork, limit: str) -> tuple[Any, ...]:
    """Updates of the status, the file, "Use" and "Go on" for a network whose training ended.

    `limit` says which limit ended it.
    """
    training = own.training
    if training.finished:
        status = f"Trained: {training.done:,} steps in {training.seconds:.1f} s. Now press <b>3</b>."
    else:
        status = (
            f"The training stopped{limit}, {_progress_of(own)}. "
            "Press <b>Go on</b>, or <b>3</b> to use the network as it is."
        )
    file, use = _offer_updates(own)
    return (
        status,
        {**file, "value": f"{own.folder.name}/model.safetensors", "visible": True},
        {**use, "visible": True},
        gr.update(value=f"Go on: {own.left:,} more steps", visible=not training.finished),
    )
