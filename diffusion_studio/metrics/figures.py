"""The figures of pictures by name: what each needs, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import files
from ..errors import DataError, OptionError, Setting
from ..imaging import arrays
from . import bits, classifier, linear
from .enlarged import bilinear, downscale, psnr
from .frechet import Gaussian, frechet
from .kernel import kernel_distance
from .manifold import precision_recall
from .neighbours import nearest
from .parts import load_or_compute
from .picture_evaluation import PictureEvaluation
from .score import class_score

JUDGE_SEED = 0
SHOWN = 20  # pictures on the sheet of nearest neighbours
LEAST_ACCURACY = 0.5  # on real pictures; below this a classifier cannot judge generated ones


@dataclass(frozen=True)
class Figure:
    """A figure: `check` raises its errors before anything is drawn, `measure` returns a JSON object."""

    check: Callable[[PictureEvaluation], Any]
    measure: Callable[[PictureEvaluation], dict[str, Any]]


def _no_check(run: PictureEvaluation) -> None:
    pass


def _title(run: PictureEvaluation, plain: str, of_inception: str) -> str:
    """The figure's title. Only Inception's features give a figure the name that papers use."""
    return of_inception if run.config.features == "inception" else f"{plain} ({run.network.kind.title})"


def _frechet(run: PictureEvaluation) -> dict[str, Any]:
    generated = Gaussian.of(run.generated_features)

    def fit() -> dict[str, np.ndarray]:
        gaussian = Gaussian.of(run.real_features.features)
        return {"mean": gaussian.mean, "covariance": gaussian.covariance, "count": np.array(gaussian.count)}

    stored = load_or_compute(run.real_features.statistics, fit)
    real = Gaussian(stored["mean"], stored["covariance"], int(stored["count"]))
    result = {
        "name": _title(run, "Frechet distance", "FID"),
        "value": frechet(generated, real),
        "made": generated.count,
        "real": real.count,
        "split": run.config.split,
    }
    if min(generated.count, real.count) <= len(generated.mean):
        result["note"] = (
            f"fewer pictures than the {len(generated.mean)} features: too large, and to be compared "
            "only at equal numbers of pictures"
        )
    return result


def _kernel(run: PictureEvaluation) -> dict[str, Any]:
    mean, spread = kernel_distance(run.generated_features, run.real_features.features)
    return {"name": _title(run, "kernel distance", "KID"), "value": mean, "deviation_over_subsets": spread}


def _precision_recall(run: PictureEvaluation) -> dict[str, Any]:
    generated, real = run.generated_features, run.real_features.features
    count = min(len(generated), len(real))
    at = np.random.Generator(np.random.Philox(1)).permutation(len(real))[:count]
    precision, recall = precision_recall(generated[:count], real[at], run.config.k)
    return {
        "name": _title(run, "precision and recall", "precision and recall (Inception)"),
        "precision": precision,
        "recall": recall,
        "k": run.config.k,
        "pictures_each": count,
    }


def _check_precision_recall(run: PictureEvaluation) -> None:
    count = min(run.config.pictures, len(run.real.images))
    if count <= run.config.k:
        raise OptionError(
            "k",
            f"Precision and recall with k = {run.config.k} take at least {run.config.k + 1} pictures on "
            f"either side, got {count}. Ask for more, or for a smaller ",
            Setting("k"),
            ".",
        )


def _score(run: PictureEvaluation) -> dict[str, Any]:
    mean, spread = class_score(run.network.logits(run.generated_features))
    return {
        "name": _title(run, "Inception-style score", "Inception score"),
        "value": mean,
        "deviation_over_splits": spread,
    }


def _check_labels(run: PictureEvaluation) -> None:
    run.labelled_split("train")
    run.labelled_split("test")
    if run.config.labels == "any":
        raise OptionError(
            "labels",
            "The figure 'labels' needs pictures of known labels. Choose ",
            Setting("labels"),
            " each, or one label.",
        )
    _check_split(run)


def _check_split(run: PictureEvaluation) -> None:
    if run.train.images.shape == run.test.images.shape and np.array_equal(run.train.images, run.test.images):
        raise DataError(
            f"{run.config.data} has no test split of its own, so there is nothing to compare with. Leave "
            "'labels' out of --metrics."
        )


def _labels(run: PictureEvaluation) -> dict[str, Any]:
    intended, names = run.generated["labels"], run.test.names
    correct, correct_real, judge_title = (
        _judge_by_features(run) if run.config.judge == "features" else _judge_by_pixels(run)
    )
    result = {
        "name": f"label accuracy ({judge_title})",
        "value": float(correct.mean()),
        "of_real_test_pictures": float(correct_real.mean()),
        "of_each": {names[k]: float(correct[intended == k].mean()) for k in np.unique(intended)},
    }
    if result["of_real_test_pictures"] < LEAST_ACCURACY:
        result["note"] = "the classifier fails on most real pictures, so it cannot judge generated ones"
    return result


def _judge_by_pixels(run: PictureEvaluation) -> tuple[np.ndarray, np.ndarray, str]:
    """Whether the classifier of pixels is right on each generated picture and each real test picture, and
    its description.
    """

    def report(done: int, total: int) -> None:
        if run.progress is not None:
            run.progress("training the classifier", done, total)

    judge = classifier.load_or_train(
        run.labelled_split("train"), JUDGE_SEED, run.folder / "classifier", report
    )
    test, generated = run.labelled_split("test"), run.generated
    return (
        classifier.predict_classes(judge, generated["images"]) == generated["labels"],
        classifier.predict_classes(judge, test.images) == test.labels,
        "a small classifier of the training pictures",
    )


def _judge_by_features(run: PictureEvaluation) -> tuple[np.ndarray, np.ndarray, str]:
    """The same for a linear classifier of the feature network's features."""
    (train, labels), (test, test_labels) = run.judge_training_set, run.judge_test_set
    judge = linear.fit(train.features, labels, len(run.test.names))
    return (
        judge(run.generated_features) == run.generated["labels"],
        judge(test.features) == test_labels,
        f"logistic regression on {run.network.kind.title}'s features of {len(labels):,} training pictures",
    )


