"""What a model draws for an evaluation: pictures by seed, the same ones however many processes draw them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..checkpoint.classifier_spec import ClassifierSpec
from ..checkpoint.spec import ModelSpec
from ..errors import OptionError
from ..imaging.arrays import from_uint8
from ..models.classifier import Classifier
from ..models.model import Model
from ..runs import generate
from ..runs.guidance_builder import Guides
from ..runs.recipe import ANY, Recipe
from .config import EACH
from .parts import Arrays, Job, Tick, kept

BATCH = 32  # pictures in one run; at a fixed grid, so that rounding does not depend on the processes


@dataclass(frozen=True)
class Batch:
    """Pictures of one label that are drawn together. `sources` are the numbers of the real pictures that
    they enlarge.
    """

    label: str | None
    seeds: tuple[int, ...]
    sources: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Tells it from every other of its label: those of "each" have other seeds from the same first one
        on.
        """
        return (
            f"{self.seeds[0]}-{len(self.seeds)}-{hashlib.sha256(repr(self.seeds).encode()).hexdigest()[:8]}"
        )


def batches(spec: ModelSpec | ClassifierSpec, labels: str, first: int, count: int) -> list[Batch]:
    """The runs that draw `count` pictures with seeds from `first` up, of the labels that `spec` knows.

    With "each", picture k is of label k mod the number of labels, so that asking for more keeps those that
    are there.
    """
    found = []
    asked = labels_asked(spec, labels)
    for k, label in enumerate(asked):
        seeds = tuple(range(first + k, first + count, len(asked)))
        found += [Batch(label, seeds[at : at + BATCH]) for at in range(0, len(seeds), BATCH)]
    return found


def enlarging(labels: Sequence[str | None], first: int, sources: Sequence[int]) -> list[Batch]:
    """The runs that enlarge the real pictures `sources`, picture k with the seed `first` + k and the label
    `labels[k]`.
    """
    found = []
    for label in dict.fromkeys(labels):
        own = [k for k, one in enumerate(labels) if one == label]
        found += [
            Batch(label, tuple(first + k for k in part), tuple(sources[k] for k in part))
            for part in (own[at : at + BATCH] for at in range(0, len(own), BATCH))
        ]
    return found


def labels_asked(spec: ModelSpec | ClassifierSpec, labels: str) -> tuple[str | None, ...]:
    """What an evaluation's `labels` say, for a model or a classifier with these labels."""
    if labels == EACH:
        return tuple(spec.labels) or (None,)
    return (None,) if labels == ANY else (spec.labels[spec.label_index(labels)],)


def knowing(model: Model, recipe: Recipe, classifier: Classifier | None) -> ModelSpec | ClassifierSpec:
    """Whose labels can be asked for: the model's, or of one without labels those of the classifier that
    guides it.
    """
    guide = recipe.classifier
    if classifier is not None and not model.spec.labels and guide.on and guide.label is None:
        return classifier.spec
    return model.spec


def labelled(model: Model, recipe: Recipe, label: str | None) -> Recipe:
    """The recipe for a label of those that are `knowing`."""
    if model.spec.labels or label is None:
        return replace(recipe, label=label)
    return replace(recipe, label=None, classifier=replace(recipe.classifier, label=label))


def default_recipe(spec: ModelSpec, **changes: object) -> Recipe:
    """The settings that suit the model, with changes. Labels and seeds are the evaluation's own."""
    settings = {name: value for name, value in spec.defaults.items() if name not in ("label", "count")}
    return Recipe.from_settings({"model": spec.name, **settings, **changes})


