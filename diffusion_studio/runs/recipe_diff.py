"""Settings in which two recipes differ, as short texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..imaging.picture import Picture
from .edits import pictures_of
from .recipe import ANY, Recipe
from .setting_labels import setting_label, value_text

LONGEST = 60  # letters of one setting


def flat_settings(recipe: Recipe) -> dict[str, str | int | float]:
    """A recipe's settings as one flat mapping of names to values, texts cut to `LONGEST` letters. A picture
    of an edit is its size and a hash, a mask is the share that is drawn anew and a hash.
    """
    return dict(_flat(json.loads(recipe.to_json()))) | {
        f"edit {name}": _picture_text(name, getattr(recipe.edit, name))
        for name in (() if recipe.edit is None else pictures_of(type(recipe.edit)))
    }


def _picture_text(name: str, picture: Picture) -> str:
    what = f"{picture.pixels.mean() / 255:.0%}" if name == "mask" else str(picture)
    return f"{what} ({picture.name})"


def differences(one: Recipe, other: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The settings in which two recipes differ: for each recipe a tuple of its values, such as "steps 20".

    If a choice with options differs (the sampler, the spacing), its options are not listed.
    """
    mine, theirs = flat_settings(one), flat_settings(other)
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    names = [name for name in names if not any(name.startswith(f"{group} ") for group in names)]
    here, there = (
        tuple(f"{setting_label(name)} {value_text(name, given.get(name))}" for name in names)
        for given in (mine, theirs)
    )
    return here, there


def _flat(given: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str | int | float]]:
    for name, value in given.items():
        if name == "recipe" or value is None or (not before and name in ("diffusion-studio", "low_res")):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name} ".removesuffix("name "))
        elif isinstance(value, list):
            yield before + name, _short(", ".join(ANY if one is None else str(one) for one in value))
        else:
            yield (before + name).removesuffix(" name"), _short(value) if isinstance(value, str) else value


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