def _neighbours(run: PictureEvaluation) -> dict[str, Any]:
    generated, train = run.generated, run.train
    distance, at = nearest(generated["images"], train.images)
    result: dict[str, Any] = {
        "name": "distance to the nearest training picture, pixels in [0, 1]",
        "value": float(distance.median()),
        "least": float(distance.min()),
    }
    test = run.test if _has_test(run) else None
    if test is not None:
        real, _ = nearest(test.images[: len(distance)], train.images)
        result |= {
            "of_real_test_pictures": float(real.median()),
            "ratio": float(distance.median() / real.median()),
        }
    first = np.argsort(distance.numpy(), kind="stable")[:SHOWN]
    result["closest"] = [
        {"seed": int(generated["seeds"][k]), "training_picture": int(at[k]), "distance": float(distance[k])}
        for k in first
    ]
    pairs = np.concatenate([generated["images"][first], train.images[at[first]]], axis=2)
    sheet = run.generated_pictures.folder / "neighbours.png"
    try:
        with files.replacing(sheet) as draft:
            arrays.to_pil(arrays.enlarge(arrays.grid(pairs, gap=4), 2)).save(draft, "PNG")
    except OSError as error:
        raise DataError(f"{sheet} cannot be written ({files.why(error)}). {files.advice(error)}") from error
    result["sheet"] = str(sheet)
    return result


def _has_test(run: PictureEvaluation) -> bool:
    try:
        test = run.test
    except DataError:
        return False
    return test.images.shape != run.train.images.shape or not np.array_equal(test.images, run.train.images)


def _bound(run: PictureEvaluation) -> dict[str, Any]:
    bits_of_pictures = bits.total(run, "bound")
    terms, t = bits_of_pictures["terms"], bits_of_pictures["t"][:, 0]
    return {
        "name": "bits per dimension, variational bound",
        **bits.summary(terms.sum(0)),
        "levels": len(terms) - 1,
        "of": run.model.schedule.timesteps,
        "variance": bits.variance(run),
        "given_labels": bits.conditional(run),
        "prior": float(terms[0].mean()),
        "decoder": float(terms[-1].mean()),
        "terms": [{"t": float(one), "bits": float(term.mean())} for one, term in zip(t, terms)],
    }


def _flow(run: PictureEvaluation) -> dict[str, Any]:
    bits_of_pictures = bits.total(run, "flow")
    return {
        "name": "bits per dimension, probability-flow ODE, dequantised",
        **bits.summary(bits_of_pictures["bits"]),
        "steps": run.config.flow_steps,
        "probes": run.config.probes,
        "given_labels": bits.conditional(run),
    }


def _psnr(run: PictureEvaluation) -> dict[str, Any]:
    """PSNR of the enlarged pictures, of bilinear interpolation, and of the enlarged ones scaled down
    against the input.
    """
    generated, side, inputs = run.generated, run.model.spec.low_res, run.generated_pictures.small
    assert side is not None and inputs is not None
    real, small = run.real.images[generated["sources"]], inputs[generated["sources"]]
    plain = psnr(bilinear(small, run.model.spec.image_size), real)
    return {
        "name": "PSNR to the original, dB",
        **bits.summary(psnr(generated["images"], real)),
        "of_bilinear": float(plain.mean()),
        "of_the_small_picture": float(psnr(downscale(generated["images"], side), small).mean()),
        "from": side,
        "to": run.model.spec.image_size,
        "split": run.config.split,
    }


FIGURES: dict[str, Figure] = {
    "frechet": Figure(_no_check, _frechet),
    "kernel": Figure(_no_check, _kernel),
    "precision-recall": Figure(_check_precision_recall, _precision_recall),
    "score": Figure(_no_check, _score),
    "labels": Figure(_check_labels, _labels),
    "neighbours": Figure(lambda run: run.train, _neighbours),
    "bound": Figure(lambda run: bits.check(run, "bound"), _bound),
    "flow": Figure(lambda run: bits.check(run, "flow"), _flow),
    "psnr": Figure(_no_check, _psnr),
}
