"""How well a model of points draws: its clouds against true ones, and the likelihood of true points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import OptionError
from ..models.model import Label, Model
from ..runs.generate import stream
from ..runs.recipe import Recipe
from .flow import log_likelihood

BLOCK = 512  # rows of a table of distances at a time


@dataclass(frozen=True)
class TwoSamples:
    """The energy distance of two samples, and the share of random splits of all their points whose
    distance is as large: small where the samples come from two distributions, even from 0 to 1 where from
    one.
    """

    distance: float
    p_value: float


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples (N, d) and (M, d), without bias (Szekely & Rizzo 2013,
    eq. 6.1 with pairs of different points): 0 on average where both come from one distribution, so it can
    be below 0.
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
    """The energy distance and its permutation test. Takes (N + M)^2 numbers of memory: up to some 4,000
    points in all.
    """
    both = np.concatenate([x, y]).astype(np.float64)
    distances = np.sqrt(np.maximum(((both[:, None] - both[None]) ** 2).sum(axis=-1), 0))
    random, n, total = np.random.default_rng(seed), len(x), len(both)
    inside = np.zeros((total, 1 + splits))  # which points each split takes for the first sample
    inside[:n, 0] = 1
    for k in range(splits):
        inside[random.permutation(total)[:n], 1 + k] = 1
    to_inside = distances @ inside
    within = (inside * to_inside).sum(axis=0)
    across = to_inside.sum(axis=0) - within
    rest = distances.sum() - within - 2 * across
    m = total - n
    own, *others = 2 * across / (n * m) - within / (n * (n - 1)) - rest / (m * (m - 1))
    return TwoSamples(float(own), (1 + sum(one >= own for one in others)) / (1 + splits))


def drawn(model: Model, count: int, seed: int, label: str | None = None, **settings: object) -> np.ndarray:
    """(count, 2) float64 points by the model's own recipe, with `settings` changed."""
    recipe = Recipe.from_settings(
        settings,
        {**_defaults(model), "model": model.spec.name, "label": label, "seeds": (seed,), "points": count},
    )
    *_, last = stream(model, recipe)
    return last.x0[0].astype(np.float64)


def log_density(model: Model, points: np.ndarray, label: Label = None, steps: int = 60) -> np.ndarray:
    """(N,) log densities in nats of points (N, 2) under the model's probability flow, with the exact
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
