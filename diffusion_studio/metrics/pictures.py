"""What a model draws for an evaluation: pictures by seed, the same ones however many processes draw them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .. import generate
from ..errors import OptionError
from ..model import Model
from ..recipe import ANY, Recipe
from ..spec import ModelSpec
from .config import EACH
from .parts import Arrays, Job, Tick, kept

BATCH = 32                      # pictures in one run; at a fixed grid, so that rounding does not depend on the processes


@dataclass(frozen=True)
class Batch:
    """Pictures of one label that are drawn together."""

    label: str | None
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.seeds[0]}-{len(self.seeds)}"


def batches(spec: ModelSpec, labels: str, first: int, count: int) -> list[Batch]:
    """The runs that draw `count` pictures with seeds from `first` up.

    With "each", picture k is of label k mod the number of labels, so that asking for more keeps those that are there.
    """
    if labels == EACH:
        asked: Sequence[str | None] = spec.labels or (None,)
    else:
        asked = (None,) if labels == ANY else (spec.labels[spec.label_index(labels)],)
    found = []
    for k, label in enumerate(asked):
        seeds = tuple(range(first + k, first + count, len(asked)))
        found += [Batch(label, seeds[at:at + BATCH]) for at in range(0, len(seeds), BATCH)]
    return found


def default_recipe(spec: ModelSpec, **changes: object) -> Recipe:
    """The settings that suit the model, with changes. Labels and seeds are the evaluation's own."""
    settings = {name: value for name, value in spec.defaults.items() if name not in ("label", "count")}
    return Recipe.from_settings({"model": spec.name, **settings, **changes})


def digest(model: Model) -> str:
    """Names a model's description, weights and precision."""
    found = hashlib.sha256(model.spec.to_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(f"{name} {tensor.dtype}".encode())
        found.update(tensor.contiguous().view(-1).view(torch.uint8).cpu().numpy())
    return found.hexdigest()[:16]


class Drawn:
    """The pictures of a model and a recipe, kept in a folder of their own below `folder`."""

    def __init__(self, model: Model, recipe: Recipe, asked: Sequence[Batch], folder: Path) -> None:
        """Raises `OptionError` for what the model cannot do, before anything is drawn."""
        self.model, self.recipe, self.asked = model, recipe, asked
        if not asked or not all(batch.seeds for batch in asked):
            raise OptionError("No pictures were asked for.")
        for label in dict.fromkeys(batch.label for batch in asked):
            generate.plan(model, replace(recipe, label=label))
        settings = json.loads(replace(recipe, label=None, seeds=(0,), model="").to_json())
        told = json.dumps({"model": digest(model), "batch": BATCH, **settings}, sort_keys=True)
        self.folder = folder / f"{model.spec.name or 'model'}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def __len__(self) -> int:
        return sum(len(batch.seeds) for batch in self.asked)

    def part(self, batch: Batch, tick: Tick = lambda count: None) -> Arrays:
        """`images` (N, H, W, C) uint8, `seeds` (N,) and `labels` (N,), -1 for any."""
        def make() -> Arrays:
            recipe = replace(self.recipe, label=batch.label, seeds=batch.seeds)
            frame = None
            for frame in generate.stream(self.model, recipe):
                if frame.index:
                    tick(1)
            label = -1 if batch.label is None else self.model.spec.label_index(batch.label)
            return {"images": frame.x, "seeds": np.array(batch.seeds), "labels": np.full(len(batch.seeds), label)}

        return kept(self.folder / "pictures" / f"{self.kind(batch)}-{batch.name}.npz", make)

    def kind(self, batch: Batch) -> str:
        """The batch's label in the name of its file."""
        return "any" if batch.label is None else str(self.model.spec.label_index(batch.label))

    def jobs(self) -> list[Job]:
        return [Job(lambda tick, batch=batch: self.part(batch, tick), self.recipe.steps) for batch in self.asked]

    def all(self) -> Arrays:
        """Every picture, in the order of the seeds."""
        parts = [self.part(batch) for batch in self.asked]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.argsort(whole["seeds"], kind="stable")
        return {name: values[order] for name, values in whole.items()}
