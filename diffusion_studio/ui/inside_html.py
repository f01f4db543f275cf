"""A view of a run as HTML for the page: its title, its explanation, its tiles, drawings, curves and notes."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from itertools import groupby

import numpy as np

from ..imaging.arrays import to_pil
from ..inside import network_view
from ..inside.figure import Curves, Figure, Film
from ..inside.run import Run
from ..inside.seen import Tile, ViewResult
from ..inside.views import VIEWS
from .lazy import HERE
from .page_script import page_script

ON_PRESS = ("decided", "surprise")  # views of many network calls, which wait for the button Compute
ONE_STATE = ("surprise",)  # views of the finished picture, whatever the step
EQUATIONS = ("sum",)  # views whose lines are what their pictures show, so they stand above them
_WIDE_PIXELS = 500  # a picture of this width takes the whole row
_MANY_TILES = 8  # more tiles in one group are drawn smaller
# What texts of views write in plain letters, which a terminal shows too, and how the page sets it.
_SIGNS = {"alpha": "α", "sigma": "σ", "eps": "ε"}
_SIGN = re.compile(
    r"\b(?P<name>alpha|sigma|eps)\b|\bx(?:_(?P<time>t)\b|(?P<clean>0)\b|(?=\(\d))"
    r"|(?P<minus>(?<![^\s(=])-(?=[\d (]|x0))|(?P<times>(?<=\d) x (?=[(\d]))"
    r"|(?<=\d)e(?P<power>[+-]\d+)|\blog(?P<base>10)\b"
)


def view_html(seen: ViewResult, run: Run | None, offer: str = "") -> str:
    """A view with its tiles, lines and notes. All texts are escaped; `offer` is HTML that stands below the
    tiles.
    """
    picture = main_picture(seen)
    size = picture.shape[-2:] if picture is not None and picture.ndim == 3 else None
    clickable = size if "place" in VIEWS[seen.view].takes else None
    drawing = _network_html(seen, run) if seen.view == "network" and run is not None else ""
    tiles = (
        seen.tiles[1:] if drawing else seen.tiles
    )  # the drawing reacts to clicks, a picture of it does not
    wordless = seen.view == "attention" and not seen.numbers.get("tokens")
    place = seen.numbers.get("place") if clickable else None
    groups = _groups_html(tiles, run, seen.step, clickable, " wordless" * wordless, place)
    lines, notes = _lines_html(seen), _notes_html(seen)
    inner = f"{lines}{groups}{notes}" if seen.view in EQUATIONS else f"{groups}{offer}{lines}{notes}"
    subject = "your picture" if seen.numbers.get("given") else "the finished picture"
    return framed(seen.view, seen.step, f"{drawing}{inner}", run, subject)


def whole_run_html(seen: ViewResult, run: Run, states: int) -> str:
    """A view of the whole run, which was computed at this number of states."""
    fewer = "" if states == run.total else f'<p class="note">Note: {states} of {run.total} steps.</p>'
    title = escape(f"{VIEWS[seen.view].title} over the run")
    tiles = [replace(tile, group="") for tile in seen.tiles]
    inner = f"{_groups_html(tiles, run, 0)}{_lines_html(seen)}{_notes_html(seen)}{fewer}"
    return f'<section class="view-seen"><h2>{title}</h2>{inner}</section>'


def framed(
    name: str, step: object, inner: str, run: Run | None = None, subject: str = "the finished picture"
) -> str:
    """The title of a view, its two sentences and its paper around `inner`. `subject` is what a view of no
    single step is about.
    """
    view = VIEWS[name]
    where = "" if run is None else f" at step {step} of {run.total}"
    where = f" of {subject}" if run is not None and name in ONE_STATE else where
    return (
        f'<section class="view-seen" data-view="{escape(name)}" data-step="{escape(str(step))}">'
        f"<h2>{escape(view.title)}{where}</h2>"
        f'<p class="what about">{symbols(" ".join(view.about))} <cite>{escape(view.paper)}</cite></p>'
        f"{inner}</section>"
    )


def symbols(text: str) -> str:
    """A sentence of a view as HTML, escaped, with the field's symbols set as papers set them: x0 with its
    index below the line, eps as a Greek letter, 5e-09 as a power of ten.
    """
    return _SIGN.sub(_symbol, escape(text))


def _symbol(found: re.Match[str]) -> str:
    if name := found["name"]:
        return _SIGNS[name]
    if found["minus"]:
        return "−"
    if found["times"]:
        return " × "
    if power := found["power"]:
        return f" × 10<sup>{int(power)}</sup>".replace("-", "−")
    if found["base"]:
        return "log<sub>10</sub>"
    below = found["time"] or found["clean"]
    return f"<i>x</i><sub>{below}</sub>" if below else "<i>x</i>"


def awaited_views(args: object = None) -> str:
    """The title and the sentences of each view, which the page fetches when the panel opens. It shows those
    of a chosen view that is not there yet.
    """
    parts = []
    for name, view in VIEWS.items():
        work = "asking what it would take" if name in ON_PRESS else "one network call"
        parts.append(
            f'<section data-of="{escape(name)}" hidden><h2>{escape(view.title)}</h2>'
            f'<p class="what">{symbols(" ".join(view.about))} <cite>{escape(view.paper)}</cite></p>'
            f'<p class="looks"><span class="spinner"></span>Looking: {work} …</p></section>'
        )
    return "".join(parts)


def error_html(sentence: str, kept: bool = False) -> str:
    """An error as a sentence; `kept` says that the last picture still stands below it."""
    more = " The picture below is the last one that could be made." if kept else ""
    return f'<p class="why{" kept" * kept}" role="alert">{escape(sentence)}{more}</p>'


def main_picture(seen: ViewResult) -> np.ndarray | None:
    """The array of the picture that a view is about: (C, H, W), or points (P, 2)."""
    array = seen.arrays.get("x0", seen.arrays.get("result", seen.arrays.get("picture")))
    return array[0] if array is not None and array.ndim == 4 else array


def figure_parts(args: object = None) -> dict[str, str]:
    """The styles and the script that draw figures, which the page fetches with its first figure."""
    script = page_script(HERE, ("player/keys.mjs", "figure/plot.mjs", "figure/figure.js"))
    return {
        "css": (HERE / "figure" / "figure.css").read_text("utf-8"),
        "js": f"{script}\nreturn drawFigure;",
    }


def _lines_html(seen: ViewResult) -> str:
    return "".join(f"<p>{symbols(line)}</p>" for line in seen.lines)


def _notes_html(seen: ViewResult) -> str:
    return "".join(f'<p class="note">Note: {symbols(note)}</p>' for note in seen.notes)


def _groups_html(
    tiles: Sequence[Tile],
    run: Run | None,
    step: int,
    clickable: tuple[int, ...] | None = None,
    classes: str = "",
    place: tuple[int, int] | None = None,
) -> str:
    """The tiles under the headings of their groups. What plays is data that inside_panel.js draws. Pictures
    of the size `clickable` answer to a click with their row and column; `place` is marked in them.
    """
    parts = []
    for group, members in groupby(tiles, lambda tile: tile.group):
        group_tiles = list(members)
        heading = f"<h3>{symbols(group)}</h3>" if group else ""
        parts.append(f"{heading}{_figure_html(group_tiles, run, step)}")
        still = [tile for tile in group_tiles if tile.plays is None or run is None]
        many = " many" * (len(still) > _MANY_TILES and not any(tile.whole for tile in still))
        inner = "".join(_tile_html(tile, tile.pixels.shape[:2] == clickable, place) for tile in still)
        columns = _columns(sum(not tile.whole for tile in still))
        style = f'style="--columns: {columns}"'
        parts.append(f'<div class="tiles{many}{classes}" {style}>{inner}</div>' if inner else "")
    return "".join(parts)


def _columns(count: int) -> int:
    """In how many columns so many tiles stand: up to four in one row, more with the fewest empty places."""
    if count <= 4:
        return max(count, 1)
    choices = (3, 4) if count <= _MANY_TILES else (6, 5, 4)
    return min(choices, key=lambda columns: -count % columns)


def _figure_html(tiles: Sequence[Tile], run: Run | None, step: int) -> str:
    """The films and curves among the tiles, as one figure over the states of the run."""
    played = [replace(one, title=_plain_symbols(one.title)) for tile in tiles if (one := tile.plays)]
    films = [one for one in played if isinstance(one, Film)]
    curves = [one for one in played if isinstance(one, Curves)]
    if run is None or not (films or curves):
        return ""
    figure = Figure(run.total + 1, [("", films)] if films else [], curves, start=step)
    return f'<div class="plays" data-figure="{escape(json.dumps(figure.to_json()))}"></div>'


def _plain_symbols(title: str) -> str:
    """The same for what is drawn, which has no elements."""
    return re.sub(r"\beps\b", "ε", re.sub(r"\bx0\b", "x₀", title))


def _title_html(title: str) -> str:
    """A tile's title; that of a word's map begins with a word of the prompt, which is left as it is."""
    return escape(title) if re.search(r": \d+% to \d+%$", title) else symbols(title)


def _tile_html(tile: Tile, clickable: bool, place: tuple[int, int] | None) -> str:
    height, width = tile.pixels.shape[:2]
    data = io.BytesIO()
    to_pil(np.ascontiguousarray(tile.pixels)).save(data, "PNG")
    flags = {
        "tile": True,
        "whole": tile.whole,
        "wide": tile.whole and width > _WIDE_PIXELS,
        "pointed": clickable,
    }
    title, classes = _title_html(tile.title), " ".join(name for name, on in flags.items() if on)
    alt = escape(tile.title) or "curves over the run"
    source = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    mark = ""
    if clickable and place is not None:
        row, column = place
        mark = (
            f'<i class="mark" style="left: {column / width:.4%}; top: {row / height:.4%}; '
            f'width: {1 / width:.4%}; height: {1 / height:.4%}"></i>'
        )
    return (
        f'<figure class="{classes}"><figcaption>{title}</figcaption>'
        f'<div class="pixels"><img alt="{alt}" width="{width}" height="{height}" src="{source}">{mark}</div>'
        "</figure>"
    )


def _network_html(seen: ViewResult, run: Run) -> str:
    """The network between what enters it and what leaves it, to click on, with a legend."""
    blocks = seen.numbers["blocks"]
    svg = network_view.svg(blocks, marked=seen.numbers["block"], explain=False)
    kinds = [network_view.KINDS[kind] for kind in network_view.kinds_in(blocks)]
    legend = "".join(
        f'<span><i style="background: #{bytes(colour).hex()}"></i>{name}</span>' for colour, name in kinds
    )
    return (
        f'<div class="network">{_INTO_AND_OUT.format(svg)}</div><p class="legend">{legend}'
        '<span><i class="line"></i>skip</span></p>'
        f'<p class="what">{symbols(network_view.entering(run.model))} Click a box, or a skip, to choose it. '
        "Taller boxes have more channels.</p>"
    )


# The state before the network and its x0 after it are drawn by inside_panel.js, as the player shows them.
_INTO_AND_OUT = (
    '<figure class="end into"><canvas width="1" height="1" aria-hidden="true"></canvas>'
    "<figcaption><i>x</i><sub>t</sub></figcaption></figure>"
    '<div class="drawing" tabindex="0">{}</div>'
    '<figure class="end out"><canvas width="1" height="1" aria-hidden="true"></canvas>'
    "<figcaption><i>x</i><sub>0</sub></figcaption></figure>"
)
