"""A tiny data set, and runs of a few steps on it."""

from __future__ import annotations

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.training.config import TrainConfig

SMALL = {"size": 8, "channels": 8, "multipliers": "1,2", "attention": "4", "heads": 2, "norm_groups": 4, "images": 32,
         "batch": 4, "warmup": 3, "timesteps": 20, "precision": "fp32", "dropout": 0.1, "ema": 0.9}


@pytest.fixture
def pictures(tmp_path):
    """Eleven grey 8x8 pictures of three classes in an npz: eleven, so that epochs do not end with a batch."""
    path = tmp_path / "pictures.npz"
    images = np.random.default_rng(0).integers(0, 256, (11, 8, 8), np.uint8)
    np.savez(path, images=images, labels=np.arange(11) % 3)
    return path


@pytest.fixture
def config(pictures):
    """Factory: a run of a few steps on those pictures."""
    def make(**changes) -> TrainConfig:
        return TrainConfig(**{"data": str(pictures), **SMALL, **changes})
    return make


@pytest.fixture
def finish():
    """`finish(config, out, **options)` -> all TrainSteps of a run on the CPU, without sample sheets on the way."""
    def run(config, out, **options) -> list[ds.TrainStep]:
        return list(ds.train(config, out, device="cpu", **{"sample_every": 0, **options}))
    return run
