"""What the model in training makes by now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image

from .. import plot
from ..diffusion.guidance import clamped, classifier_free
from ..diffusion.noise import Noise
from ..diffusion.samplers import DDIM
from ..diffusion.sampling import sample
from ..diffusion.spacing import path
from ..images import grid, to_pil, to_uint8
from ..model import Model
from ..nets.build import network_of
from ..spec import ModelSpec

STEPS = 25
ROWS = 4
MAX_COLUMNS = 10
CLOUD, CLOUD_SIDE = 2000, 320           # points, and pixels


def sample_sheet(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image:
    """Four pictures of each of the first ten labels or prompts, a column each; always from the same noise.

    Where there are both, each prompt's column takes the next label.
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
        nothing = model.denoiser(labels * ROWS if labels and not spec.network.null_class else None,
                                 prompts * ROWS if prompts and not null_text else None)
        denoise = classifier_free(denoise, nothing, float(spec.defaults.get("guidance", 1.0)))
    noise = Noise(tuple(range(ROWS * columns)), model.shape, device)
    levels = path(spec.schedule, min(STEPS, spec.schedule.timesteps))
    *_, last = sample(DDIM(), clamped(denoise), noise(0), levels, noise)
    return to_pil(grid(to_uint8(last.x), columns=columns))


def model_of(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Model:
    """A model with a copy of these weights."""
    with torch.device("meta"):
        network = network_of(spec.network)
    network.load_state_dict({name: p.detach().clone() for name, p in state.items()}, assign=True)
    return Model(spec, network.eval(), device, torch.float32)


def cloud_sheet(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image:
    """A cloud of points of each of the first labels, four in a row, or one where there are none; from the same noise."""
    model, labels = model_of(spec, state, device), list(spec.labels[:2 * MAX_COLUMNS]) or [None]
    noise, theme = Noise((0,), (CLOUD, *model.shape), device), plot.THEMES["light"]
    levels, start = path(spec.schedule, min(STEPS, spec.schedule.timesteps)), noise(0)
    clouds = []
    for label in labels:
        *_, last = sample(DDIM(), model.denoiser(label), start, levels, noise)
        clouds.append(plot.canvas(last.x[0].cpu().numpy(), plot.wheel(start[0].cpu().numpy(), theme), CLOUD_SIDE, theme))
    return to_pil(grid(np.stack(clouds), columns=min(4, len(clouds))))
