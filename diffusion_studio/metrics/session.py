"""What an evaluation compares: real and generated pictures, and what the feature network sees in them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import data
from ..checkpoint.classifier_spec import ClassifierSpec
from ..checkpoint.spec import ModelSpec
from ..data import ImageData
from ..data.points import is_points
from ..errors import DataError, OptionError
from ..imaging.arrays import colour
from ..models.classifier import Classifier
from ..models.model import Model
from ..runs.recipe import ANY, Recipe
from .config import EACH, EvalConfig
from .enlarged import small_of
from .features import Features
from .parts import Arrays, Progress, kept
from .pictures import Batch, Drawn, batches, digest, enlarging, fingerprint, knowing

CHUNK = 256  # real pictures whose features lie in one file


class Seen:
    """Real pictures through the feature network, part by part, each kept when it is made."""

    def __init__(self, pictures: np.ndarray, network: Features, folder: Path) -> None:
        self.pictures, self.network = pictures, network
        self.folder = folder / "real" / f"{fingerprint(pictures)}-{network.key}"

    @property
    def parts(self) -> range:
        """Where the parts begin."""
        return range(0, len(self.pictures), CHUNK)

    def part(self, at: int) -> Arrays:
        """`features` (N, D) float32 of the pictures from number `at` on."""
        part = self.pictures[at : at + CHUNK]
        return kept(self.folder / f"{at}-{len(part)}.npz", lambda: {"features": self.network(part)})

    @cached_property
    def features(self) -> np.ndarray:
        """(N, D) float32."""
        return np.concatenate([self.part(at)["features"] for at in self.parts])

    @property
    def statistics(self) -> Path:
        """Where the features' mean and covariance are kept."""
        return self.folder / "gaussian.npz"


