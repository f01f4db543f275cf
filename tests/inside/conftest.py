"""Models with attention to look into, and a saved run."""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.models.model import Model
from diffusion_studio.networks.networks import build
from diffusion_studio.networks.post_norm_config import PostNormConfig
from diffusion_studio.networks.tokens import TextConfig

TEXT = TextConfig(8, None, 32, 16, layers=1, heads=2, tokens=12, null=True)
WORDS = ("hat", "red", "shield", "elf", ",", "blue", "robe", "staff")


@pytest.fixture
def reading_model(tiny_model):
    """A model that reads text by cross-attention, in float64."""
    network = {"text": TEXT, "classes": None, "null_class": False, "attention_levels": (0, 1)}
    return tiny_model(network=network, words=WORDS, labels=())


@pytest.fixture
def foreign_model():
    """Factory: `foreign_model(config class, **fields)` -> a small Model of that layout with random weights."""
    small = {
        "out_channels": 1,
        "channels": 8,
        "widths": (8, 8, 16),
        "full_attention": (1,),
        "heads": (2, 2),
        "head_channels": (4, 4),
        "norm": "rms",
    }

    def make(cls, **changes) -> Model:
        config = cls(1, **small, **changes) if cls is PostNormConfig else cls(**changes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build(config).eval().requires_grad_(False)
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn(parameter.shape)
        size = 8 if cls is PostNormConfig else 32
        spec = ModelSpec(
            "foreign", config, Linear(timesteps=100), image_size=size, channels=config.in_channels
        )
        return Model(spec, network, torch.device("cpu"), torch.float32)

    return make
