"""The player's Python half: a factory for its `gr.HTML`, the ticks it is fed, the frames it asks for.

The run's generator yields tiny ticks; the page pulls the frames that it wants, newest first and one request
at a time, so a slow line drops stale frames by itself and the run never waits.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ...errors import StudioError
from ...export.clouds import placed
from ...imaging.arrays import to_pil
from ...imaging.frame import Frame
from ...imaging.layout import Layout
from ..component import own_component

MAX_FRAMES_PER_PULL = 64
PURE_NOISE = -1e9  # stands for -inf, which JSON lacks; the page knows it
MAX_BYTES_PER_PULL = 2 << 20
OPENING = Path(__file__).with_name(
    "opening.json"
)  # a recording to begin with; scripts/page_pictures.py makes it
UNIT = 4096  # numbers to the unit in a packed cloud, whose 16 bits then reach to 8


def player(
    frames_of: Callable[[object], list[Frame] | None],
    hint: str = "",
    waiting: Callable[[str], dict[str, Any] | None] = lambda press: None,
    opening: Callable[[object], dict[str, Any] | None] | None = None,
    **kwargs: Any,
) -> gr.HTML:
    """The component. `frames_of(run)` gives a run's kept frames, or None where they are gone; `hint` is HTML
    to show before; `waiting(press)` says what a press of Generate waits for, as the page words it;
    `opening(what)` makes what plays before the first run, in place of the recording that comes with the
    program.

    A factory and not a subclass: Gradio writes a .pyi file beside every subclass of a component.
    """

    def frames(args: object) -> list[list[Any]]:
        """[[place, WebP in base64, index, t, log-SNR, network calls, part], ...] for the asked places;
        empty for what is not there.
        """
        match args:
            case [run, list(places)]:
                return _answer(frames_of(run) or [], places)
        raise StudioError("The player asks with a run and a list of places.")

    def recording(args: object = None) -> dict[str, Any] | None:
        """What plays before the first run: its last tick, and its frames as `frames` gives them. None where
        there is nothing.
        """
        if opening is not None:
            return opening(args[0] if isinstance(args, list) and args else args)
        return json.loads(OPENING.read_text("utf-8"))

    def waits(args: object) -> dict[str, Any] | None:
        match args:
            case str(press) | [str(press)]:
                return waiting(press)
        raise StudioError("The player asks for a press by its name.")

    return own_component("player", server_functions=[frames, recording, waits], hint=hint, **kwargs)


def opening_recipe() -> str:
    """The recipe of the recording, as JSON: what the settings begin with."""
    return json.dumps(json.loads(OPENING.read_text("utf-8"))["recipe"])


def tick(
    run: str, place: int, last: int, frame: Frame, about: Mapping[str, Any] | None = None, film: bool = False
) -> dict[str, Any]:
    """The message to the page about a frame. It is small, because Gradio sends it at every step and again at
    the end.

    `place` is the newest kept frame's, `last` the place that the finished picture will have; `about` the
    run's settings; `film` whether its pictures are meant one after another, so that they are shown so at the
    end.
    """
    count = len(frame.x)
    layout = frame.layout or Layout.square(count)
    shape = (
        {"tile": None, "points": frame.x.shape[1]} if frame.of_points else {"tile": list(frame.x.shape[1:3])}
    )
    return {
        "run": run,
        "kept": place,
        "last": last,
        "index": frame.index,
        "total": frame.total,
        "done": frame.index == frame.total,
        "calls": frame.calls,
        "count": count,
        "columns": layout.columns,
        **({} if frame.layout is None else {"rows": layout.rows, "places": layout.places}),
        "about": about,
        "film": film,
        **shape,
    }


def encode(frame: Frame) -> bytes:
    """x over x0, each as a grid without gaps, in one lossless WebP: noise does not pack, so the cheapest
    coder is best.

    Points are drawn in the page: x, then x0, as 16-bit whole numbers, 4096 to the unit.
    """
    if frame.of_points:
        points = np.stack([placed(frame, "x"), placed(frame, "x0")]) * UNIT
        return points.round().clip(-32768, 32767).astype("<i2").tobytes()
    stacked = np.concatenate([frame.sheet(frame.x), frame.sheet(frame.x0)])
    packed = io.BytesIO()
    to_pil(stacked).save(packed, "WEBP", lossless=True, quality=0, method=0)
    return packed.getvalue()


def packed(place: int, frame: Frame) -> list[Any]:
    """[place, frame in base64, index, t, log-SNR, network calls, part, alpha, sigma]."""
    log_snr = max(frame.level.log_snr, PURE_NOISE) if frame.level.sigma else None
    return [
        place,
        base64.b64encode(encode(frame)).decode(),
        frame.index,
        frame.level.t,
        log_snr,
        frame.calls,
        frame.part,
        frame.level.alpha,
        frame.level.sigma,
    ]


def _answer(frames: list[Frame], places: list[Any]) -> list[list[Any]]:
    answer, size = [], 0
    for place in places[:MAX_FRAMES_PER_PULL]:
        if type(place) is int and 0 <= place < len(frames) and size < MAX_BYTES_PER_PULL:
            answer.append(packed(place, frames[place]))
            size += len(answer[-1][1])
    return answer
