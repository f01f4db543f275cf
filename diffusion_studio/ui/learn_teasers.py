"""What moves in a lesson before its question is answered: a small figure of the lesson's subject.

None of them asks a network: they are the forward process of a picture or of points, or show the recordings
that the page has anyway. So a lesson shows one at once, also where the server computes for others.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..diffusion.schedule import Linear, NoiseLevel
from ..errors import unknown
from ..inside.drawing import cloud, picture
from ..inside.figure import Figure, Film
from ..inside.forward_figure import example
from .compare_view.view import EXAMPLE
from .player.player import OPENING

STATES, SIDE, POINTS = 20, 48, 1000
NETWORK_SIDES = (32, 16, 8)  # of the U-Net that lesson 5 draws
CLOUD_SIDE = 128


@lru_cache(32)
def teaser(name: str) -> Figure:
    """The named one of `TEASERS`."""
    if name not in TEASERS:
        raise unknown("teaser", name, TEASERS)
    return TEASERS[name]()


def _levels() -> Iterator[NoiseLevel]:
    """Of the linear schedule, from clean to noise, most where one sees the picture go."""
    schedule = Linear()
    for share in np.linspace(0, 1, STATES):
        yield NoiseLevel(0, 1.0, 0.0) if share == 0 else schedule.level(round(share**1.3 * 999))


def _photograph(side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """The bundled photograph (3, side, side) in [-1, 1], and noise of its shape."""
    pixels = example().fitted(side, 3).pixels.astype(np.float64) / 127.5 - 1
    values = np.moveaxis(np.asarray(pixels).reshape(side, side, 3), -1, 0)
    return values, np.random.default_rng(0).standard_normal(values.shape)


def _figure(films: Sequence[tuple[str, Sequence[np.ndarray]]], paper: bool = False) -> Figure:
    cells = [Film(title, np.stack(one), paper=paper) for title, one in films]
    return Figure(len(cells[0].pictures), [("", cells)])


def _into_noise() -> Figure:
    x0, eps = _photograph()
    return _figure(
        [("into noise, and back", [picture(one.alpha * x0 + one.sigma * eps) for one in _levels()])]
    )


def _mixture() -> Figure:
    """A noisy picture as the sum of two."""
    x0, eps = _photograph()
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("√ᾱ · picture", "√(1 − ᾱ) · noise", "the sum")
    }
    for one in _levels():
        for found, values in zip(
            parts.values(), (one.alpha * x0, one.sigma * eps, one.alpha * x0 + one.sigma * eps)
        ):
            found.append(picture(values))
    return _figure([*parts.items()])


def _sizes() -> Figure:
    """A noisy picture at the sizes between which the U-Net of the lesson goes down and up."""
    x0, eps = _photograph(NETWORK_SIDES[0])
    found: dict[str, list[np.ndarray]] = {}
    for one in _levels():
        x = one.alpha * x0 + one.sigma * eps
        for side in NETWORK_SIDES:
            k = NETWORK_SIDES[0] // side
            small = x.reshape(3, side, k, side, k).mean((2, 4))
            title = f"{side} x {side}"
            found.setdefault(title, []).append(picture(small.repeat(k, 1).repeat(k, 2)))
    return _figure([*found.items()])


def _moons(seed: int) -> np.ndarray:
    from ..data.point_sets import POINT_SETS

    return POINT_SETS["moons"](POINTS, seed)


def _points_into_noise() -> Figure:
    x0, eps = _moons(0), np.random.default_rng(0).standard_normal((POINTS, 2))
    clouds = [cloud(one.alpha * x0 + one.sigma * eps, CLOUD_SIDE) for one in _levels()]
    return _figure([("points into noise, and back", clouds)], paper=True)


def _drawn_again() -> Figure:
    """The same data drawn again and again: what differs by chance alone."""
    clouds = [cloud(_moons(seed)[:300], CLOUD_SIDE, 2.2) for seed in range(STATES)]
    return _figure([("the same data, drawn again and again", clouds)], paper=True)


def _unpacked(sheet: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))).convert("RGB"))


def _recorded(x0: bool) -> Figure:
    """The recorded run that the page begins with: its state, or what the network expects."""
    recording = json.loads(OPENING.read_text("utf-8"))
    frames = [_unpacked(one[1]) for one in recording["frames"]]
    half = frames[0].shape[0] // 2  # x stands above x0
    pictures = np.stack([one[half:] if x0 else one[:half] for one in frames])
    title = f"a recorded run for “{recording['recipe']['prompt']}”"
    return _figure([(title, [*pictures, *pictures[-1:].repeat(8, 0)])])  # the end stands a while


def _recorded_race() -> Figure:
    """The recorded race of Compare: the states of its lanes."""
    recording = json.loads(EXAMPLE.read_text("utf-8"))
    films = []
    for title, run in zip(recording["titles"], recording["runs"]):
        sheet, (width, height) = _unpacked(run["sheet"]), run["size"]
        cut = []
        for k in run["at"]:
            top, left = k // run["columns"] * height, k % run["columns"] * width
            cut.append(sheet[top : top + height, left : left + run["half"]])
        films.append((_short(title), [*cut, *cut[-1:] * 15]))
    return _figure(films)


def _short(title: str) -> str:
    """A lane's title, "steps 16, sampler DDIM", as one says it."""
    said: dict[str, Any] = dict(part.split(" ", 1) for part in title.split(", "))
    return f"{said['sampler']}, {said['steps']} network calls"


ROUND = ("recorded run", "recorded guess", "recorded race", "drawn again")  # the others go forth and back
TEASERS: dict[str, Callable[[], Figure]] = {
    "photograph": _into_noise,
    "recorded run": lambda: _recorded(x0=False),
    "recorded guess": lambda: _recorded(x0=True),
    "mixture": _mixture,
    "points": _points_into_noise,
    "sizes": _sizes,
    "recorded race": _recorded_race,
    "drawn again": _drawn_again,
}