def digest(model: Model | Classifier) -> str:
    """Names a model's description, weights and precision."""
    found = hashlib.sha256(model.spec.to_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(f"{name} {tensor.dtype}".encode())
        found.update(tensor.contiguous().view(-1).view(torch.uint8).cpu().numpy().data)
    return found.hexdigest()[:16]


def fingerprint(images: np.ndarray) -> str:
    """Names pictures, or points, by shape and values."""
    found = hashlib.sha256(str(images.shape).encode())
    found.update(np.ascontiguousarray(images).data)
    return found.hexdigest()[:16]


class Drawing:
    """A model and all that a recipe says about how it draws: which folder its work is kept in, and whether it
    can.

    `classifier` and `weaker` are what the recipe is guided by.
    """

    def __init__(
        self, model: Model, recipe: Recipe, classifier: Classifier | None = None, weaker: Model | None = None
    ) -> None:
        self.model, self.recipe, self.classifier, self.weaker = model, recipe, classifier, weaker
        if recipe.labels or recipe.prompts:
            raise OptionError(
                "labels",
                "An evaluation says itself which label each picture has, and has one prompt for all. Leave "
                "labels and prompts out.",
            )
        self.known = knowing(model, recipe, classifier)

    def check(self, labels: Sequence[str | None]) -> None:
        """Raise `OptionError` for what the model cannot do, before anything is drawn."""
        spec = self.model.spec
        small = None if spec.low_res is None else torch.zeros(1, spec.channels, spec.low_res, spec.low_res)
        for label in dict.fromkeys(labels):
            generate.plan(
                self.model,
                labelled(self.model, self.recipe, label),
                Guides(self.classifier, self.weaker),
                low_res=small,
            )

    @cached_property
    def name(self) -> str:
        """Of the folder: by everything but label and seed that says what a picture looks like, the weights
        included.
        """
        recipe, helpers = self.recipe, {}
        if self.classifier is not None and recipe.classifier.on:
            recipe = replace(recipe, classifier=replace(recipe.classifier, name="classifier"))
            helpers["classifier_weights"] = digest(self.classifier)
        if self.weaker is not None and recipe.weaker is not None:
            recipe, helpers["weaker_weights"] = replace(recipe, weaker="weaker"), digest(self.weaker)
        settings = json.loads(replace(recipe, label=None, seeds=(0,), model="", low_res=None).to_json())
        told = json.dumps(
            {**settings, **helpers, "weights": digest(self.model), "batch": BATCH}, sort_keys=True
        )
        return f"{self.model.spec.name or 'model'}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def kind(self, label: str | None) -> str:
        """A label in the name of a file."""
        return "any" if label is None else str(self.known.label_index(label))


class Drawn(Drawing):
    """The pictures of a model and a recipe, kept in a folder of their own below `folder`.

    `small` (N, h, w, C) uint8 are the pictures to enlarge that the batches' `sources` count, for a model that
    does.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        asked: Sequence[Batch],
        folder: Path,
        classifier: Classifier | None = None,
        weaker: Model | None = None,
        small: np.ndarray | None = None,
    ) -> None:
        """Raises `OptionError` for what the model cannot do, before anything is drawn."""
        super().__init__(model, recipe, classifier, weaker)
        self.asked, self.small = asked, small
        if not asked or not all(batch.seeds for batch in asked):
            raise OptionError("pictures", "No pictures were asked for.")
        self.check([batch.label for batch in asked])
        self.folder = folder / self.name

    def __len__(self) -> int:
        return sum(len(batch.seeds) for batch in self.asked)

    def part(self, batch: Batch, tick: Tick = lambda count: None) -> Arrays:
        """`images` (N, H, W, C) uint8, `seeds` (N,) and `labels` (N,), -1 for any."""

        def make() -> Arrays:
            recipe = replace(labelled(self.model, self.recipe, batch.label), seeds=batch.seeds)
            low_res = None if self.small is None else from_uint8(self.small[list(batch.sources)])
            frame = None
            guides = Guides(self.classifier, self.weaker)
            for frame in generate.stream(self.model, recipe, guides, low_res=low_res):
                if frame.index:
                    tick(1)
            assert frame is not None  # a run has at least two states
            label = -1 if batch.label is None else self.known.label_index(batch.label)
            return {
                "images": frame.x,
                "seeds": np.array(batch.seeds),
                "labels": np.full(len(batch.seeds), label),
            }

        return kept(self.folder / "pictures" / self.file(batch), make)

    def file(self, batch: Batch) -> str:
        """The name of a batch's file: its label and seeds, and the pictures that it enlarges by their
        pixels.
        """
        given = "" if self.small is None else f"-{fingerprint(self.small[list(batch.sources)])}"
        return f"{self.kind(batch.label)}-{batch.name}{given}.npz"

    def jobs(self) -> list[Job]:
        return [
            Job(lambda tick, batch=batch: self.part(batch, tick), self.recipe.steps) for batch in self.asked
        ]

    def all(self) -> Arrays:
        """Every picture, in the order of the seeds; with `sources` (N,), where there are any."""
        parts = [self.part(batch) for batch in self.asked]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if self.small is not None:
            whole["sources"] = np.concatenate([batch.sources for batch in self.asked])
        order = np.argsort(whole["seeds"], kind="stable")
        return {name: values[order] for name, values in whole.items()}
