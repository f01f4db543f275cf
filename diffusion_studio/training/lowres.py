"""Super-resolution in training: make the small picture that the network is given from the picture itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..models.model import enlarged
from .config import TrainConfig
from .draws import mix

_REACH = 3  # standard deviations at which the blur kernel is cut


class LowRes:
    """Scale pictures down by averaging (as in Dhariwal & Nichol 2021), blur them, add noise, and scale them
    back up.

    Blur and noise have a strength that is drawn for every picture, from 0 to the configured maximum. They
    make the network robust to artefacts of small pictures drawn by another model (conditioning augmentation;
    Ho et al. 2022, Cascaded Diffusion Models, section 4.2). They are functions of the run's seed and the
    picture's place in the run, so a resumed run gets the same.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def __call__(self, x0: torch.Tensor, first: int) -> torch.Tensor:
        """x0 (n, C, size, size), pictures number `first` and following of the run -> the network's second
        input, same shape.
        """
        config = self.config
        small = reduced(x0.clamp(-1, 1), config.low_res)  # without the black margin, which real pixels lack
        if config.low_res_blur or config.low_res_noise:
            generator = torch.Generator()
            for k in range(len(small)):
                generator.manual_seed(mix(config.seed + 3, first + k))
                blur, noise = torch.rand(2, generator=generator).tolist()
                small[k] = blurred(small[k : k + 1], blur * config.low_res_blur)[0]
                small[k] += (
                    noise * config.low_res_noise * torch.randn(small.shape[1:], generator=generator).to(small)
                )
        return enlarged(small, config.size)


def reduced(x0: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures (N, C, H, W) averaged down to size x size."""
    return F.interpolate(x0, (size, size), mode="area")


def blurred(x: torch.Tensor, deviation: float) -> torch.Tensor:
    """Pictures (N, C, H, W) blurred by a Gaussian with this standard deviation in pixels; edges are
    replicated.
    """
    reach = math.ceil(_REACH * deviation)
    if not reach:
        return x
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / deviation) ** 2)
    kernel = (kernel / kernel.sum()).to(x.dtype).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernel, groups=x.shape[1])
    return F.conv2d(
        F.pad(x, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=x.shape[1]
    )


def with_low_res(forward: Callable[..., torch.Tensor], low_res: torch.Tensor) -> Callable[..., torch.Tensor]:
    """The network with `low_res` (N, C, H, W) appended to the channels of its input x."""
    return lambda x, *rest: forward(torch.cat([x, low_res.to(x)], dim=1), *rest)
