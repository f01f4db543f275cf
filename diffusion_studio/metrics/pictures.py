"""The pictures that a model draws for an evaluation. They follow from their seeds and do not depend on the
number of processes.
"""

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
from .parts import Arrays, Job, Tick, load_or_compute

BATCH = 32  # pictures in one run; fixed, so that rounding does not depend on the processes


@dataclass(frozen=True)
class Batch:
    """Pictures of one label that are drawn together. `sources` are the indices of the real pictures that
    they enlarge.
    """

    label: str | None
    seeds: tuple[int, ...]
    sources: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """A name that is unique among the batches of a label. It includes all seeds, because those of
        "each" are not consecutive.
        """
        return (
            f"{self.seeds[0]}-{len(self.seeds)}-{hashlib.sha256(repr(self.seeds).encode()).hexdigest()[:8]}"
        )


def batches(spec: ModelSpec | ClassifierSpec, labels: str, first: int, count: int) -> list[Batch]:
    """The batches that draw `count` pictures with seeds from `first` up, of the labels that `spec` knows.

    With "each", picture k has label k mod the number of labels, so asking for more keeps the existing ones.
    """
    result = []
    selected = selected_labels(spec, labels)
    for k, label in enumerate(selected):
        seeds = tuple(range(first + k, first + count, len(selected)))
        result += [Batch(label, seeds[at : at + BATCH]) for at in range(0, len(seeds), BATCH)]
    return result


def enlarging_batches(labels: Sequence[str | None], first: int, sources: Sequence[int]) -> list[Batch]:
    """The batches that enlarge the real pictures `sources`. Picture k has the seed `first` + k and the
    label `labels[k]`.
    """
    result = []
    for label in dict.fromkeys(labels):
        indices = [k for k, one in enumerate(labels) if one == label]
        result += [
            Batch(label, tuple(first + k for k in part), tuple(sources[k] for k in part))
            for part in (indices[at : at + BATCH] for at in range(0, len(indices), BATCH))
        ]
    return result


def selected_labels(spec: ModelSpec | ClassifierSpec, labels: str) -> tuple[str | None, ...]:
    """The labels that an evaluation's `labels` selects, among those of a model or classifier. None is any."""
    if labels == EACH:
        return tuple(spec.labels) or (None,)
    return (None,) if labels == ANY else (spec.labels[spec.label_index(labels)],)


def labelling_spec(model: Model, recipe: Recipe, classifier: Classifier | None) -> ModelSpec | ClassifierSpec:
    """The spec whose labels can be asked for: the model's, or the guiding classifier's if the model has no
    labels.
    """
    guide = recipe.classifier
    if classifier is not None and not model.spec.labels and guide.on and guide.label is None:
        return classifier.spec
    return model.spec


def for_label(model: Model, recipe: Recipe, label: str | None) -> Recipe:
    """The recipe that draws a label of `labelling_spec`."""
    if model.spec.labels or label is None:
        return replace(recipe, label=label)
    return replace(recipe, label=None, classifier=replace(recipe.classifier, label=label))


def default_recipe(spec: ModelSpec, **changes: object) -> Recipe:
    """The model's default settings, with changes. Labels and seeds come from the evaluation."""
    settings = {name: value for name, value in spec.defaults.items() if name not in ("label", "count")}
    return Recipe.from_settings({"model": spec.name, **settings, **changes})


