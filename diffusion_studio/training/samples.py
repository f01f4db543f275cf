"""What the model in training makes by now."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from PIL import Image

from .. import options
from ..diffusion.guidance import clamped, classifier_free
from ..diffusion.noise import Noise
from ..diffusion.samplers import SAMPLERS
from ..diffusion.sampling import sample
from ..diffusion.spacing import path
from ..images import grid, to_pil, to_uint8
from ..model import Model
from ..nets.unet import UNet
from ..spec import ModelSpec

STEPS = 25
ROWS = 4
MAX_COLUMNS = 10


def sample_sheet(spec: ModelSpec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image:
    """Four pictures of each of the first ten labels or prompts, a column each; always from the same noise.

    Where there are both, each prompt's column takes the next label.
    """
    with torch.device("meta"):
        network = UNet(spec.network)
    network.load_state_dict({name: p.detach().clone() for name, p in state.items()}, assign=True)
    model = Model(spec, network.eval(), device, torch.float32)
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
    levels = path(spec.schedule, min(STEPS, spec.schedule.timesteps), spec.defaults.get("spacing", "trailing"))
    sampler = options.from_json(SAMPLERS, "sampler", spec.defaults.get("sampler", "ddim"))
    start = math.hypot(levels[0].alpha, levels[0].sigma) * noise(0)
    *_, last = sample(sampler, clamped(denoise), start, levels, noise)
    return to_pil(grid(to_uint8(last.x), columns=columns))
