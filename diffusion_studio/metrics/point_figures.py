"""The figures of points by name: what each needs and how it is measured.

Each is of every label by itself, and the mean over the labels. Beside it stands what a further set of true
points of the same size would have, where there are enough: that is what a perfect model reaches.
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
from .clouds import Clouds
from .kernel import gaussians, mmd2
from .manifold import precision_recall
from .points import energy_distance, two_samples

TESTED, SPLITS = 1000, 200  # points of either set in the permutation test, and its random splits


@dataclass(frozen=True)
class PointFigure:
    """`check` raises what stands against it before anything is drawn; `measure` gives an object for JSON."""

    check: Callable[[Clouds], Any]
    measure: Callable[[Clouds], dict[str, Any]]


def nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(N,) distances of points (N, 2) to the nearest of others (M, 2)."""
    others = torch.from_numpy(among)
    return torch.cat(
        [
            torch.cdist(part, others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
            for part in torch.from_numpy(points).split(1024)
        ]
    ).numpy()


Measured = Callable[[np.ndarray, np.ndarray], Mapping[str, float]]


def _compared(
    run: Clouds, name: str, measured: Measured, at_best: Measured, alone: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`measured(made, real)` for each label, and `at_best(other, real)` with true points in the place of the
    made ones.

    The mean over labels stands for all, except of entries that are `alone`: no mean says anything of those.
    """
    found = {}
    for label in run.labels:
        made, real, other = run.made(label), run.real(label), run.other(label)
        found[label] = {**measured(made, real), **(at_best(other, real) if other is not None else {})}
    told: dict[str, Any] = {"name": name}
    for key in next(iter(found.values())):
        if all(key in one for one in found.values()) and (len(found) == 1 or key not in alone):
            told[key] = float(np.mean([one[key] for one in found.values()]))
    told |= {"points": run.count, "real_points": run.real_count}
    return told if len(found) == 1 else told | {"of_each": found}


def _energy(run: Clouds) -> dict[str, Any]:
    def measured(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
        return {
            "value": energy_distance(made, real),
            "p_value": two_samples(made[:TESTED], real[:TESTED], SPLITS).p_value,
        }

    return _compared(
        run,
        "energy distance",
        measured,
        lambda other, real: {"of_real": energy_distance(other, real)},
        ("p_value",),
    )


def _kernel(run: Clouds) -> dict[str, Any]:
    return _compared(
        run,
        "kernel distance (squared MMD, Gaussians)",
        lambda made, real: {"value": mmd2(made, real, gaussians)},
        lambda other, real: {"of_real": mmd2(other, real, gaussians)},
    )


def _precision_recall(run: Clouds) -> dict[str, Any]:
    count, k = min(run.count, run.real_count), run.config.k

    def measured(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
        return dict(zip(("precision", "recall"), precision_recall(made[:count], real[:count], k)))

    def at_best(other: np.ndarray, real: np.ndarray) -> dict[str, float]:
        return {"precision_of_real": precision_recall(other[:count], real[:count], k)[0]}

    return {**_compared(run, "precision and recall (coordinates)", measured, at_best), "k": k}


def _check_precision_recall(run: Clouds) -> None:
    if (count := min(run.count, run.real_count)) <= run.config.k:
        raise OptionError(
            "k",
            f"Precision and recall with k = {run.config.k} take at least {run.config.k + 1} points on either "
            f"side, got {count}. Ask for more, or for a smaller --k.",
        )


def _nearest(run: Clouds) -> dict[str, Any]:
    return _compared(
        run,
        "mean distance to the nearest point",
        lambda made, real: {
            "to_real": float(nearest(made, real).mean()),
            "from_real": float(nearest(real, made).mean()),
        },
        lambda other, real: {"of_real": float(nearest(other, real).mean())},
    )


def _bits(run: Clouds, name: str, values: Mapping[str | None, np.ndarray]) -> dict[str, Any]:
    """Of bits per dimension of each label's points; a point has two dimensions."""
    found = {"name": name, **bits.summary(np.concatenate(list(values.values())))}
    found["points"] = found.pop("pictures")
    found["nats_a_point"] = 2 * math.log(2) * found["value"]
    if len(values) > 1:
        found["of_each"] = {label: float(one.mean()) for label, one in values.items()}
    return found


def _bound(run: Clouds) -> dict[str, Any]:
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


def _flow(run: Clouds) -> dict[str, Any]:
    values = {label: run.bits_part("flow", label)["bits"] for label in run.labels}
    return {
        **_bits(run, "bits per dimension of the density, probability-flow ODE", values),
        "steps": run.config.flow_steps,
    }


def _nothing(run: Clouds) -> None:
    pass


POINT_FIGURES: dict[str, PointFigure] = {
    "energy": PointFigure(_nothing, _energy),
    "kernel": PointFigure(_nothing, _kernel),
    "precision-recall": PointFigure(_check_precision_recall, _precision_recall),
    "nearest": PointFigure(_nothing, _nearest),
    "bound": PointFigure(bits.check_bound, _bound),
    "flow": PointFigure(_nothing, _flow),
}