def digest(model: Model | Classifier) -> str:
    """A hash of a model's description, weights and precision."""
    hash = hashlib.sha256(model.spec.to_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        hash.update(f"{name} {tensor.dtype}".encode())
        hash.update(tensor.contiguous().view(-1).view(torch.uint8).cpu().numpy().data)
    return hash.hexdigest()[:16]


def fingerprint(images: np.ndarray) -> str:
    """A hash of the shape and values of pictures or points."""
    hash = hashlib.sha256(str(images.shape).encode())
    hash.update(np.ascontiguousarray(images).data)
    return hash.hexdigest()[:16]


class GenerationSetup:
    """A model with a recipe for an evaluation: checks that it can run, and names the folder for its results.

    `classifier` and `weaker` are the networks that guide the recipe.
    """

    def __init__(
        self, model: Model, recipe: Recipe, classifier: Classifier | None = None, weaker: Model | None = None
    ) -> None:
        self.model, self.recipe, self.classifier, self.weaker = model, recipe, classifier, weaker
        if recipe.labels or recipe.prompts:
            raise OptionError(
                "labels",
                "An evaluation chooses the label of each picture itself, and has one prompt for all. Leave "
                "labels and prompts out.",
            )
        self.label_spec = labelling_spec(model, recipe, classifier)

    def check(self, labels: Sequence[str | None]) -> None:
        """Raise `OptionError` for what the model cannot do, before anything is drawn."""
        spec = self.model.spec
        small = None if spec.low_res is None else torch.zeros(1, spec.channels, spec.low_res, spec.low_res)
        for label in dict.fromkeys(labels):
            generate.plan(
                self.model,
                for_label(self.model, self.recipe, label),
                Guides(self.classifier, self.weaker),
                low_res=small,
            )

    @cached_property
    def name(self) -> str:
        """The name of the folder: a hash of everything but label and seed that determines a picture,
        weights included.
        """
        recipe, helpers = self.recipe, {}
        if self.classifier is not None and recipe.classifier.on:
            recipe = replace(recipe, classifier=replace(recipe.classifier, name="classifier"))
            helpers["classifier_weights"] = digest(self.classifier)
        if self.weaker is not None and recipe.weaker is not None:
            recipe, helpers["weaker_weights"] = replace(recipe, weaker="weaker"), digest(self.weaker)
        settings = json.loads(replace(recipe, label=None, seeds=(0,), model="", low_res=None).to_json())
        key = json.dumps(
            {**settings, **helpers, "weights": digest(self.model), "batch": BATCH}, sort_keys=True
        )
        return f"{self.model.spec.name or 'model'}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def label_code(self, label: str | None) -> str:
        """A label as part of a file's name."""
        return "any" if label is None else str(self.label_spec.label_index(label))


class GeneratedPictures(GenerationSetup):
    """The pictures of a model and a recipe, kept in a subfolder of `folder`.

    `small` (N, h, w, C) uint8 are the pictures to enlarge, which the batches' `sources` index.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        batches: Sequence[Batch],
        folder: Path,
        classifier: Classifier | None = None,
        weaker: Model | None = None,
        small: np.ndarray | None = None,
    ) -> None:
        """Raises `OptionError` for what the model cannot do, before anything is drawn."""
        super().__init__(model, recipe, classifier, weaker)
        self.batches, self.small = batches, small
        if not batches or not all(batch.seeds for batch in batches):
            raise OptionError("pictures", "No pictures were asked for.")
        self.check([batch.label for batch in batches])
        self.folder = folder / self.name

    def __len__(self) -> int:
        return sum(len(batch.seeds) for batch in self.batches)

    def part(self, batch: Batch, tick: Tick = lambda count: None) -> Arrays:
        """Draw or read a batch: `images` (N, H, W, C) uint8, `seeds` (N,) and `labels` (N,), -1 for any."""

        def make() -> Arrays:
            recipe = replace(for_label(self.model, self.recipe, batch.label), seeds=batch.seeds)
            low_res = None if self.small is None else from_uint8(self.small[list(batch.sources)])
            frame = None
            guides = Guides(self.classifier, self.weaker)
            for frame in generate.stream(self.model, recipe, guides, low_res=low_res):
                if frame.index:
                    tick(1)
            assert frame is not None  # a run has at least two states
            label = -1 if batch.label is None else self.label_spec.label_index(batch.label)
            return {
                "images": frame.x,
                "seeds": np.array(batch.seeds),
                "labels": np.full(len(batch.seeds), label),
            }

        return load_or_compute(self.folder / "pictures" / self.file(batch), make)

    def file(self, batch: Batch) -> str:
        """The name of a batch's file, from its label, seeds, and the pixels of the pictures that it
        enlarges.
        """
        inputs = "" if self.small is None else f"-{fingerprint(self.small[list(batch.sources)])}"
        return f"{self.label_code(batch.label)}-{batch.name}{inputs}.npz"

    def jobs(self) -> list[Job]:
        return [
            Job(lambda tick, batch=batch: self.part(batch, tick), self.recipe.steps, len(batch.seeds))
            for batch in self.batches
        ]

    def all(self) -> Arrays:
        """All pictures in the order of the seeds, with `sources` (N,) if they are enlarged."""
        parts = [self.part(batch) for batch in self.batches]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if self.small is not None:
            whole["sources"] = np.concatenate([batch.sources for batch in self.batches])
        order = np.argsort(whole["seeds"], kind="stable")
        return {name: values[order] for name, values in whole.items()}
