"""The figures of points by name: what each needs, and how it is measured.

A figure is measured for each label, and averaged over labels. If there are enough true points, the figure of
a second set of true points of the same size is reported too: that is what a perfect model reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import OptionError
from . import bits
from .kernel import gaussians, mmd2
from .manifold import precision_recall
from .point_evaluation import PointEvaluation
from .points import energy_distance, two_samples

TESTED, SPLITS = 1000, 200  # points of each set in the permutation test, and its number of random splits


@dataclass(frozen=True)
class PointFigure:
    """A figure: `check` raises its errors before anything is drawn, `measure` returns a JSON object."""

    check: Callable[[PointEvaluation], Any]
    measure: Callable[[PointEvaluation], dict[str, Any]]


def nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The distances (N,) of points (N, 2) to the nearest of others (M, 2)."""
    others = torch.from_numpy(among)
    return torch.cat(
        [
            torch.cdist(part, others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
            for part in torch.from_numpy(points).split(1024)
        ]
    ).numpy()


Comparison = Callable[[np.ndarray, np.ndarray], Mapping[str, float]]


def _compare_by_label(
    run: PointEvaluation,
    name: str,
    compare: Comparison,
    reference: Comparison,
    single_label: tuple[str, ...] = (),
) -> dict[str, Any]:
    """`measured(made, real)` for each label, and `at_best(other, real)` with true points in place of the
    generated ones.

    Entries are averaged over labels, except those named in `alone`, whose mean has no meaning.
    """
    by_label = {}
    for label in run.labels:
        generated, real, further = run.generated(label), run.real(label), run.further_points(label)
        by_label[label] = {
            **compare(generated, real),
            **(reference(further, real) if further is not None else {}),
        }
    result: dict[str, Any] = {"name": name}
    for key in next(iter(by_label.values())):
        if all(key in one for one in by_label.values()) and (len(by_label) == 1 or key not in single_label):
            result[key] = float(np.mean([one[key] for one in by_label.values()]))
    result |= {"points": run.count, "real_points": run.real_count}
    return result if len(by_label) == 1 else result | {"of_each": by_label}


def _energy(run: PointEvaluation) -> dict[str, Any]:
    def compare(generated: np.ndarray, real: np.ndarray) -> dict[str, float]:
        return {
            "value": energy_distance(generated, real),
            "p_value": two_samples(generated[:TESTED], real[:TESTED], SPLITS).p_value,
        }

    return _compare_by_label(
        run,
        "energy distance",
        compare,
        lambda further, real: {"of_real": energy_distance(further, real)},
        ("p_value",),
    )


def _kernel(run: PointEvaluation) -> dict[str, Any]:
    return _compare_by_label(
        run,
        "kernel distance (squared MMD, Gaussians)",
        lambda generated, real: {"value": mmd2(generated, real, gaussians)},
        lambda further, real: {"of_real": mmd2(further, real, gaussians)},
    )


def _precision_recall(run: PointEvaluation) -> dict[str, Any]:
    count, k = min(run.count, run.real_count), run.config.k

    def compare(generated: np.ndarray, real: np.ndarray) -> dict[str, float]:
        return dict(zip(("precision", "recall"), precision_recall(generated[:count], real[:count], k)))

    def reference(further: np.ndarray, real: np.ndarray) -> dict[str, float]:
        return {"precision_of_real": precision_recall(further[:count], real[:count], k)[0]}

    return {**_compare_by_label(run, "precision and recall (coordinates)", compare, reference), "k": k}


def _check_precision_recall(run: PointEvaluation) -> None:
    if (count := min(run.count, run.real_count)) <= run.config.k:
        raise OptionError(
            "k",
            f"Precision and recall with k = {run.config.k} take at least {run.config.k + 1} points on either "
            f"side, got {count}. Ask for more, or for a smaller --k.",
        )


def _nearest(run: PointEvaluation) -> dict[str, Any]:
    return _compare_by_label(
        run,
        "mean distance to the nearest point",
        lambda generated, real: {
            "to_real": float(nearest(generated, real).mean()),
            "from_real": float(nearest(real, generated).mean()),
        },
        lambda further, real: {"of_real": float(nearest(further, real).mean())},
    )


def _bits(run: PointEvaluation, name: str, values: Mapping[str | None, np.ndarray]) -> dict[str, Any]:
    """Bits per dimension of each label's points; a point has two dimensions."""
    result = {"name": name, **bits.summary(np.concatenate(list(values.values())))}
    result["points"] = result.pop("pictures")
    result["nats_a_point"] = 2 * math.log(2) * result["value"]
    if len(values) > 1:
        result["of_each"] = {label: float(one.mean()) for label, one in values.items()}
    return result


def _bound(run: PointEvaluation) -> dict[str, Any]:
    parts = {label: run.bits_part("bound", label) for label in run.labels}
    terms = np.concatenate([part["terms"] for part in parts.values()], axis=1)
    t = next(iter(parts.values()))["t"]
    return {
        **_bits(
            run,
            "bits per dimension of the density, variational bound",
            {label: part["terms"].sum(0) for label, part in parts.items()},
        ),
        "levels": len(terms) - 1,
        "of": run.model.schedule.timesteps,
        "variance": bits.variance(run),
        "prior": float(terms[0].mean()),
        "decoder": float(terms[-1].mean()),
        "terms": [{"t": float(one), "bits": float(term.mean())} for one, term in zip(t, terms)],
    }


def _flow(run: PointEvaluation) -> dict[str, Any]:
    values = {label: run.bits_part("flow", label)["bits"] for label in run.labels}
    return {
        **_bits(run, "bits per dimension of the density, probability-flow ODE", values),
        "steps": run.config.flow_steps,
    }


def _no_check(run: PointEvaluation) -> None:
    pass


POINT_FIGURES: dict[str, PointFigure] = {
    "energy": PointFigure(_no_check, _energy),
    "kernel": PointFigure(_no_check, _kernel),
    "precision-recall": PointFigure(_check_precision_recall, _precision_recall),
    "nearest": PointFigure(_no_check, _nearest),
    "bound": PointFigure(bits.check_bound, _bound),
    "flow": PointFigure(_no_check, _flow),
}
