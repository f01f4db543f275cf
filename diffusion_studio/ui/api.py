"""Named endpoints for programs and assistants: /animate, /stream, /grid, /models and /inspect_checkpoint.

See docs/api.md for their use with `gradio_client` and over MCP. Gradio makes the tools of an assistant from
the same functions: a docstring begins with what the tool does, and "Args:" has one line for each parameter.
"""

from __future__ import annotations

import base64
import inspect
import io
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api as endpoint
from gradio.utils import get_upload_folder, is_in_or_equal

from .. import checkpoint
from ..compare.files import formats
from ..compare.grid import Grid, sweeping
from ..compare.recipes import MOST_CELLS, GridRecipe
from ..compare.text import axis_of
from ..diffusion.noise import MAX_SEED
from ..errors import CheckpointError, OptionError, unknown
from ..export import FORMATS, ExportOptions, join_or
from ..export.render import canvas
from ..files import safe_name
from ..imaging.arrays import to_pil
from ..imaging.frame import Frame
from ..runs.recipe import ANY, MAX_PICTURES, Recipe
from ..studio import Studio
from .compute import Compute, Turn
from .export_panel import export_file
from .generate_tab import COMPUTE
from .handlers import show_errors
from .price import Prices
from .scratch import served_file
from .store import RunStore
from .zero_gpu import gpu_stream

COUNT = 16  # pictures of a run that does not say how many
TICK_SECONDS = 0.2  # between two looks at whether somebody still waits
AHEAD = 32  # states of a streamed run that wait for a slow program; then the run waits too
_SETTINGS = """model: a name from models; empty is the first one.
        label: one of the model's labels; empty is any.
        steps: how many steps; left out, as suits the model. None is as if left out, for every parameter.
        sampler: a name, or an object (or its JSON) with options, {"name": "heun", "churn": 2}.
        spacing: the same for the spacing of the steps, {"name": "karras", "rho": 5}.
        guidance: strength of the guidance; 1 is off; left out, as suits the model.
        seed: seed of the first picture; the next ones have seed + 1, seed + 2, ...
        count: how many pictures, 1 to PICTURES.
        view: what is shown: VIEWS.
        prompt: words, for models that read text.
        negative: words for what is not wanted, for models that read text.
        settings: any other fields of a recipe, as in the JSON of the app's link, \
{"interval": {"high": 3}, "classifier": {"name": "...", "scale": 2}, "guidance_scales": "1,5,2"}."""


def endpoints(studio: Studio, compute: Compute, store: RunStore, prices: Prices) -> None:
    """Add the endpoints to the surrounding Blocks; their runs count among those of `store`."""
    made = _Runs(studio, compute, store, prices)
    queued: dict[str, Any] = {"concurrency_id": COMPUTE, "concurrency_limit": None}
    endpoint(_animate(made), api_name="animate", **queued)
    endpoint(_stream(made), api_name="stream", **queued)
    endpoint(_grid(made), api_name="grid", **queued)
    endpoint(_models(studio), api_name="models")
    endpoint(_inspect(studio), api_name="inspect_checkpoint")


