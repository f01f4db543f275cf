"""A recorded run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..export import ExportOptions, as_shown, save
from ..export.html import page
from ..imaging.frame import Frame
from ..options import build
from .recipe import Recipe
from .recipe_diff import differences


def stride(frame: Frame, most: int) -> int:
    """Every how many-th state of a run fits into `most` bytes, where its states are as large as this one."""
    return max(1, -(-frame.nbytes * (frame.total + 1) // most))


@dataclass(frozen=True)
class Trajectory:
    """A recipe and the frames that it gave. A run that was stopped is a valid, shorter trajectory."""

    recipe: Recipe
    frames: Sequence[Frame]

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return self.frames[-1].index == self.frames[-1].total

    @property
    def images(self) -> np.ndarray:
        """(N, H, W, C) uint8: the finished pictures, or the last prediction of them where the run was
        stopped.

        Of a model of points (N, P, 2) float16, the points of each cloud.
        """
        return self.frames[-1].x0

    def _repr_html_(self) -> str:
        """In a notebook: the run as a player that plays without this program, see the export format html."""
        frames, options = as_shown(self.frames, ExportOptions(view="both"), "html")
        whole = page(frames, self.recipe.to_json(), options)
        return (
            f'<iframe title="A run of {escape(self.recipe.model)}" srcdoc="{escape(whole)}" width="100%" '
            'height="640" style="border:0; max-width:1100px"></iframe>'
        )

    def save(
        self, path: str | Path, format: str | None = None, beside: Trajectory | None = None, **options: Any
    ) -> Path:
        """Export in the one of `FORMATS` that the path's suffix says, or that `format` names; returns the
        path.

        `options` are those of `ExportOptions`. The file carries the recipe: `Recipe.from_file(path) ==
        recipe`. Another run, `beside`, stands below this one, state beside state by noise level; a caption
        names what each has otherwise.
        """
        chosen, recipe = build(ExportOptions, options, "export option"), self.recipe.to_json()
        if beside is None:
            return save(self.frames, path, recipe, chosen, format)
        return save(
            self.frames, path, recipe, chosen, format, beside.frames, differences(self.recipe, beside.recipe)
        )
