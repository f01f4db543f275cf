"""Find settings that a foreign file does not contain: those that predict the noise in given pictures best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checkpoint, files
from ..checkpoint.facts import ASSUMED
from ..errors import DataError, OptionError, StudioError

if TYPE_CHECKING:
    import torch

    from ..checkpoint.spec import ModelSpec

MOST_PICTURES = 8
_LOG_SNR = (4.0, 1.0, -2.0)  # little, medium and much noise: every setting has an effect on at least one


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, as flags, and the mean squared error of the noise predicted with them.

    The noise has unit variance, so an error of 1 means that the prediction is useless.
    """

    flags: Mapping[str, Any]
    error: float


def pictures_for(folder: str | Path, spec: ModelSpec) -> torch.Tensor:
    """Up to `MOST_PICTURES` pictures of a folder in the model's size and channels, (N, C, H, W) in [-1, 1].

    Raises `DataError` if the folder does not exist or holds no usable picture.
    """
    from PIL import Image

    from ..data.folder import read
    from ..imaging.arrays import colour, from_uint8

    if not Path(folder).is_dir():
        raise DataError(
            f"{files.missing(folder, 'folder')} Give a folder with a few pictures like those of the training."
        )
    images = read(
        Path(folder), "train", spec.image_size, "crop", colour(spec.background), MOST_PICTURES
    ).images
    mode, size = "L" if spec.channels == 1 else "RGB", (spec.image_size, spec.image_size)
    arrays = [
        np.asarray(
            Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one)
            .convert(mode)
            .resize(size, Image.Resampling.LANCZOS)
        )
        for one in images
    ]
    return from_uint8(np.stack(arrays).reshape(len(arrays), spec.image_size, spec.image_size, spec.channels))


def rank_settings(
    path: str | Path,
    pictures: torch.Tensor,
    flags: Mapping[str, Any] | None = None,
    label: str | int | None = None,
) -> list[Trial]:
    """Try the settings that neither the file nor `flags` determine. Returns all trials, best first.

    `pictures` are (N, C, H, W) in [-1, 1]; `label` is their class, for a model that needs one. Settings that
    have an effect only together are tried together, the others one group after the other, in two
    rounds. Settings that describe the same process cannot be distinguished: OpenAI's linear schedule with
    T = 4000 and rescaled timesteps is nearly the one with T = 1000. Raises `CheckpointError` for a file that
    cannot be read, and `OptionError` for a missing label or if no setting is open.
    """
    import torch

    flags = dict(flags or {})
    seen = checkpoint.inspect(path, flags)
    if seen.found is None:
        raise OptionError(
            "flags",
            f"{seen.path.name} is a native file. Its header holds all settings; there is nothing to measure.",
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
            except StudioError:  # an invalid combination, such as heads that do not divide the channels
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
            "flags",
            f"File and flags determine all settings of {seen.path.name} that could be measured. Leave out a "
            "flag to measure it.",
        )
    error(best)
    for _ in range(2):
        for names, values in groups:
            best = min(({**best, **dict(zip(names, one))} for one in values), key=error)
    return sorted((one for one in tried.values() if math.isfinite(one.error)), key=lambda one: one.error)


def _error(
    path: str | Path, flags: Mapping[str, Any], pictures: torch.Tensor, noise: torch.Tensor, label: Any
) -> float:
    """The mean squared error of the predicted noise, over the levels `_LOG_SNR` and all pictures."""
    import torch

    from .model import load_without_warning

    model = load_without_warning(path, "cpu", "fp32", flags)
    if label is None and model.spec.labels and not model.spec.network.null_class:
        raise OptionError(
            "label",
            f"{model.spec.name} needs a label. Say what the pictures show by one of its labels: "
            f"{', '.join(model.spec.labels)}.",
        )
    denoise, errors = model.denoiser(label), []
    for log_snr, eps in zip(_LOG_SNR, noise):
        level = model.schedule.level(model.schedule.timestep(log_snr))
        with torch.no_grad():
            p = denoise(level.alpha * pictures + level.sigma * eps, level)
        errors.append(float((p.eps - eps).square().mean()))
    return sum(errors) / len(errors)