@dataclass
class _Runs:
    """The runs that programs ask for."""

    studio: Studio
    compute: Compute
    store: RunStore
    prices: Prices

    def __post_init__(self) -> None:
        self.gpu = gpu_stream(self.studio)

    def recipe(self, given: dict[str, Any]) -> Recipe:
        """The recipe of an endpoint's parameters."""
        first = _whole("seed", given["seed"], 0, 0, MAX_SEED)
        count = _whole("count", given["count"], COUNT, 1, MAX_PICTURES)
        label = given["label"]
        named = {
            "label": None if label in ("", ANY) else label,
            "seeds": tuple(range(first, first + count)),
            "prompt": given["prompt"] or None,
            "negative": given["negative"] or None,
        }
        chosen = {
            "steps": given["steps"],
            "guidance": given["guidance"],
            "sampler": _parsed("sampler", given["sampler"]),
            "spacing": _parsed("spacing", given["spacing"]),
        }
        named |= {name: value for name, value in chosen.items() if value is not None}
        more = given["settings"] or {}
        if not isinstance(more, dict) or (twice := more.keys() & {*named, *chosen, "model"}):
            raise OptionError(
                "settings",
                "must be an object of a recipe's other fields"
                + (
                    f"; {', '.join(sorted(twice))} has a parameter of its own. Give it there."
                    if isinstance(more, dict)
                    else f", got {more!r:.80}."
                ),
            )
        return self.studio.recipe(given["model"] or self.studio.models()[0].name, **named, **more)

    def animate(self, recipe: Recipe, format: str, options: ExportOptions) -> Iterator[Path | None]:
        """None while the run goes on, and its file."""
        visitor = secrets.token_urlsafe(16)  # of this one call: two must not push out each other
        try:
            run = self.store.open(visitor, recipe)
            turn = self.prices.turn(recipe)
            # Gradio asks for the next item while somebody waits for the result, and closes the generator else
            kept = (self.store.append(run, frame) for frame in self._frames(recipe, turn))
            for _ in self._watched(kept, TICK_SECONDS, turn):
                yield None
            made = self.store.get(run)
            if made is None or not made.frames:
                raise OptionError(
                    "count", "The server had no memory left for this run. Ask for fewer pictures or steps."
                )
            yield Path(export_file(made.trajectory, format, options))
        finally:
            for freed in self.store.forget(visitor):
                self.studio.free_states(freed)

    def states(self, recipe: Recipe) -> Iterator[Frame | None]:
        """Every state of a run when it is computed, and None while the next one is not yet there."""
        turn, made = self.prices.turn(recipe), deque[Frame]()

        def noted() -> Iterator[None]:
            for frame in self._frames(recipe, turn):
                made.append(frame)
                yield None
                while len(made) >= AHEAD and not turn.ended.is_set():
                    time.sleep(TICK_SECONDS / 4)

        finished = False  # nothing after the finished state: it is the answer to those who take only the last
        for _ in self._watched(noted(), 0, turn):
            if not made and not finished:
                yield None
            while made:
                frame = made.popleft()
                finished = frame.index == frame.total
                yield frame

    def grid(self, asked: GridRecipe, format: str) -> Iterator[Path | None]:
        """None while the cells are made, and the grid's file."""
        calls = sum(self.prices.calls(one) * one.pictures for one in asked.cells)
        advice = "Ask for fewer values, pictures or steps"
        turn = self.prices.turn_for(asked.cells[0], calls, "This grid", advice)
        run: Generator[Any, None, Grid] = self.compute.call(lambda: sweeping(asked, self.studio, turn.ask))
        made: list[Grid] = []
        for _ in self.compute.watched(_until_made(run, made), TICK_SECONDS, turn):
            yield None
        name = safe_name("grid", asked.recipe.model, suffix=FORMATS[format].suffix)
        yield Path(served_file(name, lambda path: made[0].save(path, format)))

    def _watched(self, made: Iterator[Any], pause: float, turn: Turn) -> Iterator[Any]:
        if self.gpu is not None:
            return self.compute.while_heard(made)
        return self.compute.watched(made, pause, turn)

    def _frames(self, recipe: Recipe, turn: Turn) -> Iterator[Frame]:
        if self.gpu is not None:
            return iter(self.gpu(recipe))
        return self.compute.call(lambda: self.studio.stream(recipe, turn.ask))


