"""The evaluation of a model of pictures: real and generated pictures, and their features."""

from __future__ import annotations

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
from ..runs.recipe import ANY
from .config import EACH
from .enlarged import downscale
from .evaluation import Evaluation
from .features import Features
from .parts import Arrays, load_or_compute
from .pictures import (
    Batch,
    GeneratedPictures,
    batches,
    digest,
    enlarging_batches,
    fingerprint,
    labelling_spec,
)

CHUNK = 256  # pictures whose features are kept in one file


class CachedFeatures:
    """Features of pictures, computed part by part and kept in files."""

    def __init__(self, pictures: np.ndarray, network: Features, folder: Path) -> None:
        self.pictures, self.network = pictures, network
        self.folder = folder / "real" / f"{fingerprint(pictures)}-{network.key}"

    @property
    def parts(self) -> range:
        """The first index of each part."""
        return range(0, len(self.pictures), CHUNK)

    def part(self, at: int) -> Arrays:
        """`features` (N, D) float32 of the pictures from index `at` on."""
        part = self.pictures[at : at + CHUNK]
        return load_or_compute(
            self.folder / f"{at}-{len(part)}.npz", lambda: {"features": self.network(part)}
        )

    @cached_property
    def features(self) -> np.ndarray:
        """(N, D) float32."""
        return np.concatenate([self.part(at)["features"] for at in self.parts])

    @property
    def statistics(self) -> Path:
        """The file with the features' mean and covariance."""
        return self.folder / "gaussian.npz"


class PictureEvaluation(Evaluation):
    """Real and generated pictures of one evaluation and their features, computed or read when first used."""

    # ---- pictures

    @cached_property
    def network(self) -> Features:
        return Features(self.config.features, self.config.feature_weights, self.model.device)

    @cached_property
    def generated_pictures(self) -> GeneratedPictures:
        if self.model.spec.low_res is not None:
            requested, small = self._to_enlarge()
        else:
            requested, small = (
                batches(self.label_spec, self.config.labels, self.config.seed, self.config.pictures),
                None,
            )
        return GeneratedPictures(
            self.model, self.recipe, requested, self.folder, self.classifier, self.weaker, small
        )

    @cached_property
    def label_spec(self) -> ModelSpec | ClassifierSpec:
        """The spec whose labels the pictures have."""
        return labelling_spec(self.model, self.recipe, self.classifier)

    def _to_enlarge(self) -> tuple[list[Batch], np.ndarray]:
        """The batches that enlarge the first real pictures (of one label, if one was asked for), and their
        small versions.
        """
        spec, config, real = self.model.spec, self.config, self.real
        side = spec.low_res
        assert side is not None and spec.image_size is not None
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
            spec.label_index(config.labels)  # raises that there is none
        if (count := config.pictures) > len(numbers):
            raise DataError(
                f"{spec.name} enlarges real pictures, one for each that is asked for: {count:,}; the split "
                f"{config.split!r} of {config.data} has {len(numbers):,} to choose from. Ask for fewer "
                "--pictures, or give more data."
            )
        requested = enlarging_batches(
            labels[:count] if labels else [None] * count, config.seed, numbers[:count].tolist()
        )
        small = np.zeros((numbers[:count].max() + 1, side, side, spec.channels), np.uint8)
        small[numbers[:count]] = downscale(real.images[numbers[:count]], side)
        return requested, small

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
        """The pictures of the chosen split, or a fixed random subset of them."""
        return random_subset(getattr(self, self.config.split), self.config.real)

    def _pictures(self, split: str) -> ImageData:
        if not Path(self.config.data).expanduser().exists() and is_points(self.config.data):
            raise DataError(
                f"{self.config.data} is a set of points, and {self.model.spec.name} makes pictures. Give the "
                "pictures that it was trained on."
            )
        spec = self.model.spec
        pictures = data.load(self.config.data, split, background=spec.background).padded(
            spec.image_size, colour(spec.background)
        )
        if spec.channels == 1 and data.summary(pictures, self.config.data).grey_as_rgb:
            pictures = pictures.coloured("grey")
        # the data's labels may be in another order than the model's
        if set(pictures.names) == set(spec.labels) and tuple(pictures.names) != spec.labels:
            pictures = pictures.only(spec.labels)
        if pictures.images.shape[-1] != self.model.spec.channels:
            raise DataError(
                f"{self.config.data} has {pictures.images.shape[-1]} channels, {self.model.spec.name} draws "
                f"{self.model.spec.channels}. Give the data that it was trained on."
            )
        return pictures

    def labelled_split(self, split: str) -> ImageData:
        """The pictures of a split. Raises `DataError` if their labels are not those of the generated
        pictures.
        """
        pictures: ImageData = getattr(self, split)
        if (
            pictures.labels is None
            or not self.label_spec.labels
            or tuple(pictures.names) != self.label_spec.labels
        ):
            raise DataError(
                f"{self.config.data} has the labels {', '.join(pictures.names) or 'none'}; "
                f"{self.model.spec.name} draws {', '.join(self.label_spec.labels) or 'without labels'}. Give "
                "the data that it was trained on, or leave 'labels' out of --metrics."
            )
        return pictures

    # ---- features

    def generated_features_part(self, batch: Batch) -> Arrays:
        """`features` (N, D) float32 and `seeds` (N,) of a batch."""

        def make() -> Arrays:
            part = self.generated_pictures.part(batch)
            return {"features": self.network(part["images"]), "seeds": part["seeds"]}

        return load_or_compute(
            self.generated_pictures.folder / self.network.key / self.generated_pictures.file(batch), make
        )

    @cached_property
    def real_features(self) -> CachedFeatures:
        """The features of the real pictures that generated ones are compared with."""
        return CachedFeatures(self.real.images, self.network, self.folder)

    @staticmethod
    def _labels(pictures: ImageData) -> np.ndarray:
        assert pictures.labels is not None  # checked by `labelled`
        return pictures.labels

    @cached_property
    def judge_training_set(self) -> tuple[CachedFeatures, np.ndarray]:
        """The features and labels on which the linear judge is trained: training pictures, all or as many
        as are compared.
        """
        train = self.labelled_split("train")
        if self.config.split == "train":
            return self.real_features, self._labels(self.real)
        train = random_subset(train, self.config.real)
        return CachedFeatures(train.images, self.network, self.folder), self._labels(train)

    @cached_property
    def judge_test_set(self) -> tuple[CachedFeatures, np.ndarray]:
        """The features and labels of test pictures, which measure the judge's accuracy."""
        test = self.labelled_split("test")
        return CachedFeatures(test.images, self.network, self.folder), self._labels(test)

    # ---- results, on the first process

    @cached_property
    def generated_features(self) -> np.ndarray:
        """The features of all generated pictures, (N, D) float32, in the order of the seeds."""
        parts = [self.generated_features_part(batch) for batch in self.generated_pictures.batches]
        order = np.argsort(np.concatenate([part["seeds"] for part in parts]), kind="stable")
        return np.concatenate([part["features"] for part in parts])[order]

    @cached_property
    def generated(self) -> dict[str, np.ndarray]:
        return self.generated_pictures.all()


def random_subset(whole: ImageData, count: int | None) -> ImageData:
    """A fixed random subset of `count` pictures; all if None. Random, because data may be sorted by label."""
    if count is None or count == len(whole.images):
        return whole
    if count > len(whole.images):
        raise OptionError(
            "pictures", f"{count:,} real pictures were asked for; there are {len(whole.images):,}."
        )
    at = np.sort(np.random.Generator(np.random.Philox(0)).permutation(len(whole.images))[:count])
    return whole.chosen(at)
