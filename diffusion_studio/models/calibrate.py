"""Settle by measurement what a foreign file cannot tell: which settings predict the noise in given
pictures best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checkpoint
from ..checkpoint.facts import ASSUMED
from ..errors import DataError, OptionError, StudioError

if TYPE_CHECKING:
    import torch

    from ..checkpoint.spec import ModelSpec

MOST_PICTURES = 8
_LOG_SNR = (4.0, 1.0, -2.0)  # little, middling and much noise: each setting shows at one of them at least


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, as flags, and the mean squared error of the noise that they predict (1:
    knows nothing).
    """

    flags: Mapping[str, Any]
    error: float


def pictures_for(folder: str | Path, spec: ModelSpec) -> torch.Tensor:
    """Up to 8 pictures of a folder in the model's size and colours, (N, C, H, W) in [-1, 1]. Raises
    `DataError`.
    """
    from PIL import Image

    from ..data.folder import read
    from ..imaging.arrays import colour, from_uint8

    if not Path(folder).is_dir():
        raise DataError(
            f"There is no folder {folder}. Give one with a few pictures like those of the training."
        )
    images = read(
        Path(folder), "train", spec.image_size, "crop", colour(spec.background), MOST_PICTURES
    ).images
    mode, size = "L" if spec.channels == 1 else "RGB", (spec.image_size, spec.image_size)
    made = [
        np.asarray(
            Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one)
            .convert(mode)
            .resize(size, Image.Resampling.LANCZOS)
        )
        for one in images
    ]
    return from_uint8(np.stack(made).reshape(len(made), spec.image_size, spec.image_size, spec.channels))


def rank_settings(
    path: str | Path,
    pictures: torch.Tensor,
    flags: Mapping[str, Any] | None = None,
    label: str | int | None = None,
) -> list[Trial]:
    """Every setting tried and its error, best first; only what the file and the flags leave open is tried.

    `pictures` are (N, C, H, W) in [-1, 1]. Groups of settings that show only together are tried together, the
    rest one after the other, twice over. What is the same process cannot be told apart: OpenAI's linear
    schedule with T = 4000 and rescaled timesteps is nearly that with T = 1000. Raises `CheckpointError`,
    `OptionError`.
    """
    import torch

    flags = dict(flags or {})
    seen = checkpoint.inspect(path, flags)
    if seen.found is None:
        raise OptionError(
            "flags",
            f"{seen.path.name} is a native file, whose header says everything; there is nothing to measure.",
        )
    open_ = {one.name: one.value for one in seen.found.facts if one.source == ASSUMED}
    noise = torch.randn(len(_LOG_SNR), *pictures.shape, generator=torch.Generator().manual_seed(0))
    tried: dict[tuple, Trial] = {}

    def error(settings: Mapping[str, Any]) -> float:
        key = tuple(settings.items())
        if key not in tried:
            try:
                tried[key] = Trial(
                    dict(settings), _error(path, {**flags, **settings}, pictures, noise, label)
                )
            except StudioError:  # heads that do not divide the channels, and the like
                tried[key] = Trial(dict(settings), math.inf)
        return tried[key].error

    groups = [
        (names, values)
        for names, values in checkpoint.READERS[seen.found.layout].ambiguous
        if all(name in open_ for name in names)
    ]
    best = {name: open_[name] for names, _ in groups for name in names}
    if not groups:
        raise OptionError(
            "flags", f"Nothing of {seen.path.name} is open: file and flags say all that could be measured."
        )
    error(best)
    for _ in range(2):
        for names, values in groups:
            best = min(({**best, **dict(zip(names, one))} for one in values), key=error)
    return sorted((one for one in tried.values() if math.isfinite(one.error)), key=lambda one: one.error)


def _error(
    path: str | Path, flags: Mapping[str, Any], pictures: torch.Tensor, noise: torch.Tensor, label: Any
) -> float:
    import torch

    from .model import opened

    model = opened(path, "cpu", "fp32", flags)
    if label is None and model.spec.labels and not model.spec.network.null_class:
        raise OptionError(
            "label", f"{model.spec.name} takes a label; say what the pictures show, as one of its labels."
        )
    denoise, errors = model.denoiser(label), []
    for log_snr, eps in zip(_LOG_SNR, noise):
        level = model.schedule.level(model.schedule.timestep(log_snr))
        with torch.no_grad():
            p = denoise(level.alpha * pictures + level.sigma * eps, level)
        errors.append(float((p.eps - eps).square().mean()))
    return sum(errors) / len(errors)