def _animate(runs: _Runs) -> Callable[..., Any]:
    @partial(show_errors, words=str)  # programs know settings by their names
    def animate(
        model: str = "",
        label: str = "",
        steps: int | None = None,
        sampler: str | dict | None = None,
        spacing: str | dict | None = None,
        guidance: float | None = None,
        seed: int = 0,
        count: int = COUNT,
        view: str = "x",
        format: str = "gif",
        prompt: str = "",
        negative: str = "",
        settings: dict | None = None,
    ) -> Iterator[gr.FileData | None]:
        """Make an animation of a diffusion model that turns noise into pictures, and return it as a file.

        The reverse process runs on the server; it ends when the call is cancelled. A run whose states take
        more than MEGABYTES MB keeps every k-th of them, and the last. The tool models lists the models, with
        their labels and example prompts.

        Args:
        SETTINGS
        format: of the file: FORMATS.

        Returns:
        The file. It carries its settings: the app opens it again.
        """
        given = {**locals()}  # the parameters, by name
        format = "gif" if format is None else format
        if not isinstance(format, str) or format not in FORMATS:
            raise unknown("format", format, FORMATS)
        options = _shown(view)
        for path in runs.animate(runs.recipe(given), format, options):
            yield None if path is None else gr.FileData(path=str(path))

    return _documented(
        animate, gr.FileData, MEGABYTES=str(runs.store.max_run_bytes >> 20), FORMATS=join_or(FORMATS)
    )


def _stream(runs: _Runs) -> Callable[..., Any]:
    @partial(show_errors, words=str)
    def stream(
        model: str = "",
        label: str = "",
        steps: int | None = None,
        sampler: str | dict | None = None,
        spacing: str | dict | None = None,
        guidance: float | None = None,
        seed: int = 0,
        count: int = 1,
        view: str = "x",
        prompt: str = "",
        negative: str = "",
        settings: dict | None = None,
    ) -> Iterator[dict | None]:
        """Run a diffusion model and send every state as it is made, from noise to the finished pictures.

        Args:
        SETTINGS

        Returns:
        index of the state: 0 is noise; and total, the index of the finished one
        calls of the network up to here
        log_snr: natural logarithm of the ratio of signal to noise; null at pure noise and at the end
        t: what the network is told; -1 at the end
        part of an edited run
        picture: a PNG as a data URL
        null in place of all: still at work
        """
        given = {**locals()}  # the parameters, by name
        options = _shown(view)
        for frame in runs.states(runs.recipe(given)):
            yield None if frame is None else _state(frame, options)

    return _documented(stream, dict)


def _until_made(run: Generator[Any, None, Grid], made: list[Grid]) -> Iterator[Any]:
    """The states of a grid's cells; at the end `made` holds the grid."""
    made.append((yield from run))


def _grid(runs: _Runs) -> Callable[..., Any]:
    @partial(show_errors, words=str)
    def grid(
        x: str,
        y: str = "",
        model: str = "",
        label: str = "",
        steps: int | None = None,
        sampler: str | dict | None = None,
        spacing: str | dict | None = None,
        guidance: float | None = None,
        seed: int = 0,
        count: int = 1,
        clock: str = "log-snr",
        format: str = "gif",
        prompt: str = "",
        negative: str = "",
        settings: dict | None = None,
    ) -> Iterator[gr.FileData | None]:
        """Compare settings of a diffusion model: one run for each value of one or two settings, all from the
        same noise, in one animation or one labelled sheet. At most CELLS runs.

        Args:
        x: the setting that varies from left to right, with its values: guidance=1, 2, 4.
        y: the one that varies from top to bottom, sampler=ddim, dpmpp_2m; empty is none.
        SETTINGS
        clock: what the runs have in common at each moment: log-snr (noise level), steps or calls.
        format: of the file: gif, mp4, webp, apng, or png, the labelled sheet.

        Returns:
        The file. It carries its settings: the app opens it again.
        """
        given = {**locals()}  # the parameters, by name
        asked = GridRecipe(runs.recipe(given), axis_of(x), axis_of(y) if y else None, clock)
        if format not in (allowed := formats(asked)):
            raise unknown("format", format, allowed)
        for path in runs.grid(asked, format):
            yield None if path is None else gr.FileData(path=str(path))

    return _documented(grid, gr.FileData, CELLS=str(MOST_CELLS))


