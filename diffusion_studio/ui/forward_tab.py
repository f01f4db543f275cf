"""The Forward tab: a picture goes into noise under up to three noise schedules.

`inside.forward_pictures` computes the figure once for each choice; the page plays it (ui/figure).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from ..diffusion.schedule import SCHEDULES, NoiseSchedule
from ..errors import DataError, OptionError
from ..imaging.picture import Picture
from ..inside.forward_figure import example, forward_figure, told
from ..inside.forward_pictures import (
    ABOUT,
    MOST_SCHEDULES,
    WAYS,
    Process,
    process,
    save_forward,
    schedules_named,
)
from ..studio import Studio
from .compute import Compute
from .file_making import FileMaking
from .handlers import LABELLED
from .lazy import HERE, lazy
from .store import RunStore

OWN_TABLE = "table"
START = ("linear", "cosine", "")
STEPS, SIZES = (25, 50, 100), (32, 64, 128)
FORMATS = {"gif": ".gif", "mp4": ".mp4", "strip": ".png"}
MOST_FILE = 24 << 20  # bytes of an uploaded picture
MOST_BETAS = 20_000  # characters of the visitor's table of betas
MOST_SAVING, MOST_WAITING = 2, 8  # files that are written at one time, and with those that wait
PAPERS = (
    "Sohl-Dickstein et al. 2015, section 2.1; Ho et al. 2020 (DDPM), eq. 2 and 4; Nichol & Dhariwal 2021 "
    "(Improved DDPM), eq. 17 for the cosine schedule"
)
LABELLED.update({"schedules": "Schedules", "schedule.values": "Your table of betas"})


class ForwardTab:
    """Renders one element into the surrounding Blocks. It loads the rest when it comes into view."""

    def __init__(self, studio: Studio, store: RunStore, compute: Compute) -> None:
        self.studio, self.store, self.compute = studio, store, compute
        self.files = FileMaking(MOST_SAVING, MOST_WAITING)
        self.element: gr.HTML = lazy(
            self._markup(),
            ("figure/figure.css", "forward/forward.css"),
            ("player/keys.mjs", "figure/plot.mjs", "figure/figure.js", "forward/forward.js"),
            [self.figure, self.save, self.saving, self.cancel],
            elem_id="forward",
        )

    def _markup(self) -> str:
        html = (HERE / "forward" / "forward.html").read_text("utf-8")
        return html.replace("ABOUT", _formulas(escape(" ".join(ABOUT)))).replace("PAPERS", escape(PAPERS))

    # ---- server functions of the page

    def figure(self, given: dict[str, Any]) -> dict[str, Any]:
        """The figure of `given` {picture, schedules, betas, steps, size, seed, ways}, as data; `thumb` is the
        picture at the chosen size, and `choices` are the schedules to choose from.
        """
        picture, said = self._picture(given)
        rows = self._processes(picture, given)
        made = forward_figure(rows, _ways(given)).to_json()
        for row, one in zip(made["rows"], rows):
            row["told"] = told(one)
        png = base64.b64encode(picture.png()).decode()
        steps, notes = made["states"] - 1, [f"{said[:1].upper()}{said[1:]}."] if said else []
        if steps < given.get("steps", STEPS[1]):
            notes.append(f"In {steps} steps: the shortest of these schedules has {steps} timesteps.")
        return {
            **made,
            "thumb": f"data:image/png;base64,{png}",
            "choices": self._choices(),
            "note": " ".join(notes),
        }

    def save(self, given: dict[str, Any]) -> dict[str, Any]:
        """Begin the same as a file; `format` is one of `FORMATS`. `saving` tells how far it is."""
        kind = given.get("format")
        if not isinstance(kind, str) or kind not in FORMATS:
            raise OptionError(
                "format", f"There is no format {kind!r:.40}. Choose one of: {', '.join(FORMATS)}."
            )
        picture, _ = self._picture(given)
        rows = self._processes(picture, given)
        name = f"forward-{'-'.join(one.name for one in rows)}{FORMATS[kind]}".replace(" ", "-")

        def write(folder: Path, progress: Callable[[int, int], None]) -> Path:
            path = folder / f"forward{FORMATS[kind]}"
            return save_forward(rows, path, side=128, ways=_ways(given), progress=progress)

        return self.files.begin(name, write)

    def saving(self, given: dict[str, Any]) -> dict[str, Any]:
        """How far the file `making` is, or the file {name, data in base64}."""
        return self.files.ask(given.get("making"))

    def cancel(self, given: dict[str, Any]) -> dict[str, Any]:
        """Give the file `making` up."""
        return self.files.cancel(given.get("making"))

    # ---- its parts

    def _choices(self) -> list[list[str]]:
        """[value, label] of each schedule: the formulas, a table of betas, the schedules of the models."""
        names = [[name, name] for name in SCHEDULES if name != OWN_TABLE]
        models = [[card.name, f"that of {card.name}"] for card in self.studio.models()]
        return [*names, [OWN_TABLE, "a table of my own"], *models]

    def _processes(self, picture: Picture, given: dict[str, Any]) -> list[Process]:
        wanted = [self._schedule(name, given) for name in _texts(given.get("schedules")) if name]
        found = schedules_named(wanted, self._of_model)
        steps, seed = _number(given, "steps", STEPS[1], 1, max(STEPS)), _number(given, "seed", 0, 0, 2**31)
        # all rows have equally many states, so the schedule with the fewest timesteps limits the steps
        steps = min([steps, *(one.timesteps for one in found.values() if one.discrete)])
        # one call for each process, so that runs of other visitors take turns with it
        return [
            self.compute.call(lambda: process(picture, one, steps, seed, name)) for name, one in found.items()
        ]

    def _schedule(self, name: str, given: dict[str, Any]) -> str | dict[str, Any]:
        if name != OWN_TABLE:
            return name
        text = str(given.get("betas") or "")[:MOST_BETAS]
        try:
            values = [float(one) for one in text.replace(",", " ").split()]
        except ValueError as error:
            raise OptionError(
                "schedule.values",
                f"Your table of betas is a list of numbers, such as 0.01, 0.02, 0.05; got {text!r:.60}.",
            ) from error
        return {"name": OWN_TABLE, "values": values}

    def _of_model(self, name: str) -> NoiseSchedule:
        return self.studio.card(name).spec.schedule

    def _picture(self, given: dict[str, Any]) -> tuple[Picture, str]:
        """The picture at the given size, and a note on it. The picture is the example, an uploaded file, or
        one of a run.
        """
        size = _number(given, "size", SIZES[1], 8, max(SIZES))
        picture = given.get("picture")
        picture = picture if isinstance(picture, dict) else {}
        kind, said = picture.get("kind", "example"), ""
        if kind == "file":
            found, said = _opened(picture.get("data"))
        elif kind == "run":
            found = self._of_run(picture)
        else:
            found = example()
        return found.fitted(min(size, max(found.size)) if kind == "run" else size, found.channels), said

    def _of_run(self, where: dict[str, Any]) -> Picture:
        """The predicted x0 that the player of Generate shows."""
        run = self.store.get(where.get("run"))
        if run is None or not run.frames:
            raise OptionError(
                "picture",
                "There is no run of your own in Generate. Press Generate there first, or choose another "
                "picture.",
            )
        place, number = where.get("shown"), where.get("zoom")
        place = place if type(place) is int else len(run.frames) - 1
        frame = run.frames[min(max(place, 0), len(run.frames) - 1)]
        if frame.of_points:
            raise OptionError(
                "picture",
                "The run in Generate is of points, not of pictures. Choose a model of pictures there, or "
                "look at the tab Points.",
            )
        number = number if type(number) is int and 0 <= number < len(frame.x0) else 0
        return Picture(frame.x0[number])


def _formulas(text: str) -> str:
    """HTML with the Greek letters, indices and roots of formulas that are written as in code."""
    text = re.sub(r"x_(?:(\w)|\{(.*?)\})", lambda found: f"x<sub>{found[1] or found[2]}</sub>", text)
    text = re.sub(r"sqrt\((\w+)\)", r"√\1", text).replace("sqrt(", "√(")
    signs = {"alpha_bar": "ᾱ", "beta": "β", "eps": "ε", "x0": "x<sub>0</sub>"}
    text = re.sub(r"\b(?:alpha_bar|beta|eps|x0)\b", lambda found: signs[found[0]], text)
    return text.replace(" - ", " − ").replace("t-1<", "t−1<")


def _opened(data: object) -> tuple[Picture, str]:
    """The picture in a file's bytes (base64), and a note on it. The file may come from anybody."""
    if not isinstance(data, str) or len(data) > MOST_FILE * 4 // 3 + 4:
        raise DataError(f"The picture's file is larger than {MOST_FILE >> 20} MB. Choose a smaller one.")
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise DataError("The uploaded picture is incomplete. Choose it again.") from error
    with TemporaryDirectory(prefix="diffusion-studio-picture-") as folder:
        path = Path(folder) / "the picture"
        path.write_bytes(raw)
        return Picture.opened(path)


def _ways(given: dict[str, Any]) -> list[str]:
    """The chosen ways into noise; the closed form is always one."""
    return [way for way in WAYS if way in ("closed", *_texts(given.get("ways")))]


def _texts(given: object) -> list[str]:
    return (
        [one for one in given[: MOST_SCHEDULES + 1] if isinstance(one, str)]
        if isinstance(given, list)
        else []
    )


def _number(given: dict[str, Any], name: str, plain: int, low: int, high: int) -> int:
    value = given.get(name, plain)
    if type(value) is not int or not low <= value <= high:
        raise OptionError(name, f"must be a whole number from {low} to {high}, got {value!r:.20}.")
    return value
