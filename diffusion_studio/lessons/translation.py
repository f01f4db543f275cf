"""The texts of figures in a lesson's language. lessons/LANGUAGE/figures.txt has a line for each, `English |
translation`, with `{}` for what changes. Numbers and names of schedules stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import StudioError
from ..inside.figure import Cell, Curves, Figure, Histogram, Places
from .lesson import WORDS, words

PHRASES = "figures.txt"
FOLDER = Path(__file__).parent
Phrase = tuple[re.Pattern[str], str]


@lru_cache(16)
def phrases(language: str, folder: Path = FOLDER) -> tuple[Phrase, ...]:
    """The phrases of a language, none if it has no file of them. Raises `StudioError` for a broken line."""
    path = folder / language / PHRASES
    if not path.is_file():
        return ()
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        english, bar, other = (part.strip() for part in line.partition(" | "))
        if not bar or english.count("{}") != other.count("{}"):
            raise StudioError(
                f"{language}/{PHRASES}, line {number}: {line[:60]!r} is no 'English | translation' with "
                "equally many {} on both sides."
            )
        pattern = re.escape(english).replace(r"\{\}", "(.+?)")
        found.append((re.compile(pattern, re.DOTALL), other))
    return tuple(found)


_NUMBER = re.compile(r"(\d)\.(\d)")


def decimal(language: str, folder: Path = FOLDER) -> str:
    """The mark before the decimals of a number."""
    return words(language, folder).get("decimal", ".") if (folder / language / WORDS).is_file() else "."


def translator(
    language: str, folder: Path = FOLDER, names: Mapping[str, str] = MappingProxyType({})
) -> Callable[[str], str]:
    """A function from a text of a figure to its translation. A text without a phrase stays as it is; so does
    its full stop. What a phrase's `{}` stands for is translated too, and numbers get the language's decimal
    mark. `names` are further translations, of a lesson's own rows.
    """
    own = [
        (re.compile(re.escape(old)), new.replace("{", "{{").replace("}", "}}")) for old, new in names.items()
    ]
    known, mark = [*own, *phrases(language, folder)], decimal(language, folder)

    def translate(text: str) -> str:
        for pattern, other in known:
            if found := pattern.fullmatch(text):
                return other.format(*map(translate, found.groups()))
        return translate(text[:-1]) + "." if text.endswith(".") else text

    return lambda text: _NUMBER.sub(rf"\1{mark}\2", translate(text))


def row_names(plain: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """How the rows of a figure are named in the settings of a lesson's translation."""
    pairs = zip(plain.get("rows", ()), other.get("rows", ()))
    return {a["name"]: b["name"] for a, b in pairs if "name" in a and "name" in b}


def translated(
    figure: Figure, language: str, folder: Path = FOLDER, names: Mapping[str, str] = MappingProxyType({})
) -> Figure:
    """The figure with all its texts in a language; see `translator` about `names`."""
    if not phrases(language, folder):
        return figure
    say = translator(language, folder, names)
    return replace(
        figure,
        rows=[(say(name), [_cell(one, say) for one in cells]) for name, cells in figure.rows],
        curves=[_curves(one, say) for one in figure.curves],
        labels=[say(one) for one in figure.labels],
    )


def _cell(cell: Any, say: Callable[[str], str]) -> Cell:
    if isinstance(cell, Places):
        return replace(cell, title=say(cell.title), caption=say(cell.caption))
    if isinstance(cell, Histogram):
        return replace(cell, title=say(cell.title), curve_name=say(cell.curve_name))
    return replace(cell, title=say(cell.title), captions=[say(one) for one in cell.captions])


def _curves(curves: Curves, say: Callable[[str], str]) -> Curves:
    series = [(say(name), *rest) for name, *rest in curves.series]
    return replace(curves, title=say(curves.title), series=series, x=say(curves.x))