def _state(frame: Frame, options: ExportOptions) -> dict[str, Any]:
    """A state as JSON."""
    picture = io.BytesIO()
    to_pil(canvas(frame, options)).save(picture, "png")
    level = frame.level
    return {
        "index": frame.index,
        "total": frame.total,
        "calls": frame.calls,
        "log_snr": level.log_snr if abs(level.log_snr) < float("inf") else None,
        "t": level.t,
        "part": frame.part,
        "picture": "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode(),
    }


def _documented(fn: Callable[..., Any], answer: type | None = None, **words: str) -> Callable[..., Any]:
    """The function with the words that its docstring leaves open. `answer` is the type of what a generator
    yields, which Gradio wants as the annotation of the result.
    """
    if answer is not None:
        for one in (fn, inspect.unwrap(fn)):
            one.__annotations__["return"] = answer
    text = (fn.__doc__ or "").replace("SETTINGS", _SETTINGS)
    for name, value in {"PICTURES": str(MAX_PICTURES), "VIEWS": "x, x0 or both", **words}.items():
        text = text.replace(name, value)
    fn.__doc__ = text
    return fn


def _shown(view: Any) -> ExportOptions:
    """What is shown of each state. The error names the parameter."""
    try:
        return ExportOptions(view="x" if view is None else view)
    except OptionError as error:
        raise OptionError("view", error.worded(lambda field: "view")) from error


def _whole(name: str, given: Any, default: int, low: int, high: int) -> int:
    """A whole number within limits; None is left out. Whole floats count: JSON does not tell them apart."""
    if given is None:
        return default
    whole = int(given) if isinstance(given, float) and given.is_integer() else given
    if type(whole) is not int or not low <= whole <= high:
        raise OptionError(name, f"must be a whole number from {low} to {high}, got {given!r:.80}.")
    return whole


def _parsed(kind: str, given: Any) -> Any:
    """A choice by name, or with options as an object or the object's JSON."""
    if not isinstance(given, str) or not given.lstrip().startswith("{"):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise OptionError(kind, f"{kind} is neither a name nor JSON: {error}") from error


def _models(studio: Studio) -> Callable[[], list[dict[str, Any]]]:
    def models() -> list[dict]:
        """List the models that animate and stream can run: their size, labels, example prompts, defaults and
        remarks, and what can guide each (noisy classifiers, and weaker models).

        Returns:
        A list of objects, one for each model.
        """
        guides = {
            card.name: dict(zip(("classifiers", "weaker"), studio.helpers(card))) for card in studio.models()
        }
        return [
            {
                "name": card.name,
                "resolution": card.resolution,
                "channels": card.spec.shape[0],
                "makes": card.spec.makes,
                "labels": list(card.conditions),
                "prompts": list(card.spec.prompts),
                "text": card.spec.takes_text,
                "timesteps": card.spec.schedule.timesteps,
                "remarks": list(card.remarks),
                "defaults": dict(card.spec.defaults),
                **guides.get(card.name, {}),
            }
            for card in studio.models()
        ]

    return models


def _inspect(studio: Studio) -> Callable[..., dict[str, Any]]:
    @partial(show_errors, words=str)
    def inspect_checkpoint(model: str = "", file: gr.FileData | None = None) -> dict:
        """Say what a checkpoint is, from its header alone: family, network, size, schedule, what it predicts,
        and what the file cannot tell and is assumed.

        Args:
        model: a name from models.
        file: or a .safetensors file that is sent along.

        Returns:
        An object as of `diffusion-studio inspect --json`.
        """
        if (file is None) == (not model):
            raise OptionError("model", "Give either model, a name from models, or file, a .safetensors file.")
        if file is None:
            return checkpoint.as_json(checkpoint.inspect(studio.card(model).path))
        path = Path(str(file.get("path", "")) if isinstance(file, dict) else file.path)
        if not is_in_or_equal(path, get_upload_folder()):  # no other file of this machine may be asked about
            raise CheckpointError(
                "file is not one that was sent along. Send a .safetensors file: handle_file(path) with "
                "gradio_client, an upload or an address over MCP."
            )
        return checkpoint.as_json(checkpoint.inspect(path))

    return inspect_checkpoint
