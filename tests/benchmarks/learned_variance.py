"""Is a learned variance as large as it should be?

    python tests/benchmarks/learned_variance.py checkpoints/cifar10 --data cifar10 --steps 25

An ancestral step with the predicted x0 in the place of the true one errs by what is left of the picture, c
(x0 - prediction). The variance that suits the likelihood best is the posterior's, "small", and c^2 times the
mean squared error of x0 (Bao et al. 2022, "Analytic-DPM", theorem 1, for the error of a real network). A row
for each step of the path: what the learned variance adds to the small one, what it should add, their ratio,
and the root mean square error of x0 in shades of 255.

No target: 1 in the last column but one is a variance as the likelihood wants it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from _timing import ROOT  # noqa: F401  first of what is the project's, as it puts this checkout on the path

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.errors import OptionError, StudioError
from diffusion_studio.imaging import arrays

Row = tuple[NoiseLevel, float, float, float, float]  # level, small variance, added, wanted, error of x0
TOGETHER = 32


@torch.no_grad()
def rows(
    model: ds.Model,
    x0: torch.Tensor,
    labels: Sequence[str] | None,
    levels: Sequence[NoiseLevel],
    seed: int = 0,
) -> Iterator[Row]:
    """Of pictures (N, C, H, W) in [-1, 1] with one noise each, for each step that adds noise."""
    draw = torch.Generator().manual_seed(seed)
    for now, to in pairwise(levels):
        if not to.sigma:
            break
        x = now.alpha * x0 + now.sigma * torch.randn(x0.shape, generator=draw, dtype=x0.dtype)
        parts = [slice(k, k + TOGETHER) for k in range(0, len(x0), TOGETHER)]
        seen = [
            model.denoiser(None if labels is None else list(labels[part]))(x[part], now) for part in parts
        ]
        if seen[0].variance is None:
            raise OptionError(
                "model", f"{model.spec.name} has not learnt its variance. Name a model that has."
            )
        error = (x0 - torch.cat([one.x0 for one in seen])).square().mean().item()
        large = now.sigma**2 - (now.alpha / to.alpha * to.sigma) ** 2
        small = large * to.sigma**2 / now.sigma**2
        share = torch.cat([one.variance for one in seen]).double()
        learned = (share * math.log(large) + (1 - share) * math.log(small)).exp().mean().item()
        yield now, small, learned - small, (to.alpha * large / now.sigma**2) ** 2 * error, math.sqrt(error)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a checkpoint file, or its folder")
    parser.add_argument(
        "--data", required=True, help="known name or path of the pictures that it was trained on"
    )
    parser.add_argument("--pictures", type=int, default=128, help="how many test pictures")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--spacing", default="trailing")
    asked = parser.parse_args()
    model = ds.load(asked.model, "cpu", "fp32")
    real = data.load(asked.data, "test", size=model.spec.image_size)
    x0 = arrays.from_uint8(real.images[: asked.pictures])
    labels = (
        None
        if real.labels is None or not model.spec.labels
        else [real.names[k] for k in real.labels[: asked.pictures]]
    )
    print(
        f"{model.spec.name}, {len(x0)} test pictures, {asked.steps} steps\n\n"
        f"{'sigma/alpha':>11} {'small':>10} {'added':>10} {'wanted':>10} {'ratio':>6} {'x0 off':>7}"
    )
    for level, small, added, wanted, error in rows(
        model, x0, labels, ds.path(model.schedule, asked.steps, asked.spacing)
    ):
        print(
            f"{level.sigma / level.alpha:11.3f} {small:10.6f} {added:10.6f} {wanted:10.6f} "
            f"{added / wanted:6.2f} {error * 127.5:7.1f}"
        )


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
