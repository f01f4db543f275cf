"""The figures by name: what each needs and how it is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import files
from ..errors import DataError, OptionError, Setting
from ..imaging import arrays
from . import bits, classifier, linear
from .enlarged import bilinear, psnr, small_of
from .frechet import Gaussian, frechet
from .kernel import kernel_distance
from .manifold import precision_recall
from .neighbours import nearest
from .parts import kept
from .score import class_score
from .session import Session

JUDGE_SEED = 0
SHOWN = 20  # pictures on the sheet of neighbours
LEAST_ACCURACY = 0.5  # below this a classifier's opinion is worth little


@dataclass(frozen=True)
class Figure:
    """`check` raises what stands against it before anything is drawn; `measure` gives an object for JSON."""

    check: Callable[[Session], Any]
    measure: Callable[[Session], dict[str, Any]]


def _nothing(run: Session) -> None:
    pass


def _title(run: Session, plain: str, of_inception: str) -> str:
    """Only Inception's features give a figure the papers' name."""
    return of_inception if run.config.features == "inception" else f"{plain} ({run.network.kind.title})"


def _frechet(run: Session) -> dict[str, Any]:
    made = Gaussian.of(run.made_features)

    def fit() -> dict[str, np.ndarray]:
        found = Gaussian.of(run.seen.features)
        return {"mean": found.mean, "covariance": found.covariance, "count": np.array(found.count)}

    stored = kept(run.seen.statistics, fit)
    real = Gaussian(stored["mean"], stored["covariance"], int(stored["count"]))
    found = {
        "name": _title(run, "Frechet distance", "FID"),
        "value": frechet(made, real),
        "made": made.count,
        "real": real.count,
        "split": run.config.split,
    }
    if min(made.count, real.count) <= len(made.mean):
        found["note"] = (
            f"fewer pictures than the {len(made.mean)} features: too large, and to be compared only at equal "
            "numbers of pictures"
        )
    return found


def _kernel(run: Session) -> dict[str, Any]:
    mean, spread = kernel_distance(run.made_features, run.seen.features)
    return {"name": _title(run, "kernel distance", "KID"), "value": mean, "deviation_over_subsets": spread}


def _precision_recall(run: Session) -> dict[str, Any]:
    made, real = run.made_features, run.seen.features
    count = min(len(made), len(real))
    at = np.random.Generator(np.random.Philox(1)).permutation(len(real))[:count]
    precision, recall = precision_recall(made[:count], real[at], run.config.k)
    return {
        "name": _title(run, "precision and recall", "precision and recall (Inception)"),
        "precision": precision,
        "recall": recall,
        "k": run.config.k,
        "pictures_each": count,
    }


def _check_precision_recall(run: Session) -> None:
    count = min(run.config.pictures, len(run.real.images))
    if count <= run.config.k:
        raise OptionError(
            "k",
            f"Precision and recall with k = {run.config.k} take at least {run.config.k + 1} pictures on "
            f"either side, got {count}. Ask for more, or for a smaller ",
            Setting("k"),
            ".",
        )


def _score(run: Session) -> dict[str, Any]:
    mean, spread = class_score(run.network.logits(run.made_features))
    return {
        "name": _title(run, "Inception-style score", "Inception score"),
        "value": mean,
        "deviation_over_splits": spread,
    }


def _check_labels(run: Session) -> None:
    run.labelled("train")
    run.labelled("test")
    if run.config.labels == "any":
        raise OptionError(
            "labels",
            "Labels can be recognised only where they were asked for. Choose ",
            Setting("labels"),
            " each, or one label.",
        )
    _check_split(run)


def _check_split(run: Session) -> None:
    if run.train.images.shape == run.test.images.shape and np.array_equal(run.train.images, run.test.images):
        raise DataError(
            f"{run.config.data} has no test split of its own, so there is nothing to compare with. Leave "
            "'labels' out of --metrics."
        )


def _labels(run: Session) -> dict[str, Any]:
    asked, names = run.made["labels"], run.test.names
    right, right_of_real, who = _by_features(run) if run.config.judge == "features" else _by_pixels(run)
    found = {
        "name": f"label accuracy ({who})",
        "value": float(right.mean()),
        "of_real_test_pictures": float(right_of_real.mean()),
        "of_each": {names[k]: float(right[asked == k].mean()) for k in np.unique(asked)},
    }
    if found["of_real_test_pictures"] < LEAST_ACCURACY:
        found["note"] = "the classifier fails on most real pictures, so it cannot judge generated ones"
    return found


def _by_pixels(run: Session) -> tuple[np.ndarray, np.ndarray, str]:
    """Which generated pictures a network trained on the real ones names rightly, and which real test
    pictures.
    """

    def report(done: int, total: int) -> None:
        if run.progress is not None:
            run.progress("training the classifier", done, total)

    judge = classifier.trained(run.labelled("train"), JUDGE_SEED, run.folder / "classifier", report)
    test, made = run.labelled("test"), run.made
    return (
        classifier.recognised(judge, made["images"]) == made["labels"],
        classifier.recognised(judge, test.images) == test.labels,
        "a small classifier of the training pictures",
    )


def _by_features(run: Session) -> tuple[np.ndarray, np.ndarray, str]:
    """The same of a linear classifier of the feature network's features."""
    (lesson, labels), (exam, wanted) = run.lesson, run.exam
    judge = linear.fitted(lesson.features, labels, len(run.test.names))
    return (
        judge(run.made_features) == run.made["labels"],
        judge(exam.features) == wanted,
        f"logistic regression on {run.network.kind.title}'s features of {len(labels):,} training pictures",
    )


