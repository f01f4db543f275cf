"""Figures that play on the page: films, changing histograms and curves with a marker, as plain data.

A figure is computed once; the page goes through its states without asking the server again (ui/figure).
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..imaging.arrays import to_pil
from .drawing import Numbers

MOST_BYTES = 24 << 20  # of one figure's pictures, as sent


@dataclass(frozen=True)
class Film:
    """One picture for each state: `pictures` (states, H, W) or (states, H, W, 1 or 3), uint8, with a caption
    for each or none. `paper` says that they are marks on white paper, which a dark page shows on a dark one.
    """

    title: str
    pictures: np.ndarray
    captions: Sequence[str] = ()
    paper: bool = False

    def to_json(self) -> dict[str, Any]:
        """The states as one lossless WebP, row by row."""
        given = self.pictures if self.pictures.ndim == 4 else self.pictures[..., None]
        states, height, width, channels = given.shape
        columns = math.ceil(math.sqrt(states))
        rows = math.ceil(states / columns)
        sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
        sheet[:states] = given
        sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
        packed = io.BytesIO()
        whole = np.ascontiguousarray(sheet.reshape(rows * height, columns * width, channels))
        to_pil(whole).save(packed, "WEBP", lossless=True, quality=0, method=0)
        return {
            "kind": "film",
            "title": self.title,
            "width": width,
            "height": height,
            "columns": columns,
            "sheet": f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}",
            "captions": list(self.captions),
            "paper": self.paper,
        }


@dataclass(frozen=True)
class Places:
    """Pictures (states, H, W) or (states, H, W, 1 or 3), uint8, in which a place can be chosen, to see where
    attention looks from there. `weights` (states, h * w, h * w) are those of each place for all places of a
    grid of `size` (h, w); `place` (row, column) is chosen first. In `caption` # stands for the share, in
    percent, of what lies beyond the place and its eight neighbours.
    """

    title: str
    pictures: np.ndarray
    weights: np.ndarray
    size: tuple[int, int]
    place: tuple[int, int]
    caption: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a film, with a second one of the weights, each place's as shares of its largest."""
        most = self.weights.max(-1, keepdims=True)
        drawn = np.round(255 * self.weights / np.where(most > 0, most, 1)).astype(np.uint8)
        return {
            **Film(self.title, self.pictures).to_json(),
            "kind": "places",
            "weights": Film("", drawn).to_json(),
            "size": list(self.size),
            "place": list(self.place),
            "caption": self.caption,
        }


@dataclass(frozen=True)
class Histogram:
    """Bars that change from state to state, `densities` (states, bins) over `centres` (bins,), and one
    `curve` (bins,) that they are held against.
    """

    title: str
    centres: np.ndarray
    densities: np.ndarray
    curve: np.ndarray
    curve_name: str = "normal"

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "histogram",
            "title": self.title,
            "xs": _numbers(self.centres),
            "states": [_numbers(one) for one in self.densities],
            "curve": _numbers(self.curve),
            "curve_name": self.curve_name,
        }


@dataclass(frozen=True)
class Curves:
    """Named lines (name, xs, ys) in one frame. `at` says where the marker stands in each state; without it
    there is none. With `log` the ys are drawn on a logarithmic scale, and those of 0 and less left out; with
    `zero` the scale begins at 0. `looks` gives each line the number of its colour and of its dashes (0 none,
    1 dots, 2 dashes); without it each has a colour of its own. With `rows` each series is a row of dots
    at its xs, or of bars where there are many, and the ys do not count.
    """

    title: str
    series: Sequence[tuple[str, Numbers, Numbers]]
    x: str = ""
    at: Numbers = ()
    log: bool = False
    zero: bool = False
    looks: Sequence[tuple[int, int]] = ()
    rows: bool = False

    def to_json(self) -> dict[str, Any]:
        looks = self.looks or [(k, 0) for k in range(len(self.series))]
        return {
            "kind": "curves",
            "title": self.title,
            "x": self.x,
            "log": self.log,
            "zero": self.zero,
            "rows": self.rows,
            "at": _numbers(self.at),
            "series": [
                {"name": name, "xs": _numbers(xs), "ys": _numbers(self.heights(ys)), "look": look}
                for (name, xs, ys), look in zip(self.series, looks)
            ],
        }

    def heights(self, ys: Numbers) -> np.ndarray:
        """What is drawn of ys: themselves, or with `log` their decimal logarithm, NaN where there is none."""
        given = np.asarray(ys, np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                given = np.where(given > 0, np.log10(given), np.nan)
        return given


Cell = Film | Histogram | Places


@dataclass(frozen=True)
class Figure:
    """Rows of films, histograms and places that go through `states` states together, and curves below.

    `labels` has a sentence for each state, or is empty. `start` is the state that is shown first. A figure
    of one state has no timeline.
    """

    states: int
    rows: Sequence[tuple[str, Sequence[Cell]]] = ()
    curves: Sequence[Curves] = ()
    labels: Sequence[str] = ()
    start: int = 0

    def to_json(self) -> dict[str, Any]:
        made = {
            "states": self.states,
            "start": self.start,
            "labels": list(self.labels),
            "rows": [
                {"name": name, "cells": [cell.to_json() for cell in cells]} for name, cells in self.rows
            ],
            "curves": [one.to_json() for one in self.curves],
        }
        size = sum(len(cell.get("sheet", "")) for row in made["rows"] for cell in row["cells"])
        if size > MOST_BYTES:
            raise OptionError(
                "steps",
                f"This figure has {size >> 20} MB of pictures; the most is {MOST_BYTES >> 20}. Choose fewer "
                "steps, fewer rows or smaller pictures.",
            )
        return made


def _numbers(given: Numbers) -> list[float | None]:
    """Rounded to five figures, so that they are short; None where there is no finite number."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in np.asarray(given, np.float64)]