class Session:
    """One evaluation's pictures and features, each made or read when it is first asked for."""

    def __init__(
        self,
        model: Model,
        config: EvalConfig,
        recipe: Recipe,
        folder: Path,
        progress: Progress | None,
        classifier: Classifier | None = None,
        weaker: Model | None = None,
    ) -> None:
        self.model, self.config, self.recipe, self.folder, self.progress = (
            model,
            config,
            recipe,
            folder,
            progress,
        )
        self.classifier, self.weaker = classifier, weaker

    # ---- what is compared

    @cached_property
    def network(self) -> Features:
        return Features(self.config.features, self.config.feature_weights, self.model.device)

    @cached_property
    def drawn(self) -> Drawn:
        if self.model.spec.low_res is not None:
            asked, small = self._to_enlarge()
        else:
            asked, small = (
                batches(self.known, self.config.labels, self.config.seed, self.config.pictures),
                None,
            )
        return Drawn(self.model, self.recipe, asked, self.folder, self.classifier, self.weaker, small)

    @cached_property
    def known(self) -> ModelSpec | ClassifierSpec:
        """Whose labels the pictures have."""
        return knowing(self.model, self.recipe, self.classifier)

    def _to_enlarge(self) -> tuple[list[Batch], np.ndarray]:
        """The first real pictures, or the first of the one label that was asked for, made small, and each
        with its label.
        """
        spec, config, real = self.model.spec, self.config, self.real
        side = spec.low_res
        assert side is not None and spec.image_size is not None  # of a model that enlarges
        if self.recipe.low_res is not None:
            raise OptionError(
                "low_res",
                "An evaluation enlarges the real pictures, made small. Leave the recipe's low_res out.",
            )
        numbers, labels = np.arange(len(real.images)), None
        if spec.labels and config.labels != ANY:
            if real.labels is None or tuple(real.names) != spec.labels:
                raise DataError(
                    f"{spec.name} enlarges a picture of a label, and {config.data} does not have its labels. "
                    "Give the data that it was trained on, or --labels any."
                )
            if config.labels != EACH:
                numbers = np.flatnonzero(real.labels == spec.label_index(config.labels))
            labels = [spec.labels[k] for k in real.labels[numbers]]
        elif config.labels not in (EACH, ANY):
            spec.label_index(config.labels)  # says that there is none
        if (count := config.pictures) > len(numbers):
            raise DataError(
                f"{spec.name} enlarges real pictures, one for each that is asked for: {count:,}; the split "
                f"{config.split!r} of {config.data} has {len(numbers):,} to choose from. Ask for fewer "
                "--pictures, or give more data."
            )
        asked = enlarging(labels[:count] if labels else [None] * count, config.seed, numbers[:count].tolist())
        small = np.zeros((numbers[:count].max() + 1, side, side, spec.channels), np.uint8)
        small[numbers[:count]] = small_of(real.images[numbers[:count]], side)
        return asked, small

    @cached_property
    def model_digest(self) -> str:
        return digest(self.model)

    @cached_property
    def train(self) -> ImageData:
        return self._pictures("train")

    @cached_property
    def test(self) -> ImageData:
        return self._pictures("test")

    @cached_property
    def real(self) -> ImageData:
        """The pictures of the chosen split, or a choice of them that is always the same."""
        return chosen(getattr(self, self.config.split), self.config.real)

    def _pictures(self, split: str) -> ImageData:
        if not Path(self.config.data).expanduser().exists() and is_points(self.config.data):
            raise DataError(
                f"{self.config.data} is a set of points, and {self.model.spec.name} makes pictures. Give the "
                "pictures that it was trained on."
            )
        spec = self.model.spec
        found = data.load(self.config.data, split, background=spec.background).padded(
            spec.image_size, colour(spec.background)
        )
        if spec.channels == 1 and data.summary(found, self.config.data).grey_as_rgb:
            found = found.coloured("grey")
        # sorted otherwise by now
        if set(found.names) == set(spec.labels) and tuple(found.names) != spec.labels:
            found = found.only(spec.labels)
        if found.images.shape[-1] != self.model.spec.channels:
            raise DataError(
                f"{self.config.data} has {found.images.shape[-1]} channels, {self.model.spec.name} draws "
                f"{self.model.spec.channels}. Give the data that it was trained on."
            )
        return found

    def labelled(self, split: str) -> ImageData:
        """A split whose labels are those that are drawn."""
        found: ImageData = getattr(self, split)
        if found.labels is None or not self.known.labels or tuple(found.names) != self.known.labels:
            raise DataError(
                f"{self.config.data} has the labels {', '.join(found.names) or 'none'}; "
                f"{self.model.spec.name} draws {', '.join(self.known.labels) or 'without labels'}. Give the "
                "data that it was trained on, or leave 'labels' out of --metrics."
            )
        return found

    # ---- what its parts are

    def made_part(self, batch: Batch) -> Arrays:
        """`features` (N, D) float32 and `seeds` (N,) of a batch."""

        def make() -> Arrays:
            part = self.drawn.part(batch)
            return {"features": self.network(part["images"]), "seeds": part["seeds"]}

        return kept(self.drawn.folder / self.network.key / self.drawn.file(batch), make)

    @cached_property
    def seen(self) -> Seen:
        """The real pictures that generated ones are compared with, through the feature network."""
        return Seen(self.real.images, self.network, self.folder)

    @staticmethod
    def _labels(pictures: ImageData) -> np.ndarray:
        assert pictures.labels is not None  # `labelled` has checked it
        return pictures.labels

    @cached_property
    def lesson(self) -> tuple[Seen, np.ndarray]:
        """What a judge of features learns from: training pictures, all or as many as are compared with,
        and their labels.
        """
        train = self.labelled("train")
        if self.config.split == "train":
            return self.seen, self._labels(self.real)
        train = chosen(train, self.config.real)
        return Seen(train.images, self.network, self.folder), self._labels(train)

    @cached_property
    def exam(self) -> tuple[Seen, np.ndarray]:
        """What shows how good that judge is: test pictures and their labels."""
        test = self.labelled("test")
        return Seen(test.images, self.network, self.folder), self._labels(test)

    # ---- what the figures read, on the first process

    @cached_property
    def made_features(self) -> np.ndarray:
        """(N, D) float32, in the order of the seeds."""
        parts = [self.made_part(batch) for batch in self.drawn.asked]
        order = np.argsort(np.concatenate([part["seeds"] for part in parts]), kind="stable")
        return np.concatenate([part["features"] for part in parts])[order]

    @cached_property
    def made(self) -> dict[str, np.ndarray]:
        return self.drawn.all()


def chosen(whole: ImageData, count: int | None) -> ImageData:
    """`count` of the pictures, drawn once by a fixed seed as data can be sorted by label; all where it is
    None.
    """
    if count is None or count == len(whole.images):
        return whole
    if count > len(whole.images):
        raise OptionError(
            "pictures", f"{count:,} real pictures were asked for; there are {len(whole.images):,}."
        )
    at = np.sort(np.random.Generator(np.random.Philox(0)).permutation(len(whole.images))[:count])
    return replace(whole, images=whole.images[at], labels=None if whole.labels is None else whole.labels[at])
