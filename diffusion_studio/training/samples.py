"""What the model in training makes by now."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image

from ..diffusion.guidance import clamped, classifier_free
from ..diffusion.noise import Noise
from ..diffusion.samplers import DDIM
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
    """Four pictures of each of the first ten labels, a column a label; always from the same noise."""
    with torch.device("meta"):
        network = UNet(spec.network)
    network.load_state_dict({name: p.detach().clone() for name, p in state.items()}, assign=True)
    model = Model(spec, network.eval(), device, torch.float32)
    labels = list(spec.labels[:MAX_COLUMNS])
    columns = len(labels) or ROWS
    denoise = model.denoiser(labels * ROWS if labels else None)
    if spec.network.null_class:
        denoise = classifier_free(denoise, model.denoiser(), float(spec.defaults.get("guidance", 1.0)))
    noise = Noise(tuple(range(ROWS * columns)), model.shape, device)
    levels = path(spec.schedule, min(STEPS, spec.schedule.timesteps))
    *_, last = sample(DDIM(), clamped(denoise), noise(0), levels, noise)
    return to_pil(grid(to_uint8(last.x), columns=columns))
