"""Bits per dimension of test pictures: jobs that processes share, and their results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from ..checkpoint.spec import POINTS
from ..data import ImageData
from ..diffusion.denoiser import Denoiser
from ..diffusion.noise import Noise, gaussian
from ..diffusion.prediction import Prediction
from ..diffusion.schedule import NoiseLevel
from ..diffusion.spacing import path
from ..errors import OptionError, Setting
from ..imaging.arrays import from_uint8
from ..models.condition import Label
from ..models.model import Model
from .bound import bound_terms
from .config import EvalConfig
from .enlarged import downscale
from .flow import MOST_EXACT, bits, dequantize, log_likelihood
from .parts import Arrays, Job, Tick, load_or_compute
from .picture_evaluation import PictureEvaluation, random_subset
from .pictures import fingerprint

BATCH = 16
PICTURES = 64  # number of test pictures by default
_UNIFORM, _SIGNS = 2**40, 2**41  # noise indices that no run reaches


class BoundEvaluation(Protocol):
    """The part of an evaluation, of pictures or points, that the bound reads."""

    model: Model
    config: EvalConfig


def check(run: PictureEvaluation, name: str) -> None:
    """Raise an `OptionError` or `DataError` if these bits cannot be measured, before anything is computed."""
    config = run.config
    pictures(run)
    if name == "bound":
        check_bound(run)
    elif not config.probes and np.prod(run.model.shape) > MOST_EXACT:
        raise OptionError(
            "probes",
            Setting("probes"),
            f" 0 computes the trace exactly, for pictures of at most {MOST_EXACT} values; these have "
            f"{np.prod(run.model.shape)}. Ask for one or more.",
        )


def check_bound(run: BoundEvaluation) -> None:
    """Raise an `OptionError` if the bound cannot be measured."""
    levels(run)
    if run.config.variance == "learned" and not run.model.spec.learned_variance:
        raise OptionError(
            "variance",
            Setting("variance"),
            " learned needs a model that predicts its variance, and this one does not. "
            "Choose small or large.",
        )


def pictures(run: PictureEvaluation) -> ImageData:
    """The test pictures that are measured. Raises `OptionError` if the model needs labels that they lack."""
    subset = random_subset(run.test, min(run.config.bits_pictures or PICTURES, len(run.test.images)))
    if run.model.spec.labels and not conditional(run) and not run.model.spec.network.null_class:
        raise OptionError(
            "labels",
            f"{run.model.spec.name} needs a label for each picture, and {run.config.data} does not have its "
            "labels. Give the data that it was trained on.",
        )
    return subset


def conditional(run: PictureEvaluation) -> bool:
    """Whether pictures are measured given their labels, that is whether the data has the model's labels."""
    return (
        bool(run.model.spec.labels)
        and run.test.labels is not None
        and tuple(run.test.names) == run.model.spec.labels
    )


def levels(run: BoundEvaluation) -> tuple[NoiseLevel, ...]:
    """The noise levels of the bound."""
    schedule = run.model.schedule
    return path(schedule, run.config.bound_steps or schedule.timesteps, "trailing")


def variance(run: BoundEvaluation) -> str:
    """The variance of the reverse steps: the configured one. "auto" is the learned one if there is one,
    otherwise "small" for pictures and "large" for points.

    "small" is optimal for a single data point, "large" for a normal distribution (Ho et al. 2020, section
    3.2).
    """
    if run.config.variance != "auto":
        return run.config.variance
    if run.model.spec.learned_variance:
        return "learned"
    return "large" if run.model.spec.makes == POINTS else "small"


def jobs(run: PictureEvaluation, name: str) -> list[Job]:
    """The jobs that compute `total` in parts."""
    weight = len(levels(run)) if name == "bound" else run.config.flow_steps
    count = len(pictures(run).images)
    return [Job(lambda tick, at=at: _part(run, name, at, tick), weight) for at in range(0, count, BATCH)]


def total(run: PictureEvaluation, name: str) -> Arrays:
    """The results for all test pictures: for the bound `terms` (levels + 1, N) in bits per dimension, for
    the flow `bits` (N,).
    """
    parts = [_part(run, name, at) for at in range(0, len(pictures(run).images), BATCH)]
    return {key: np.concatenate([part[key] for part in parts], axis=-1) for key in parts[0]}


def _part(run: PictureEvaluation, name: str, at: int, tick: Tick = lambda count: None) -> Arrays:
    data, config = pictures(run), run.config
    part = data.chosen(range(at, min(at + BATCH, len(data.images))))
    labels = part.labels.tolist() if conditional(run) and part.labels is not None else None
    settings = {
        "bound": (config.bound_steps, variance(run), run.recipe.clip),
        "flow": (config.flow_steps, config.probes),
    }[name]
    key = f"{run.model_digest} {fingerprint(part.images)} {at} {labels} {settings}"
    file = run.folder / "bits" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"

    def make() -> Arrays:
        side = run.model.spec.low_res  # a model that enlarges is given the small picture
        denoise = double_denoiser(
            run.model, labels, None if side is None else from_uint8(downscale(part.images, side))
        )
        seeds = tuple(range(at, at + len(part.images)))
        x0 = from_uint8(part.images, run.model.spec.black_margin).double()
        return (_bound if name == "bound" else _flow)(run, denoise, x0, seeds, tick)

    return load_or_compute(file, make)


def _bound(
    run: PictureEvaluation, denoise: Denoiser, x0: torch.Tensor, seeds: Sequence[int], tick: Tick
) -> Arrays:
    terms, times = [], []
    noise = Noise(tuple(seeds), run.model.shape, dtype=torch.float64)
    for t, term in bound_terms(denoise, x0, levels(run), noise, variance(run), run.recipe.clip):
        terms.append(term.numpy())
        times.append(np.full(len(x0), t))
        tick(1)
    return {"terms": np.stack(terms), "t": np.stack(times)}


def _flow(
    run: PictureEvaluation, denoise: Denoiser, x0: torch.Tensor, seeds: Sequence[int], tick: Tick
) -> Arrays:
    shape = run.model.shape

    def draw(index: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([gaussian(seed, index, shape) for seed in seeds]))

    # the normal distribution function maps normal numbers to uniform ones
    x = dequantize(x0, torch.special.ndtr(draw(_UNIFORM)))
    probes = [torch.where(draw(_SIGNS + k) < 0, -1.0, 1.0).double() for k in range(run.config.probes)] or None
    density = log_likelihood(
        denoise, x, run.model.schedule, run.config.flow_steps, probes, lambda done, of: tick(1)
    )
    return {"bits": bits(density, x0[0].numel()).numpy()}


def double_denoiser(
    model: Model, labels: Label | Sequence[Label], low_res: torch.Tensor | None = None
) -> Denoiser:
    """The network without guidance and clipping, for float64 states on the CPU; it computes on its own
    device and precision.
    """
    bare = model.denoiser(labels, low_res=low_res)
    inner = torch.float64 if model.dtype == torch.float64 else torch.float32

    def denoise(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = bare(x.to(model.device, inner), level)
        x0, eps = p.x0.cpu().double(), p.eps.cpu().double()
        return Prediction(x0, eps, None if p.variance is None else p.variance.cpu().double())

    return denoise


def summary(values: np.ndarray) -> dict[str, Any]:
    """The mean over pictures, its standard error, and their number."""
    spread = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {"value": float(values.mean()), "standard_error": spread, "pictures": len(values)}