def _neighbours(run: Session) -> dict[str, Any]:
    made, train = run.made, run.train
    distance, at = nearest(made["images"], train.images)
    found: dict[str, Any] = {
        "name": "distance to the nearest training picture, pixels in [0, 1]",
        "value": float(distance.median()),
        "least": float(distance.min()),
    }
    test = run.test if _has_test(run) else None
    if test is not None:
        real, _ = nearest(test.images[: len(distance)], train.images)
        found |= {
            "of_real_test_pictures": float(real.median()),
            "ratio": float(distance.median() / real.median()),
        }
    first = np.argsort(distance.numpy(), kind="stable")[:SHOWN]
    found["closest"] = [
        {"seed": int(made["seeds"][k]), "training_picture": int(at[k]), "distance": float(distance[k])}
        for k in first
    ]
    pairs = np.concatenate([made["images"][first], train.images[at[first]]], axis=2)
    sheet = run.drawn.folder / "neighbours.png"
    try:
        with files.replacing(sheet) as draft:
            arrays.to_pil(arrays.enlarge(arrays.grid(pairs, gap=4), 2)).save(draft, "PNG")
    except OSError as error:
        raise DataError(f"{sheet} cannot be written ({files.why(error)}). {files.advice(error)}") from error
    found["sheet"] = str(sheet)
    return found


def _has_test(run: Session) -> bool:
    try:
        test = run.test
    except DataError:
        return False
    return test.images.shape != run.train.images.shape or not np.array_equal(test.images, run.train.images)


def _bound(run: Session) -> dict[str, Any]:
    found = bits.total(run, "bound")
    terms, t = found["terms"], found["t"][:, 0]
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


def _flow(run: Session) -> dict[str, Any]:
    found = bits.total(run, "flow")
    return {
        "name": "bits per dimension, probability-flow ODE, dequantised",
        **bits.summary(found["bits"]),
        "steps": run.config.flow_steps,
        "probes": run.config.probes,
        "given_labels": bits.conditional(run),
    }


def _psnr(run: Session) -> dict[str, Any]:
    """Of the enlarged pictures, of what needs no network, and of the enlarged made small again against
    what was given.
    """
    made, side, given = run.made, run.model.spec.low_res, run.drawn.small
    assert side is not None and given is not None  # of a model that enlarges
    real, small = run.real.images[made["sources"]], given[made["sources"]]
    plain = psnr(bilinear(small, run.model.spec.image_size), real)
    return {
        "name": "PSNR to the original, dB",
        **bits.summary(psnr(made["images"], real)),
        "of_bilinear": float(plain.mean()),
        "of_the_small_picture": float(psnr(small_of(made["images"], side), small).mean()),
        "from": side,
        "to": run.model.spec.image_size,
        "split": run.config.split,
    }


FIGURES: dict[str, Figure] = {
    "frechet": Figure(_nothing, _frechet),
    "kernel": Figure(_nothing, _kernel),
    "precision-recall": Figure(_check_precision_recall, _precision_recall),
    "score": Figure(_nothing, _score),
    "labels": Figure(_check_labels, _labels),
    "neighbours": Figure(lambda run: run.train, _neighbours),
    "bound": Figure(lambda run: bits.check(run, "bound"), _bound),
    "flow": Figure(lambda run: bits.check(run, "flow"), _flow),
    "psnr": Figure(_nothing, _psnr),
}
