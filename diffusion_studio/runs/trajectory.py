"""A recorded run: a recipe and its frames."""

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
    """The smallest k for which every k-th state of a run fits into `most` bytes, given one of its frames."""
    return max(1, -(-frame.nbytes * (frame.total + 1) // most))


@dataclass(frozen=True)
class Trajectory:
    """A recipe and the frames of its run. A run that was stopped early gives a valid, shorter trajectory."""

    recipe: Recipe
    frames: Sequence[Frame]

    @property
    def complete(self) -> bool:
        """Whether the run reached its last state."""
        return self.frames[-1].index == self.frames[-1].total

    @property
    def images(self) -> np.ndarray:
        """The finished pictures, (N, H, W, C) uint8; of a stopped run its last predicted x0.

        For a model of points (N, P, 2) float16, the points of each cloud.
        """
        return self.frames[-1].x0

    def _repr_html_(self) -> str:
        """The run as an HTML player for a notebook, which plays without this program (the export format
        html).
        """
        frames, options = as_shown(self.frames, ExportOptions(view="both"), "html")
        whole = page(frames, self.recipe.to_json(), options)
        return (
            f'<iframe title="A run of {escape(self.recipe.model)}" srcdoc="{escape(whole)}" width="100%" '
            'height="640" style="border:0; max-width:1100px"></iframe>'
        )

    def save(
        self, path: str | Path, format: str | None = None, beside: Trajectory | None = None, **options: Any
    ) -> Path:
        """Export the run to a file and return its path.

        The format is that of `FORMATS` which the path's suffix names, or `format`. `options` are those of
        `ExportOptions`. The file carries the recipe: `Recipe.from_file(path) == recipe`. `beside` is another
        run shown below this one, matched by noise level, with a caption of the settings in which they differ.
        Raises `ExportError` or `OptionError`.
        """
        chosen, recipe = build(ExportOptions, options, "export option"), self.recipe.to_json()
        if beside is None:
            return save(self.frames, path, recipe, chosen, format)
        return save(
            self.frames, path, recipe, chosen, format, beside.frames, differences(self.recipe, beside.recipe)
        )
