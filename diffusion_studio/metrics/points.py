"""Quality of a model of points: distance of its clouds to true ones, and the likelihood of true points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import OptionError
from ..models.model import Label, Model
from ..runs.generate import stream
from ..runs.recipe import Recipe
from .flow import log_likelihood

BLOCK = 512  # rows of a distance matrix at a time


@dataclass(frozen=True)
class TwoSamples:
    """The energy distance of two samples, and its p-value in a permutation test.

    The p-value is the share of random splits of all points whose distance is at least as large. It is uniform
    if both samples come from one distribution, and small otherwise.
    """

    distance: float
    p_value: float


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples (N, d) and (M, d), unbiased (Szekely & Rizzo 2013, eq.
    6.1 with pairs of different points).

    Its mean is 0 if both come from one distribution, so it can be negative. Raises `OptionError` for fewer
    than two points or different dimensions.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2 or x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise OptionError(
            "points",
            f"The energy distance compares two samples (N, d) of at least 2 points; got {x.shape} and "
            f"{y.shape}.",
        )
    return 2 * _total(x, y) / (n * m) - _total(x, x) / (n * (n - 1)) - _total(y, y) / (m * (m - 1))


def two_samples(x: np.ndarray, y: np.ndarray, splits: int = 200, seed: int = 0) -> TwoSamples:
    """The energy distance and its permutation test. Needs memory for (N + M)^2 numbers: up to about 4,000
    points in all.
    """
    both = np.concatenate([x, y]).astype(np.float64)
    distances = np.sqrt(np.maximum(((both[:, None] - both[None]) ** 2).sum(axis=-1), 0))
    random, n, total = np.random.default_rng(seed), len(x), len(both)
    members = np.zeros((total, 1 + splits))  # 1 for points in the first sample of each split
    members[:n, 0] = 1
    for k in range(splits):
        members[random.permutation(total)[:n], 1 + k] = 1
    to_members = distances @ members
    within = (members * to_members).sum(axis=0)
    across = to_members.sum(axis=0) - within
    rest = distances.sum() - within - 2 * across
    m = total - n
    distance, *split_distances = 2 * across / (n * m) - within / (n * (n - 1)) - rest / (m * (m - 1))
    return TwoSamples(float(distance), (1 + sum(one >= distance for one in split_distances)) / (1 + splits))


def draw_points(
    model: Model, count: int, seed: int, label: str | None = None, **settings: object
) -> np.ndarray:
    """(count, 2) float64 points drawn with the model's default recipe, with `settings` changed."""
    recipe = Recipe.from_settings(
        settings,
        {**_defaults(model), "model": model.spec.name, "label": label, "seeds": (seed,), "points": count},
    )
    *_, last = stream(model, recipe)
    return last.x0[0].astype(np.float64)


def log_density(model: Model, points: np.ndarray, label: Label = None, steps: int = 60) -> np.ndarray:
    """(N,) log densities in nats of points (N, 2) under the model's probability-flow ODE, with the exact
    trace.
    """
    x0 = torch.from_numpy(np.asarray(points)).to(
        model.dtype if model.dtype == torch.float64 else torch.float32
    )
    return (
        log_likelihood(model.denoiser(label), x0.to(model.device), model.schedule, steps, None).cpu().numpy()
    )


def _defaults(model: Model) -> dict[str, object]:
    return {name: value for name, value in model.spec.defaults.items() if name not in ("count", "label")}


def _total(x: np.ndarray, y: np.ndarray) -> float:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return sum(
        float(np.sqrt(((x[at : at + BLOCK, None] - y[None]) ** 2).sum(axis=-1)).sum())
        for at in range(0, len(x), BLOCK)
    )
