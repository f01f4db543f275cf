"""Sample sheets of the model in training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .. import options
from ..checkpoint.spec import ModelSpec
from ..data import ImageData
from ..diffusion.denoiser import Denoiser
from ..diffusion.guidance import classifier_free
from ..diffusion.noise import Noise
from ..diffusion.samplers import SAMPLERS
from ..diffusion.sampling import sample
from ..diffusion.spacing import path
from ..imaging import point_plot as plot
from ..imaging.arrays import from_uint8, grid, to_pil, to_uint8
from ..models.model import Model
from ..networks.networks import build
from ..runs.guidance_builder import limited
from ..runs.recipe import Recipe
from .lowres import reduced

STEPS = 25
ROWS = 4
MAX_COLUMNS = 10
CLOUD, CLOUD_SIDE = 2000, 320  # points of a cloud, and its side in pixels


def sample_sheet(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image:
    """Four pictures for each of the first ten labels or prompts, one column each, always from the same noise.

    If the model has both, each prompt's column takes the next label.
    """
    model = model_of(spec, state, device)
    prompts = list(spec.prompts[:MAX_COLUMNS]) if spec.takes_text else []
    labels = list(spec.labels[:MAX_COLUMNS])
    columns = len(prompts or labels) or ROWS
    if labels:
        labels = [labels[k % len(labels)] for k in range(columns)]
    denoise = model.denoiser(labels * ROWS if labels else None, prompts * ROWS if prompts else None)
    null_text = spec.takes_text and spec.network.text.null
    if spec.network.null_class or null_text:
        nothing = model.denoiser(
            labels * ROWS if labels and not spec.network.null_class else None,
            prompts * ROWS if prompts and not null_text else None,
        )
        denoise = classifier_free(denoise, nothing, float(spec.defaults.get("guidance", 1.0)))
    return to_pil(grid(to_uint8(_default_samples(model, denoise, ROWS * columns)), columns=columns))


def enlarging_sheet(
    spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device, images: ImageData
) -> Image.Image:
    """For one picture of each of the first ten labels, a column with the network's small input, two
    samples, and the original.
    """
    side, names, captions = spec.low_res, images.labels, images.captions
    assert side is not None, "only a model that enlarges has this sheet"
    model = model_of(spec, state, device)
    chosen = list(range(min(MAX_COLUMNS, len(images.images))))
    if spec.labels:
        firsts = (np.flatnonzero(images.labels == k) for k in range(min(MAX_COLUMNS, len(spec.labels))))
        chosen = [int(found[0]) for found in firsts if len(found)]
    real = from_uint8(images.images[chosen]).to(device)
    small = reduced(real, side)
    labels = [spec.labels[names[k]] for k in chosen] * 2 if spec.labels and names is not None else None
    prompts = [captions[k][0] for k in chosen] * 2 if spec.takes_text and captions is not None else None
    denoise = model.denoiser(labels, prompts, torch.cat([small, small]))
    given = F.interpolate(small, real.shape[2:], mode="nearest")
    rows = torch.cat([given, _default_samples(model, denoise, 2 * len(chosen)), real])
    return to_pil(grid(to_uint8(rows), columns=len(chosen)))


def model_of(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Model:
    """A Model with a copy of these weights."""
    with torch.device("meta"):
        network = build(spec.network)
    network.load_state_dict({name: p.detach().clone() for name, p in state.items()}, assign=True)
    return Model(spec, network.eval(), device, torch.float32)


def cloud_sheet(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image:
    """A cloud of points for each of the first labels (one if there are none), four in a row, from the same
    noise.
    """
    model, labels = model_of(spec, state, device), list(spec.labels[: 2 * MAX_COLUMNS]) or [None]
    noise, theme = Noise((0,), (CLOUD, *model.shape), device), plot.THEMES["light"]
    colours, clouds = plot.wheel(noise(0)[0].cpu().numpy(), theme), []
    for label in labels:
        made = _sample(spec, model.denoiser(label), noise)[0].cpu().numpy()
        clouds.append(plot.canvas(made, colours, CLOUD_SIDE, theme))
    return to_pil(grid(np.stack(clouds), columns=min(4, len(clouds))))


def _default_samples(model: Model, denoise: Denoiser, count: int) -> torch.Tensor:
    """Pictures made with the model's default clipping and palette."""
    spec = model.spec
    recipe = Recipe.from_settings(
        {name: spec.defaults[name] for name in ("clip", "palette") if name in spec.defaults}
    )
    return _sample(
        spec, limited(denoise, recipe, spec), Noise(tuple(range(count)), model.shape, model.device)
    )


def _sample(spec: ModelSpec, denoise: Denoiser, noise: Noise) -> torch.Tensor:
    """What the model's default sampler makes from this noise in 25 steps."""
    levels = path(
        spec.schedule, min(STEPS, spec.schedule.timesteps), spec.defaults.get("spacing", "trailing")
    )
    sampler = options.from_json(SAMPLERS, "sampler", spec.defaults.get("sampler", "ddim"))
    start = math.hypot(levels[0].alpha, levels[0].sigma) * noise(0)
    *_, last = sample(sampler, denoise, start, levels, noise)
    return last.x
