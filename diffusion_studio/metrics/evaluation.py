"""The inputs of every evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..models.classifier import Classifier
from ..models.model import Model
from ..runs.recipe import Recipe
from .config import EvalConfig
from .parts import Progress


@dataclass(eq=False)
class Evaluation:
    """A model whose runs of one recipe are compared with data. Results are kept below `folder`.

    `classifier` and `weaker` are the networks that guide the recipe.
    """

    model: Model
    config: EvalConfig
    recipe: Recipe
    folder: Path
    progress: Progress | None
    classifier: Classifier | None = None
    weaker: Model | None = None
